//! A policy and its files as text: what a bundle carries, so that it can be appraised again by itself.

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lazaret_attest::policy::{DigestForm, DigestList, FileError, Files, Policy, PolicyError, Reading};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
};

/// A policy and the files that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// The TOML.
    pub toml: String,
    /// Digest lists, keyrings and the policies that it extends, by the name that the TOML uses.
    pub lists: BTreeMap<String, FileText>,
    /// The host's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The signature over the TOML, where one was demanded and counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// A file's content; a digest list is the copy that all hosts share.
#[derive(Debug, Clone)]
pub enum FileText {
    /// A digest list that was read.
    List(Arc<DigestList>),
    /// Anything else.
    Bytes(Arc<[u8]>),
}

impl PolicyText {
    /// Parses the text. `form`: over what the policy's digest was made.
    ///
    /// # Errors
    /// The line that is wrong.
    pub fn parse(&self, form: DigestForm) -> Result<Policy, PolicyError> {
        let reading = Reading {
            model: self.model.as_deref(),
            form,
            ..Reading::default()
        };
        Policy::read(&self.toml, &reading, &mut Carried(&self.lists))
    }
}

/// The files that the text carries with it.
struct Carried<'a>(&'a BTreeMap<String, FileText>);

impl Carried<'_> {
    fn file(&self, name: &str) -> Result<&FileText, String> {
        self.0
            .get(name)
            .ok_or_else(|| format!("there is no list {name:?} here"))
    }
}

impl Files for Carried<'_> {
    fn bytes(&mut self, name: &str) -> Result<Vec<u8>, String> {
        self.file(name).map(|file| file.as_bytes().to_vec())
    }

    fn list(&mut self, name: &str) -> Result<Arc<DigestList>, FileError> {
        match self
            .file(name)
            .map_err(|reason| FileError { line: None, reason })?
        {
            FileText::List(list) => Ok(Arc::clone(list)),
            FileText::Bytes(bytes) => Ok(Arc::new(DigestList::parse(bytes.to_vec())?)),
        }
    }
}

impl FileText {
    /// The content.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::List(list) => list.text(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl From<String> for FileText {
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes().into())
    }
}

impl PartialEq for FileText {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for FileText {}

/// As a string; bytes that are no UTF-8 as `{"base64": ".."}`.
impl Serialize for FileText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.as_bytes()) {
            Ok(text) => to.serialize_str(text),
            Err(_) => BTreeMap::from([("base64", STANDARD.encode(self.as_bytes()))]).serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for FileText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = FileText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or { \"base64\": \"..\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<FileText, E> {
                Ok(text.to_owned().into())
            }

            fn visit_string<E: Error>(self, text: String) -> Result<FileText, E> {
                Ok(text.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FileText, A::Error> {
                let Some(("base64", text)) = map.next_entry::<&str, String>()? else {
                    return Err(A::Error::custom("expected base64 and nothing else"));
                };
                if map.next_key::<String>()?.is_some() {
                    return Err(A::Error::custom("expected base64 and nothing else"));
                }
                let bytes = STANDARD.decode(text).map_err(A::Error::custom)?;
                Ok(FileText::Bytes(bytes.into()))
            }
        }

        from.deserialize_any(Either)
    }
}
