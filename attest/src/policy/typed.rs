//! The policy file as typed: tables and keys with their places, nothing resolved.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use toml::Spanned;
use toml::value::Datetime;

use super::BootRules;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: Spanned<String>,
    pub(super) version: u64,
    #[serde(default)]
    pub(super) base: bool,
    pub(super) extends: Option<Spanned<NamedFile>>,
    pub(super) secure_boot: Option<SecureBootRule>,
    #[serde(default)]
    pub(super) pcrs: Tables,
    #[serde(default)]
    pub(super) boot_log: Tables,
    #[serde(default)]
    pub(super) component: Vec<Component>,
    #[serde(default)]
    pub(super) model: BTreeMap<Spanned<String>, Model>,
    pub(super) boot: Option<Spanned<BootRules>>,
    pub(super) ima: Option<Spanned<Ima>>,
    #[serde(default)]
    pub(super) gravity: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// Digests by bank and PCR.
pub(super) type Tables = BTreeMap<Spanned<String>, BTreeMap<Spanned<String>, Spanned<Vec<Spanned<String>>>>>;

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum SecureBootRule {
    Any,
    Required,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Component {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) alternative: Vec<Alternative>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alternative {
    pub(super) name: Spanned<String>,
    pub(super) from: Option<Spanned<Datetime>>,
    pub(super) until: Option<Spanned<Datetime>>,
    #[serde(default)]
    pub(super) pcrs: Tables,
    #[serde(default)]
    pub(super) boot_log: Tables,
    #[serde(default)]
    pub(super) lists: Vec<Spanned<NamedFile>>,
}

/// What is added for hosts of one model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    #[serde(default)]
    pub(super) pcrs: Tables,
    #[serde(default)]
    pub(super) boot_log: Tables,
    #[serde(default)]
    pub(super) component: Vec<Component>,
    pub(super) boot: Option<Spanned<BootRules>>,
    #[serde(default)]
    pub(super) lists: Vec<Spanned<NamedFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ima {
    pub(super) lists: Option<Spanned<Vec<Spanned<NamedFile>>>>,
    #[serde(default)]
    pub(super) exclude: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) keyrings: Vec<Spanned<NamedFile>>,
    #[serde(default)]
    pub(super) signed: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) protected: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) policies: Vec<Spanned<String>>,
    pub(super) lag_limit_s: Option<u64>,
}

/// A file beside the policy: its name, or its name and the SHA-256 of its text.
pub(super) struct NamedFile {
    pub(super) file: String,
    pub(super) sha256: Option<String>,
}

impl<'de> Deserialize<'de> for NamedFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = NamedFile;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a file's name, or { file = \"..\", sha256 = \"..\" }")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<NamedFile, E> {
                Ok(NamedFile {
                    file: name.to_owned(),
                    sha256: None,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NamedFile, A::Error> {
                let (mut file, mut sha256) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "file" => file = Some(map.next_value()?),
                        "sha256" => sha256 = Some(map.next_value()?),
                        other => return Err(A::Error::unknown_field(other, &["file", "sha256"])),
                    }
                }
                Ok(NamedFile {
                    file: file.ok_or_else(|| A::Error::missing_field("file"))?,
                    sha256,
                })
            }
        }

        from.deserialize_any(Either)
    }
}
