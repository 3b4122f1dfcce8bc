//! `[boot]`: what a policy demands of, and forbids to, the boot, beyond golden digests.
//!
//! ```toml
//! [boot]
//! debug_mode = "forbidden"             # or "any"
//! dma_protection = "required"          # or "any"
//! option_roms = "none"                 # or "any"
//! separators = [0, 1, 2, 3, 4, 5, 6, 7]  # PCRs that must have exactly one, and none that tells of an error
//! firmware_versions = ["2.19.1"]       # as the log says it, where its digest covers it
//!
//! pk = ["<sha256>"]                    # SHA-256 of the measured variable's value; kek, db and dbx likewise
//! dbx_contains = ["<sha256>"]          # image digests that the measured dbx must revoke
//! authorities = ["<sha256>"]           # SHA-256 of the certificates (or image digests) that let an image start
//! sbat_at_least = { shim = 4, grub = 3 }
//!
//! boot_loaders = ["<digest>"]          # Authenticode digests: every image measured into PCR 4
//! drivers = ["<digest>"]               # everything measured into PCR 2: drivers and option ROMs
//!
//! command_lines = ["/vmlinuz root=/dev/sda1 ro"]     # whole lines
//! command_line_requires = ["ima_policy=tcb"]         # words that every line must have
//! command_line_forbids = ["init=*", "single"]        # words that no line may have; a * at the end is any ending
//!
//! initrds = ["<digest>"]               # one of these must be measured into PCR 9, and nothing beside them and ...
//! files = ["<digest>"]                 # ... these: what grub read (its configuration, the kernel)
//! ```
//!
//! Digests of images and files have the length of their bank: 64 hexadecimal digits for sha256, 96 for sha384, 128 for
//! sha512. What a rule needs and the log does not prove is a finding of its own and never passes.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::pcr::HashAlg;

/// Longest command line in a policy, in bytes: more than any architecture of Linux takes (COMMAND_LINE_SIZE).
const MAX_LINE: usize = 16 * 1024;

/// Rules about boot claims, as typed under `[boot]`. The default demands nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BootRules {
    /// A debugger that may stop the firmware (`UEFI Debug Mode`).
    pub debug_mode: Forbidden,
    /// The IOMMU's protection of memory during boot (`DMA Protection Disabled`).
    pub dma_protection: Required,
    /// Code of plugged-in cards.
    pub option_roms: OptionRoms,
    /// PCRs that must have exactly one separator.
    pub separators: Option<Separators>,
    /// Allowed versions of the firmware.
    pub firmware_versions: Option<Allowed<String>>,
    /// Allowed values of the platform key: SHA-256 of the variable's value.
    pub pk: Option<Allowed<Sha256Hex>>,
    /// Allowed values of the key exchange keys.
    pub kek: Option<Allowed<Sha256Hex>>,
    /// Allowed values of the signature database.
    pub db: Option<Allowed<Sha256Hex>>,
    /// Allowed values of the revocation database.
    pub dbx: Option<Allowed<Sha256Hex>>,
    /// Image digests that the revocation database must hold.
    pub dbx_contains: Option<Allowed<Sha256Hex>>,
    /// What may have let an image start: SHA-256 of the certificate, or of the entry in db.
    pub authorities: Option<Allowed<Sha256Hex>>,
    /// Lowest generation of each component in the measured SBAT level.
    pub sbat_at_least: BTreeMap<String, u32>,
    /// Allowed images in PCR 4.
    pub boot_loaders: Option<Allowed<BankHex>>,
    /// Allowed measurements in PCR 2.
    pub drivers: Option<Allowed<BankHex>>,
    /// Allowed kernel command lines.
    pub command_lines: Option<Allowed<Line>>,
    /// Words that every kernel command line must have.
    pub command_line_requires: Option<Allowed<Word>>,
    /// Words that no kernel command line may have.
    pub command_line_forbids: Option<Allowed<Word>>,
    /// Allowed initrds; at least one must have been measured.
    pub initrds: Option<Allowed<BankHex>>,
    /// What else may be measured into PCR 9.
    pub files: Option<Allowed<BankHex>>,
}

