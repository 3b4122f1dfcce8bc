//! Identifiers, each a type of its own, so that one cannot be passed for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::clock::Timestamp;

/// Why a text is not the identifier that it was read as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The name cannot be a host name of this cloud.
    #[error(
        "\"{found}\" is not a host name: 1 to 253 letters, digits, `.`, `-` or `_`, beginning with a letter or digit, without `..`"
    )]
    HostName {
        /// What was given.
        found: String,
    },
    /// The text is not a case id.
    #[error("\"{found}\" is not a case id: cases are named like q-20261121-7f3a2c")]
    Case {
        /// What was given.
        found: String,
    },
    /// The text is no id of that kind.
    #[error("\"{found}\" is not an id like {like}")]
    Dated {
        /// An example.
        like: &'static str,
        /// What was given.
        found: String,
    },
    /// The text is not a UUID.
    #[error("\"{found}\" is not {what}: expected a UUID")]
    Uuid {
        /// The kind of identifier wanted.
        what: &'static str,
        /// What was given.
        found: String,
    },
    /// The text is not a SHA-256 digest.
    #[error("\"{found}\" is not a SHA-256 digest: expected 64 hexadecimal digits")]
    Digest {
        /// What was given.
        found: String,
    },
}

/// The name of a compute host, as nova's service host has it.
///
/// It goes into paths, URLs and reports, so only harmless characters are let in: no path can be left by it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let fits = text.len() <= 253
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(harmless)
            && !text.contains("..");
        if !fits {
            return Err(IdError::HostName { found: excerpt(text) });
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a case is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaseKind {
    /// Takes a condemned host out of service.
    Quarantine,
    /// Keeps new instances off a host that nothing can be said about. Nothing else.
    Unschedule,
    /// Lets new instances onto such a host again.
    Reschedule,
    /// Gives a quarantined host back.
    Release,
}

impl CaseKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::Quarantine,
        Self::Unschedule,
        Self::Reschedule,
        Self::Release,
    ];

    /// Its name, as stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::Unschedule => "unschedule",
            Self::Reschedule => "reschedule",
            Self::Release => "release",
        }
    }

    /// The letter that the ids of such cases begin with.
    pub fn letter(self) -> char {
        match self {
            Self::Quarantine => 'q',
            Self::Unschedule => 'u',
            Self::Reschedule => 's',
            Self::Release => 'r',
        }
    }
}

impl FromStr for CaseKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("\"{text}\" is no kind of case"))
    }
}

/// The name of a case, short enough to be read out: `q-20261121-7f3a2c`. Its first letter says what it is for: `q` a
/// quarantine, `r` a release, `u` and `s` keep new instances off a silent host and let them onto it again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId(String);

