//! `lazaret inspect quote`: whether a key signed a quote in answer to a nonce, over these PCR values.
//!
//! Exit 0: genuine. 20: it has the form of a quote and is none that the key made in answer; the first check that failed is
//! told (key, signature, magic, kind, nonce, pcr-selection, pcr-digest). 65: a file has not the form of what it should be:
//! a key that is none, a message that is cut short or has bytes behind its end. 66: a file cannot be read.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use lazaret_attest::{
    pcr::{HashAlg, PcrValue},
    quote::by_hand::{self, Input, Looked, look},
    verdict::Verdict,
};
use serde::Serialize;

use super::file;
use crate::cli::{
    exit::{Exit, Trouble},
    out,
};

/// Far above any key, quote or signature.
const LIMIT: u64 = 64 * 1024;

/// Arguments of `lazaret inspect quote`.
#[derive(Debug, Args)]
pub struct Quote {
    /// The attestation key: PEM (PUBLIC KEY), TPM2B_PUBLIC or TPMT_PUBLIC.
    #[arg(long, value_name = "FILE")]
    ak: PathBuf,
    /// What was signed: TPMS_ATTEST, as `tpm2_quote --message` writes it.
    #[arg(long, value_name = "FILE")]
    message: PathBuf,
    /// The signature: TPMT_SIGNATURE, as `tpm2_quote --signature` writes it.
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,
    /// The whole qualifying data that the quote must carry, in hex.
    #[arg(long, value_name = "HEX")]
    nonce: Hex,
    /// A PCR value to compare; give all of the quote's selection, or none.
    #[arg(long = "pcr", value_name = "BANK:INDEX=HEX", num_args = 1.., value_parser = pcr)]
    pcrs: Vec<PcrValue>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Bytes that are typed in hex.
#[derive(Debug, Clone)]
struct Hex(Vec<u8>);

impl FromStr for Hex {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Hex, hex::FromHexError> {
        let text = text.trim();
        hex::decode(text.strip_prefix("0x").unwrap_or(text)).map(Hex)
    }
}

fn pcr(text: &str) -> Result<PcrValue, String> {
    let form = || "write it as sha256:0=HEX".to_owned();
    let (place, digits) = text.split_once('=').ok_or_else(form)?;
    let (bank, index) = place.split_once(':').ok_or_else(form)?;
    let bank: HashAlg = bank.parse().map_err(|error| format!("{error}; {}", form()))?;
    let index: u8 = index
        .parse()
        .ok()
        .filter(|index| *index < 24)
        .ok_or_else(|| format!("\"{index}\" is no PCR; they are numbered 0 to 23"))?;
    let Hex(digest) = digits
        .parse()
        .map_err(|error| format!("its value is no hex: {error}"))?;
    if digest.len() != bank.digest_len() {
        let (expected, found) = (bank.digest_len(), digest.len());
        return Err(format!("a {bank} value has {expected} bytes, this one {found}"));
    }
    Ok(PcrValue { bank, index, digest })
}

/// What is shown. The names of the JSON keys are stable.
#[derive(Debug, Serialize)]
struct Shown {
    genuine: bool,
    /// The check that failed: `key`, `signature`, `magic`, `kind`, `nonce`, `pcr-selection`, `pcr-digest`.
    failed: Option<&'static str>,
    reason: Option<String>,
    key: Key,
    signature_scheme: Option<String>,
    quote: Option<Fields>,
    /// Whether PCR values were given, all of them and right.
    pcrs: Values,
}

#[derive(Debug, Serialize)]
struct Key {
    name: Option<String>,
    /// Whether it could be seen that the key is restricted to what its TPM made. A PEM file does not say.
    attributes_checked: bool,
}

/// What the message says of itself.
#[derive(Debug, Serialize)]
struct Fields {
    qualified_signer: String,
    extra_data: String,
    clock_ms: u64,
    reset_count: u32,
    restart_count: u32,
    safe: bool,
    firmware_version: String,
    selection: String,
    pcr_digest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Values {
    /// None was given.
    NotCompared,
    /// They are what was signed.
    Match,
    /// They are not, or the quote is not genuine for another reason.
    NoMatch,
}

impl Quote {
    /// Runs it.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub fn run(self) -> Result<Exit, Trouble> {
        let ak = file::read(&self.ak, LIMIT)?;
        let message = file::read(&self.message, LIMIT)?;
        let signature = file::read(&self.signature, LIMIT)?;
        let pcrs = (!self.pcrs.is_empty()).then_some(self.pcrs.as_slice());
        let looked = look(&ak, &message, &signature, &self.nonce.0, pcrs).map_err(|error| {
            Trouble::say(
                Exit::Data,
                format_args!("{}: {error}", self.file(error.input).display()),
            )
        })?;
        let shown = shown(looked);
        if self.json {
            out::json(&shown);
        } else {
            out::print(&text(&shown));
        }
        Ok(if shown.genuine {
            Exit::Ok
        } else {
            Exit::Verdict(Verdict::Contraindicated)
        })
    }

