//! Where in the file a key stands, so that an error can say the line.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::file::ConfigFile;

/// The file's text, with every key's place.
pub(super) struct Place<'a> {
    text: &'a str,
    path: &'a Path,
    tree: DeTable<'a>,
}

impl<'a> Place<'a> {
    /// Reads the text as typed. A key that is unknown, missing or of another type ends here.
    pub(super) fn read(text: &'a str, path: &'a Path) -> Result<(ConfigFile, Self), ConfigError> {
        let syntax = |error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().replace(char::is_control, " "),
        };
        let tree = DeTable::parse(text).map_err(syntax)?.into_inner();
        let file = toml::from_str(text).map_err(syntax)?;
        Ok((file, Self { text, path, tree }))
    }

    /// The error for a value that is not what its key needs.
    pub(super) fn refuse(
        &self,
        key: &str,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> ConfigError {
        ConfigError::Value {
            path: PathBuf::from(self.path),
            line: self.line(key),
            key: key.to_owned(),
            found: found.into().replace(char::is_control, " "),
            allowed: allowed.into(),
        }
    }

    /// The line of a key such as `host[2].fence[1].url`; of the innermost table around it when it is not there.
    fn line(&self, key: &str) -> usize {
        let mut line = 1;
        let mut table = Some(&self.tree);
        for segment in key.split('.') {
            let (name, index) = match segment.trim_end_matches(']').split_once('[') {
                Some((name, index)) => (name, index.parse::<usize>().ok()),
                None => (segment, None),
            };
            let Some((key, value)) = table.and_then(|table| table.get_key_value(name)) else {
                break;
            };
            line = line_of(self.text, key.span().start);
            let mut value = value;
            if let (Some(index), DeValue::Array(array)) = (index, value.get_ref())
                && let Some(element) = array.get(index.saturating_sub(1))
            {
                line = line_of(self.text, element.span().start);
                value = element;
            }
            table = match value.get_ref() {
                DeValue::Table(table) => Some(table),
                _ => None,
            };
        }
        line
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
