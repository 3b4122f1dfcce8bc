//! Microversions: what a service offers, read from its version document.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A microversion, such as 2.80. Compared as two numbers: 2.9 is older than 2.80.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Before the dot.
    pub major: u16,
    /// After the dot.
    pub minor: u16,
}

impl Version {
    /// A microversion known at compile time.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The text is not a microversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a microversion")]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let (major, minor) = text.split_once('.').ok_or(NotAVersion)?;
        Ok(Self {
            major: major.parse().map_err(|_| NotAVersion)?,
            minor: minor.parse().map_err(|_| NotAVersion)?,
        })
    }
}

/// The microversions that a service offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRange {
    /// The oldest.
    pub min: Version,
    /// The newest.
    pub max: Version,
}

impl VersionRange {
    /// Whether a call written for `wanted` is served.
    pub fn offers(&self, wanted: Version) -> bool {
        self.min <= wanted && wanted <= self.max
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// A version document: `{"version": {..}}` below an API's root, `{"versions": [..]}` at the server's.
#[derive(Deserialize)]
pub(super) struct Document {
    version: Option<Entry>,
    #[serde(default)]
    versions: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    version: String,
    /// placement's word for it.
    #[serde(default)]
    max_version: String,
    #[serde(default)]
    min_version: String,
}

impl Document {
    /// The newest range in the document; entries without microversions (nova's `v2.0`) do not count.
    pub(super) fn range(&self) -> Option<VersionRange> {
        self.version
            .iter()
            .chain(&self.versions)
            .filter_map(|entry| {
                Some(VersionRange {
                    min: entry.min_version.parse().ok()?,
                    max: entry
                        .version
                        .parse()
                        .or_else(|_| entry.max_version.parse())
                        .ok()?,
                })
            })
            .max_by_key(|range| range.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microversions_compare_as_numbers() {
        let parse = |text: &str| text.parse::<Version>().unwrap();
        assert!(parse("2.9") < parse("2.80") && parse("2.93") < parse("2.104"));
        for bad in ["", "2", "2.", ".1", "2.1.0", "v2.1", "2.99999", "-2.1"] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn both_forms_of_the_version_document_are_read() {
        let read = |text: &str| serde_json::from_str::<Document>(text).unwrap().range();
        let root = r#"{"versions": [{"id": "v2.0", "status": "DEPRECATED", "version": "", "min_version": ""},
            {"id": "v2.1", "status": "CURRENT", "version": "2.104", "min_version": "2.1"}]}"#;
        let below = r#"{"version": {"id": "v1.0", "version": "1.3", "min_version": "1.0"}}"#;
        assert_eq!(read(root).unwrap().to_string(), "2.1 to 2.104");
        assert_eq!(read(below).unwrap().to_string(), "1.0 to 1.3");
        let placement = r#"{"versions": [{"id": "v1.0", "max_version": "1.39", "min_version": "1.0", "status": "CURRENT"}]}"#;
        assert_eq!(read(placement).unwrap().to_string(), "1.0 to 1.39");
        assert_eq!(read(r#"{"versions": []}"#), None);
    }

    #[test]
    fn an_older_nova_serves_what_we_ask_and_not_more() {
        let zed = VersionRange {
            min: Version::new(2, 1),
            max: Version::new(2, 93),
        };
        assert!(zed.offers(Version::new(2, 80)));
        assert!(!zed.offers(Version::new(2, 95)));
    }
}
