//! The policy as typed, and its way to a [`Policy`].

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::list::{Exclusion, ImaReference, ListBuilder};
use super::{ByPcr, Policy, PolicyError};
use crate::boot_log::COVERED;
use crate::finding::{Bounds, Code};
use crate::ima::IMA_PCR;
use crate::pcr::HashAlg;
use crate::verdict::Verdict;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    version: u64,
    #[serde(default)]
    secure_boot: SecureBootRule,
    #[serde(default)]
    pcrs: Tables,
    #[serde(default)]
    boot_log: Tables,
    ima: Option<Ima>,
    #[serde(default)]
    gravity: BTreeMap<Spanned<String>, Spanned<String>>,
}

type Tables = BTreeMap<Spanned<String>, BTreeMap<Spanned<String>, Spanned<Vec<Spanned<String>>>>>;

#[derive(Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum SecureBootRule {
    #[default]
    Any,
    Required,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ima {
    lists: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    exclude: Vec<Spanned<String>>,
}

pub(super) fn parse(
    text: &str,
    lists: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<Policy, PolicyError> {
    let at = |span: Range<usize>, reason: String| PolicyError {
        file: None,
        line: line_of(text, span.start),
        reason,
    };
    let file: File = toml::from_str(text)
        .map_err(|error| at(error.span().unwrap_or(0..0), error.message().trim().to_owned()))?;
    if file.name.get_ref().trim().is_empty() {
        return Err(at(
            file.name.span(),
            "name is empty; give the policy one, it appears in reports".to_owned(),
        ));
    }

    let pcrs = tables(&file.pcrs, &at, |index| match index {
        IMA_PCR => {
            Err("PCR 10 changes with every file that is measured; list file digests under [ima] instead")
        }
        // Debug and application registers: anyone may reset them (PC Client profile, "PCR attributes").
        16 | 23 => Err("PCR 16 and 23 can be reset by any program, so their values prove nothing"),
        _ => Ok(()),
    })?;
    let boot_log = tables(&file.boot_log, &at, |index| {
        if COVERED.contains(&index) {
            Ok(())
        } else {
            Err("the boot log explains PCR 0 to 9 and 14 only")
        }
    })?;

    let mut hashed: Vec<(String, String)> = Vec::new();
    let ima = match &file.ima {
        Some(ima) => Some(ima_reference(ima, &at, lists, &mut hashed)?),
        None => None,
    };
    let gravity = gravities(&file.gravity, &at)?;
    let secure_boot_required = file.secure_boot == SecureBootRule::Required;
    if pcrs.is_empty() && boot_log.is_empty() && ima.is_none() && !secure_boot_required {
        return Err(at(
            0..0,
            "the policy compares nothing, so every host would pass; write golden values with lazaret golden capture".to_owned(),
        ));
    }
    Ok(Policy {
        name: file.name.get_ref().clone(),
        version: file.version,
        digest: digest(text, &hashed),
        secure_boot_required,
        pcrs,
        boot_log,
        ima,
        gravity,
    })
}

type At<'a> = dyn Fn(Range<usize>, String) -> PolicyError + 'a;

fn tables(
    tables: &Tables,
    at: &At<'_>,
    usable: impl Fn(u8) -> Result<(), &'static str>,
) -> Result<ByPcr, PolicyError> {
    let mut all = ByPcr::new();
    for (bank_name, registers) in tables {
        let bank: HashAlg = bank_name
            .get_ref()
            .parse()
            .map_err(|error| at(bank_name.span(), format!("{error}")))?;
        for (register, values) in registers {
            let index = register.get_ref().parse::<u8>().ok().filter(|index| *index <= 23);
            // One spelling for each register: "07" beside "7" would be two keys to TOML.
            let index = index.filter(|index| index.to_string() == *register.get_ref());
            let Some(index) = index else {
                return Err(at(
                    register.span(),
                    format!("\"{}\" is no PCR; they are numbered 0 to 23", register.get_ref()),
                ));
            };
            usable(index).map_err(|reason| at(register.span(), reason.to_owned()))?;
            if values.get_ref().is_empty() {
                return Err(at(
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
                    return Err(at(
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

fn ima_reference(
    ima: &Ima,
    at: &At<'_>,
    read: &mut dyn FnMut(&str) -> Result<String, String>,
    hashed: &mut Vec<(String, String)>,
) -> Result<ImaReference, PolicyError> {
    if ima.lists.get_ref().is_empty() {
        return Err(at(
            ima.lists.span(),
            "lists names no file, so every file would be unknown; name one or remove [ima]".to_owned(),
        ));
    }
    let mut list = ListBuilder::default();
    for name in ima.lists.get_ref() {
        let text = read(name.get_ref()).map_err(|reason| {
            at(
                name.span(),
                format!("the digest list \"{}\" cannot be read: {reason}", name.get_ref()),
            )
        })?;
        list.add(&text).map_err(|(line, reason)| PolicyError {
            file: Some(name.get_ref().clone()),
            line,
            reason,
        })?;
        hashed.push((name.get_ref().clone(), text));
    }
    let mut exclude = Vec::new();
    for path in &ima.exclude {
        exclude.push(Exclusion::parse(path.get_ref()).map_err(|reason| at(path.span(), reason.to_owned()))?);
    }
    Ok(list.finish(exclude))
}

fn gravities(
    typed: &BTreeMap<Spanned<String>, Spanned<String>>,
    at: &At<'_>,
) -> Result<BTreeMap<Code, Verdict>, PolicyError> {
    let mut gravity = BTreeMap::new();
    for (name, verdict) in typed {
        let code: Code = name
            .get_ref()
            .parse()
            .map_err(|error| at(name.span(), format!("{error}")))?;
        let wanted: Verdict = verdict
            .get_ref()
            .parse()
            .map_err(|error| at(verdict.span(), format!("{error}")))?;
        let refuse = |reason: &str| Err(at(verdict.span(), format!("{code} {reason}")));
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
    Ok(gravity)
}

/// SHA-256 over the policy's text and each list's name and text, every one behind its length.
fn digest(text: &str, lists: &[(String, String)]) -> [u8; 32] {
    let mut parts: Vec<(Vec<u8>, &[u8])> = Vec::new();
    let length = |part: &str| {
        u64::try_from(part.len())
            .unwrap_or(u64::MAX)
            .to_be_bytes()
            .to_vec()
    };
    parts.push((length(text), text.as_bytes()));
    for (name, list) in lists {
        parts.push((length(name), name.as_bytes()));
        parts.push((length(list), list.as_bytes()));
    }
    let flat: Vec<&[u8]> = parts
        .iter()
        .flat_map(|(length, part)| [length.as_slice(), part])
        .collect();
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(HashAlg::Sha256.digest_parts(&flat)) {
        *to = from;
    }
    digest
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        .saturating_add(1)
}
