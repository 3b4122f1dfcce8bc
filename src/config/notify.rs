//! `[notify]`, resolved: who is told of what.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::secret::SecretSource;

/// How soon a person should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the record.
    Info,
    /// In working hours.
    Warning,
    /// Now.
    Critical,
}

/// The kinds of events that a webhook can ask for. A test compares them with those that there are.
pub(crate) const EVENTS: [&str; 23] = [
    "host-condemned",
    "host-indeterminate",
    "host-warning",
    "host-recovered",
    "case-opened",
    "case-held",
    "case-waiting",
    "case-stuck",
    "case-closed",
    "tampering-suspected",
    "stray-host",
    "host-fenced",
    "host-evacuated",
    "case-released",
    "drift",
    "host-orphaned",
    "host-silent",
    "group-held",
    "daemon-cut-off",
    "clock-jumped",
    "database-put-back",
    "paused",
    "resumed",
];

/// `[[notify.webhook]]`: one receiver, and what it is told of.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Names it in the database and to people.
    pub name: String,
    /// Where notifications are posted to.
    pub url: Url,
    /// Signs each notification (HMAC-SHA-256), so that the receiver knows who sent it.
    pub secret: Option<SecretSource>,
    /// The certificate authority of the receiver, instead of those of the system.
    pub ca_file: Option<PathBuf>,
    /// The kinds of events that it is told of.
    pub events: Vec<EventPattern>,
    /// What is less grave is not told to it.
    pub min_severity: Severity,
}

impl Webhook {
    /// Whether this receiver is told of such an event.
    pub fn wants(&self, kind: &str, severity: Severity) -> bool {
        severity >= self.min_severity && self.events.iter().any(|pattern| pattern.fits(kind))
    }
}

/// A kind of event, or several by a `*`: `case-*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPattern(String);

impl EventPattern {
    /// A pattern that fits one kind of event at least.
    pub fn new(text: &str) -> Option<Self> {
        let pattern = Self(text.to_owned());
        EVENTS.iter().any(|kind| pattern.fits(kind)).then_some(pattern)
    }

    fn fits(&self, kind: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = kind.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        if !self.0.contains('*') {
            return rest.is_empty();
        }
        let mut parts = parts.peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            let Some(at) = rest.find(part) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_whole_names_only() {
        for (pattern, fits, not) in [
            ("*", "drift", ""),
            ("case-*", "case-opened", "host-fenced"),
            ("*-held", "group-held", "case-opened"),
            ("host-*ed", "host-fenced", "host-silent"),
            ("*-*-off", "daemon-cut-off", "drift"),
            ("drift", "drift", "drifted"),
        ] {
            let pattern = EventPattern::new(pattern).unwrap();
            assert!(pattern.fits(fits), "{pattern:?} {fits}");
            assert!(not.is_empty() || !pattern.fits(not), "{pattern:?} {not}");
        }
        for wrong in ["", "caze-*", "case", "drift*x", "**x"] {
            assert_eq!(EventPattern::new(wrong), None, "{wrong}");
        }
    }
}