impl BootRules {
    /// Whether they demand nothing: a policy of these alone would let every host pass.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What contradicts itself, in words; none if nothing does.
    pub fn contradiction(&self) -> Option<&'static str> {
        if self.option_roms == OptionRoms::None && self.drivers.is_some() {
            return Some(
                "drivers allows some measurements in PCR 2 and option_roms = \"none\" forbids all; keep one",
            );
        }
        if self.files.is_some() && self.initrds.is_none() {
            return Some("files is what may stand beside the initrd in PCR 9; list the initrds too");
        }
        None
    }

    /// Whether a rule is about kernel command lines.
    pub(crate) fn about_command_lines(&self) -> bool {
        self.command_lines.is_some()
            || self.command_line_requires.is_some()
            || self.command_line_forbids.is_some()
    }
}

/// Something that may be forbidden.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forbidden {
    /// Not asked.
    #[default]
    Any,
    /// Must not be.
    Forbidden,
}

/// Something that may be required.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Required {
    /// Not asked.
    #[default]
    Any,
    /// Must be.
    Required,
}

/// Whether cards may bring code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptionRoms {
    /// Not asked.
    #[default]
    Any,
    /// Nothing but the separator may be measured into PCR 2.
    None,
}

/// A list that is never empty: nothing could match one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed<T: Ord>(BTreeSet<T>);

impl<T: Ord> Allowed<T> {
    /// The entries, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.0.iter()
    }

    /// Whether an entry is there.
    pub fn contains<Q: Ord + ?Sized>(&self, entry: &Q) -> bool
    where
        T: std::borrow::Borrow<Q>,
    {
        self.0.contains(entry)
    }
}

impl<'de, T: Ord + Deserialize<'de>> Deserialize<'de> for Allowed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let entries = BTreeSet::deserialize(from)?;
        if entries.is_empty() {
            return Err(D::Error::custom(
                "the list is empty, so nothing could ever match; remove the line or name something",
            ));
        }
        Ok(Self(entries))
    }
}

/// PCRs, each 0 to 7: the ones that the firmware closes with a separator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Separators(BTreeSet<u8>);

impl Separators {
    /// The PCRs, in order.
    pub fn iter(&self) -> impl Iterator<Item = u8> {
        self.0.iter().copied()
    }
}

impl<'de> Deserialize<'de> for Separators {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Allowed(pcrs) = Allowed::<u8>::deserialize(from)?;
        match pcrs.iter().find(|pcr| **pcr > 7) {
            Some(pcr) => Err(D::Error::custom(format_args!(
                "the firmware closes PCR 0 to 7 with a separator, not PCR {pcr}"
            ))),
            None => Ok(Self(pcrs)),
        }
    }
}

/// A SHA-256 digest, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sha256Hex(pub [u8; 32]);

impl std::borrow::Borrow<[u8; 32]> for Sha256Hex {
    fn borrow(&self) -> &[u8; 32] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Sha256Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mut digest = [0; 32];
        match hex::decode_to_slice(&text, &mut digest) {
            Ok(()) => Ok(Self(digest)),
            Err(_) => Err(D::Error::custom(format_args!(
                "a SHA-256 digest is 64 hexadecimal digits, this is \"{text}\""
            ))),
        }
    }
}

/// A digest as it stands in a PCR bank; its length tells which. SHA-1 is refused: images can be made to collide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BankHex {
    /// The bank.
    pub bank: HashAlg,
    /// The digest.
    pub digest: Vec<u8>,
}

impl<'de> Deserialize<'de> for BankHex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digest = hex::decode(&text).unwrap_or_default();
        let bank = [HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512]
            .into_iter()
            .find(|bank| bank.digest_len() == digest.len());
        match bank {
            Some(bank) => Ok(Self { bank, digest }),
            None => Err(D::Error::custom(format_args!(
                "a digest here is 64 (sha256), 96 (sha384) or 128 (sha512) hexadecimal digits, this is \"{text}\""
            ))),
        }
    }
}

/// A whole kernel command line, as the boot loader measured it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line(String);

impl Line {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Line {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.len() > MAX_LINE || text.contains(['\0', '\n']) {
            return Err(D::Error::custom(format_args!(
                "a command line is one line of at most {MAX_LINE} bytes"
            )));
        }
        Ok(Self(text))
    }
}

/// A word of a command line: `ima_policy=tcb`, or `init=*` for every word that begins so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word {
    text: String,
    any_ending: bool,
}

