//! The values of a policy file: names, digests by PCR, gravities, each told with its line when it is wrong.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::typed::Tables;
use super::{ByPcr, PolicyError};
use crate::boot_log::COVERED;
use crate::finding::{Bounds, Code};
use crate::ima::IMA_PCR;
use crate::pcr::HashAlg;
use crate::verdict::Verdict;

/// Longest name of a policy, a component or an alternative, in bytes: it is a key in databases and stands in findings.
const MAX_NAME: usize = 200;

/// One policy file: its name as seen from the first, and its text.
pub(super) struct Layer<'a> {
    pub(super) file: Option<&'a str>,
    pub(super) text: &'a str,
}

impl Layer<'_> {
    pub(super) fn at(&self, span: Range<usize>, reason: impl Into<String>) -> PolicyError {
        PolicyError {
            file: self.file.map(str::to_owned),
            line: line_of(self.text, span.start),
            reason: reason.into(),
        }
    }

    /// A file's name as seen from the folder of the first policy.
    pub(super) fn beside(&self, name: &str) -> String {
        match self.file.and_then(|file| file.rsplit_once('/')) {
            Some((folder, _)) => format!("{folder}/{name}"),
            None => name.to_owned(),
        }
    }
}

/// A name that can be a key and stand in a line.
pub(super) fn named(here: &Layer<'_>, name: &Spanned<String>, what: &str) -> Result<String, PolicyError> {
    let text = name.get_ref();
    if text.trim().is_empty() {
        return Err(here.at(name.span(), format!("name is empty; give one to {what}")));
    }
    if text.len() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(here.at(
            name.span(),
            format!("a name has at most {MAX_NAME} bytes and no control characters"),
        ));
    }
    Ok(text.clone())
}

pub(super) fn pcrs(here: &Layer<'_>, typed: &Tables) -> Result<ByPcr, PolicyError> {
    tables(here, typed, |index| match index {
        IMA_PCR => {
            Err("PCR 10 changes with every file that is measured; list file digests under [ima] instead")
        }
        // Debug and application registers: anyone may reset them (PC Client profile, "PCR attributes").
        16 | 23 => Err("PCR 16 and 23 can be reset by any program, so their values prove nothing"),
        _ => Ok(()),
    })
}

pub(super) fn boot_log(here: &Layer<'_>, typed: &Tables) -> Result<ByPcr, PolicyError> {
    tables(here, typed, |index| {
        if COVERED.contains(&index) {
            Ok(())
        } else {
            Err("the boot log explains PCR 0 to 9 and 14 only")
        }
    })
}

fn tables(
    here: &Layer<'_>,
    tables: &Tables,
    usable: impl Fn(u8) -> Result<(), &'static str>,
) -> Result<ByPcr, PolicyError> {
    let mut all = ByPcr::new();
    for (bank_name, registers) in tables {
        let bank: HashAlg = bank_name
            .get_ref()
            .parse()
            .map_err(|error| here.at(bank_name.span(), format!("{error}")))?;
        for (register, values) in registers {
            let index = register.get_ref().parse::<u8>().ok().filter(|index| *index <= 23);
            // One spelling for each register: "07" beside "7" would be two keys to TOML.
            let index = index.filter(|index| index.to_string() == *register.get_ref());
            let Some(index) = index else {
                return Err(here.at(
                    register.span(),
                    format!("\"{}\" is no PCR; they are numbered 0 to 23", register.get_ref()),
                ));
            };
            usable(index).map_err(|reason| here.at(register.span(), reason))?;
            if values.get_ref().is_empty() {
                return Err(here.at(
                    values.span(),
                    format!("PCR {index} lists no value, so nothing could ever match; remove the line"),
                ));
            }
            let set = all.entry((bank, index)).or_default();
            for value in values.get_ref() {
                let digest = hex::decode(value.get_ref())
                    .ok()
                    .filter(|digest| digest.len() == bank.digest_len());
                let Some(digest) = digest else {
                    let digits = bank.digest_len().saturating_mul(2);
                    return Err(here.at(
                        value.span(),
                        format!(
                            "a {bank} digest is {digits} hexadecimal digits, this is \"{}\"",
                            value.get_ref()
                        ),
                    ));
                };
                set.insert(digest);
            }
        }
    }
    Ok(all)
}

pub(super) fn gravities(
    here: &Layer<'_>,
    typed: &BTreeMap<Spanned<String>, Spanned<String>>,
    gravity: &mut BTreeMap<Code, Verdict>,
) -> Result<(), PolicyError> {
    for (name, verdict) in typed {
        let code: Code = name
            .get_ref()
            .parse()
            .map_err(|error| here.at(name.span(), format!("{error}")))?;
        let wanted: Verdict = verdict
            .get_ref()
            .parse()
            .map_err(|error| here.at(verdict.span(), format!("{error}")))?;
        let refuse = |reason: &str| Err(here.at(verdict.span(), format!("{code} {reason}")));
        match code.bounds() {
            _ if wanted == Verdict::Affirming => {
                return refuse("cannot be affirming: a finding never leaves a host trusted");
            }
            Bounds::Fixed => return refuse("proves nothing about the host, so its gravity is fixed"),
            Bounds::RaiseOnly if wanted.rank() < code.gravity().rank() => {
                return refuse(&format!(
                    "is about a proof, so it cannot be taken lighter than {}",
                    code.gravity()
                ));
            }
            Bounds::RaiseOnly | Bounds::Free => gravity.insert(code, wanted),
        };
    }
    Ok(())
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        .saturating_add(1)
}