    fn file(&self, input: Input) -> &Path {
        match input {
            Input::Key => &self.ak,
            Input::Message => &self.message,
            Input::Signature => &self.signature,
        }
    }
}

fn shown(looked: Looked) -> Shown {
    let genuine = looked.ended.is_ok();
    let (failed, reason) = match looked.ended {
        Ok(()) => (None, None),
        Err((check, reason)) => (Some(check.as_str()), Some(reason)),
    };
    Shown {
        genuine,
        failed,
        reason,
        key: Key {
            name: looked.key_name.map(|name| name.to_string()),
            attributes_checked: looked.attributes_checked,
        },
        signature_scheme: looked.signed_by.map(|scheme| scheme.to_string()),
        quote: looked.quote.map(fields),
        pcrs: match (looked.pcrs_compared, genuine) {
            (false, _) => Values::NotCompared,
            (true, true) => Values::Match,
            (true, false) => Values::NoMatch,
        },
    }
}

fn fields(quote: by_hand::Quote) -> Fields {
    Fields {
        qualified_signer: quote.qualified_signer.to_string(),
        extra_data: hex::encode(quote.extra_data),
        clock_ms: quote.clock.clock_ms,
        reset_count: quote.clock.reset_count,
        restart_count: quote.clock.restart_count,
        safe: quote.clock.safe,
        firmware_version: format!("{:#018x}", quote.firmware_version),
        selection: quote.selection,
        pcr_digest: hex::encode(quote.pcr_digest),
    }
}

fn text(shown: &Shown) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = match (&shown.failed, &shown.reason) {
        (Some(failed), Some(reason)) => writeln!(text, "NOT GENUINE: {failed}\n  {}", out::plain(reason)),
        _ => writeln!(text, "genuine: the key signed this quote in answer to the nonce"),
    };
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<18}{value}");
    };
    match shown.pcrs {
        Values::NotCompared => row("PCR values", "not compared: none was given (--pcr)"),
        Values::Match => row("PCR values", "those that were signed"),
        Values::NoMatch => {}
    }
    if !shown.key.attributes_checked {
        row(
            "key",
            "its attributes are not in the file: whether it signs only what its TPM made could not be checked",
        );
    }
    if let Some(name) = &shown.key.name {
        row("key's Name", name);
    }
    if let Some(scheme) = &shown.signature_scheme {
        row("signature", scheme);
    }
    if let Some(quote) = &shown.quote {
        row("qualified signer", &quote.qualified_signer);
        row("qualifying data", &quote.extra_data);
        row(
            "clock",
            &format!(
                "{} ms, {} resets, {} restarts, {}",
                quote.clock_ms,
                quote.reset_count,
                quote.restart_count,
                if quote.safe {
                    "safe"
                } else {
                    "not safe: the TPM lost power without a shutdown, its clock may repeat"
                }
            ),
        );
        row("firmware", &quote.firmware_version);
        row("PCR selection", &quote.selection);
        row("PCR digest", &quote.pcr_digest);
    }
    text
}