impl CaseId {
    /// Makes an id from the kind's letter, the day it is opened and three random bytes.
    pub fn new(kind: CaseKind, opened: Timestamp, random: [u8; 3]) -> Self {
        let (letter, day) = (kind.letter(), opened.date_digits());
        Self(format!("{letter}-{day}-{}", hex::encode(random)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// A letter, the day, three random bytes.
macro_rules! dated_id {
    ($name:ident, $letter:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Makes an id from its day and three random bytes.
            pub fn new(at: Timestamp, random: [u8; 3]) -> Self {
                Self(format!(
                    concat!($letter, "-{}-{}"),
                    at.date_digits(),
                    hex::encode(random)
                ))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix(concat!($letter, "-")) {
                    Some(rest) if is_dated(rest) => Ok(Self(text.to_owned())),
                    _ => Err(IdError::Dated {
                        like: concat!($letter, "-20261121-7f3a2c"),
                        found: excerpt(text),
                    }),
                }
            }
        }
    };
}

dated_id!(
    GroupId,
    "g",
    "The name of a group of cases that are held together: `g-20261121-7f3a2c`."
);
dated_id!(PauseId, "p", "The name of a pause: `p-20261121-7f3a2c`.");

/// Whether it is a day and three random bytes, as ids have them.
fn is_dated(rest: &str) -> bool {
    rest.split_once('-').is_some_and(|(date, random)| {
        date.len() == 8
            && date.bytes().all(|b| b.is_ascii_digit())
            && random.len() == 6
            && random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

impl FromStr for CaseId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::Case { found: excerpt(text) };
        let rest = text
            .strip_prefix(CaseKind::ALL.map(CaseKind::letter))
            .ok_or_else(wrong)?;
        let rest = rest.strip_prefix('-').ok_or_else(wrong)?;
        if !is_dated(rest) {
            return Err(wrong());
        }
        Ok(Self(text.to_owned()))
    }
}

/// One round: one host, one challenge, one result.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoundId(Uuid);

impl RoundId {
    /// Makes an id from randomness that the caller brings.
    pub fn new(random: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(random).into_uuid())
    }
}

/// An instance of a tenant; nova's API calls it server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub Uuid);

/// A compute service of nova.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub Uuid);

/// A SHA-256 digest: the address of evidence, the name of a key or a policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl FromStr for Sha256Digest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| IdError::Digest { found: excerpt(text) })?;
        Ok(Self(digest))
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

macro_rules! uuid_id {
    ($name:ident, $what:literal) => {
        impl $name {
            /// The UUID behind the id.
            pub fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let uuid = Uuid::parse_str(text).map_err(|_| IdError::Uuid {
                    what: $what,
                    found: excerpt(text),
                })?;
                Ok(Self(uuid))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

macro_rules! shown_as_text {
    ($($name:ident),+) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+ };
}

uuid_id!(RoundId, "a round id");
uuid_id!(InstanceId, "an instance id");
uuid_id!(ServiceId, "a service id");
shown_as_text!(
    HostName,
    CaseId,
    GroupId,
    PauseId,
    RoundId,
    InstanceId,
    ServiceId,
    Sha256Digest
);

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The first 64 characters, made printable: an identifier that was refused may be anything.
fn excerpt(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_cannot_leave_a_directory() {
        for good in ["cmp-1", "compute_7.example.org", "a", "0node", &"h".repeat(253)] {
            assert_eq!(good.parse::<HostName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            "../etc",
            "a/b",
            "a..b",
            "-rf",
            ".hidden",
            "a b",
            "a\0",
            "höst",
            "a\n",
            &"h".repeat(254),
        ] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_refused_name_is_shown_harmless_and_short() {
        let error = format!("\u{1b}[2J{}", "x".repeat(500))
            .parse::<HostName>()
            .unwrap_err()
            .to_string();
        assert!(!error.contains('\u{1b}') && error.len() < 320, "{error}");
    }

    #[test]
    fn case_ids_carry_their_day() {
        let opened = "2026-11-21T23:59:59.999Z".parse().unwrap();
        use CaseKind::{Quarantine, Release, Reschedule, Unschedule};
        for (kind, text) in [
            (Quarantine, "q-20261121-7f3a2c"),
            (Unschedule, "u-20261121-7f3a2c"),
            (Reschedule, "s-20261121-7f3a2c"),
            (Release, "r-20261121-7f3a2c"),
        ] {
            let id = CaseId::new(kind, opened, [0x7f, 0x3a, 0x2c]);
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse::<CaseId>().unwrap(), id);
        }
        for bad in [
            "",
            "q-",
            "q-20261121-7F3A2C",
            "q-2026112-7f3a2c",
            "q-20261121-7f3a2",
            "x-20261121-7f3a2c",
        ] {
            assert!(bad.parse::<CaseId>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn ids_pass_through_json_as_text() {
        let digest = Sha256Digest::of(b"abc");
        assert_eq!(
            digest.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Sha256Digest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<HostName>("\"../x\"").is_err());
        let round = RoundId::new([7; 16]);
        assert_eq!(round.to_string().parse::<RoundId>().unwrap(), round);
    }
}