impl Word {
    /// Whether a word of a command line is meant. The kernel takes `-` and `_` in the name of a parameter for the same
    /// (kernel/params.c, parameq), so they are the same here.
    pub fn matches(&self, word: &str) -> bool {
        let mut letters = alike(word);
        let begins = alike(&self.text).all(|letter| letters.next() == Some(letter));
        begins && (self.any_ending || letters.next().is_none())
    }
}

/// The characters of a word, with `_` for each `-` of the parameter's name.
fn alike(word: &str) -> impl Iterator<Item = char> {
    let mut in_name = true;
    word.chars().map(move |letter| {
        in_name &= letter != '=';
        if in_name && letter == '-' { '_' } else { letter }
    })
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.text, if self.any_ending { "*" } else { "" })
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let (text, any_ending) = match text.strip_suffix('*') {
            Some(start) => (start.to_owned(), true),
            None => (text, false),
        };
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == '*') {
            return Err(D::Error::custom(
                "a word has no spaces, and a * only at its end; write each word as its own entry",
            ));
        }
        Ok(Self { text, any_ending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn read(text: &str) -> Result<BootRules, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn every_rule_of_the_documentation_is_read() {
        let text = format!(
            "debug_mode = \"forbidden\"\ndma_protection = \"required\"\noption_roms = \"none\"\n\
             separators = [0, 7]\nfirmware_versions = [\"2.19.1\"]\npk = [\"{DIGEST}\"]\nkek = [\"{DIGEST}\"]\n\
             db = [\"{DIGEST}\"]\ndbx = [\"{DIGEST}\"]\ndbx_contains = [\"{DIGEST}\"]\nauthorities = [\"{DIGEST}\"]\n\
             sbat_at_least = {{ shim = 4, grub = 3 }}\nboot_loaders = [\"{DIGEST}\"]\n\
             command_lines = [\"/vmlinuz ro\"]\ncommand_line_requires = [\"ro\"]\ncommand_line_forbids = [\"init=*\"]\n\
             initrds = [\"{DIGEST}\"]\nfiles = [\"{DIGEST}\"]\n"
        );
        let rules = read(&text).unwrap();
        assert!(!rules.is_empty() && rules.contradiction().is_none());
        assert!(
            rules
                .command_line_forbids
                .as_ref()
                .unwrap()
                .iter()
                .all(|word| word.matches("init=/bin/sh"))
        );
        assert!(
            rules
                .boot_loaders
                .unwrap()
                .iter()
                .all(|digest| digest.bank == HashAlg::Sha256)
        );
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn dashes_and_underscores_of_a_parameter_are_the_same_and_those_of_its_value_are_not() {
        let words = |text: &str| {
            read(&format!("command_line_forbids = [\"{text}\"]"))
                .unwrap()
                .command_line_forbids
                .unwrap()
        };
        for (rule, word, matches) in [
            ("ima_appraise=off", "ima-appraise=off", true),
            ("ima-appraise=off", "ima_appraise=off", true),
            ("ima_appraise=off", "ima_appraise=off2", false),
            ("ima_appraise=off", "ima_appraise=of", false),
            ("root=/dev/a-b", "root=/dev/a_b", false),
            ("init=*", "init=", true),
            ("init=*", "init", false),
            ("init=*", "rdinit=x", false),
            ("systemd.debug-shell*", "systemd.debug_shell=1", true),
        ] {
            assert_eq!(
                words(rule).iter().all(|rule| rule.matches(word)),
                matches,
                "{rule} {word}"
            );
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_reason() {
        for (text, reason) in [
            ("dbx = []", "empty"),
            ("dbx = [\"abc\"]", "64 hexadecimal digits"),
            (
                "boot_loaders = [\"00112233445566778899aabbccddeeff00112233\"]",
                "96 (sha384)",
            ),
            ("separators = [8]", "PCR 8"),
            ("command_line_forbids = [\"init=/bin/sh single\"]", "no spaces"),
            ("command_line_forbids = [\"*\"]", "no spaces"),
            ("command_lines = [\"a\\nb\"]", "one line"),
            ("debug_mode = \"maybe\"", "unknown variant"),
            ("dbx_containz = []", "unknown field"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let both = format!("option_roms = \"none\"\ndrivers = [\"{DIGEST}\"]");
        assert!(read(&both).unwrap().contradiction().is_some());
        assert!(
            read(&format!("files = [\"{DIGEST}\"]"))
                .unwrap()
                .contradiction()
                .is_some()
        );
    }
}
