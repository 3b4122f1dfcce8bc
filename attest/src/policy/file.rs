//! From policy files to a [`Policy`]: a file over the one that it extends, and one host model's values.

use std::sync::Arc;

use toml::Spanned;

use super::joined::Joined;
use super::list::DigestList;
use super::typed::{self, NamedFile};
use super::values::{Layer, boot_log, gravities, named, pcrs};
use super::{DigestForm, Files, Policy, PolicyError, Reading};
use crate::pcr::HashAlg;

/// Longest policy text, in bytes: a thousand components with boot logs take less. Long lists are files of their own.
const MAX_TEXT: usize = 8 * 1024 * 1024;

/// Policies that extend one another: a site's over a distribution's, and room for two more.
const MAX_DEPTH: usize = 4;

pub(super) fn read(text: &str, reading: &Reading<'_>, files: &mut dyn Files) -> Result<Policy, PolicyError> {
    let top = Layer { file: None, text };
    let mut joined = Joined::default();
    let mut trail = Vec::new();
    let head = layer(&top, reading, files, &mut joined, &mut trail)?;
    joined.models_agree(reading, &top)?;
    joined.components_agree(&top)?;
    let boot = joined.boot_rules(reading, &top)?;
    let listed = joined.components.iter().any(|component| {
        component
            .alternatives
            .iter()
            .any(|alternative| !alternative.lists.is_empty())
    });
    let has_lists = listed || !joined.lists.is_empty();
    if let Some(place) = joined
        .ima
        .as_ref()
        .filter(|_| !has_lists && joined.signed.is_empty() && !head.base)
    {
        return Err(PolicyError {
            reason: "lists names no file, so every file would be unknown; name one or remove [ima]"
                .to_owned(),
            ..place.clone()
        });
    }
    if let Some(place) = joined
        .ima
        .as_ref()
        .filter(|_| joined.keyrings.is_empty() != joined.signed.is_empty() && !head.base)
    {
        return Err(PolicyError {
            reason: "keyrings says who may sign, signed says which files: write both or neither".to_owned(),
            ..place.clone()
        });
    }
    let secure_boot_required = joined.secure_boot_required();
    let compares = !joined.pcrs.is_empty()
        || !joined.boot_log.is_empty()
        || !boot.is_empty()
        || joined.ima.is_some()
        || has_lists
        || secure_boot_required;
    if !compares && !head.base {
        return Err(top.at(
            0..0,
            "the policy compares nothing, so every host would pass; write golden values with lazaret golden capture",
        ));
    }
    if head.base && !reading.base {
        return Err(top.at(
            0..0,
            "this is a base for other policies (base = true); write one that extends it and has the host's own values",
        ));
    }
    let content = match reading.form {
        DigestForm::Files => digest(text, &joined.files),
        DigestForm::Texts => digest_of_texts(text, &joined.lists_read),
    };
    let ima = (joined.ima.is_some() || has_lists).then(|| joined.reference());
    Ok(Policy {
        name: head.name,
        version: head.version,
        base: head.base,
        model: reading.model.map(str::to_owned),
        models: joined.models,
        content,
        digest: with_model(content, reading.model, &joined.files_of_model),
        secure_boot_required,
        pcrs: joined.pcrs,
        boot_log: joined.boot_log,
        components: joined.components,
        boot,
        ima,
        gravity: joined.gravity,
    })
}

struct Head {
    name: String,
    version: u64,
    base: bool,
}

/// Reads one file over what it extends.
fn layer(
    here: &Layer<'_>,
    reading: &Reading<'_>,
    files: &mut dyn Files,
    joined: &mut Joined,
    trail: &mut Vec<String>,
) -> Result<Head, PolicyError> {
    if here.text.len() > MAX_TEXT {
        return Err(here.at(
            0..0,
            format!("the policy is larger than {MAX_TEXT} bytes; put digests into lists"),
        ));
    }
    let file: typed::File = toml::from_str(here.text)
        .map_err(|error| here.at(error.span().unwrap_or(0..0), error.message().trim()))?;
    let name = named(here, &file.name, "the policy; its name appears in reports")?;
    if let Some(base) = &file.extends {
        extend(here, base, reading, files, joined, trail)?;
    }
    joined.secure_boot = file.secure_boot.or(joined.secure_boot);
    joined.add(pcrs(here, &file.pcrs)?, boot_log(here, &file.boot_log)?);
    let tables = boot_tables(here, &file)?;
    let table = |of: &toml::Table| {
        let boot = of.get("boot").and_then(toml::Value::as_table);
        boot.cloned().unwrap_or_default()
    };
    if let Some(rules) = &file.boot {
        joined.boot(here, rules, &table(&tables))?;
    }
    for component in &file.component {
        joined.component(here, component, true, reading, files)?;
    }
    for (name, model) in &file.model {
        let own = tables.get("model").and_then(|models| models.get(name.get_ref()));
        let boot = own.and_then(toml::Value::as_table).map(table).unwrap_or_default();
        joined.model(here, name, model, &boot, reading, files)?;
    }
    if let Some(ima) = &file.ima {
        let lists = ima.get_ref().lists.as_ref();
        let place = lists.map_or(ima.span(), Spanned::span);
        joined.ima = Some(here.at(place, ""));
        joined.ima(here, ima.get_ref(), reading, files)?;
    }
    gravities(here, &file.gravity, &mut joined.gravity)?;
    Ok(Head {
        name,
        version: file.version,
        base: file.base,
    })
}

/// The file as tables, if it has rules for the boot: they were understood with their places, but joining them takes
/// their keys.
fn boot_tables(here: &Layer<'_>, file: &typed::File) -> Result<toml::Table, PolicyError> {
    if file.boot.is_none() && file.model.values().all(|model| model.boot.is_none()) {
        return Ok(toml::Table::new());
    }
    toml::from_str(here.text).map_err(|error| here.at(error.span().unwrap_or(0..0), error.message().trim()))
}

fn extend(
    here: &Layer<'_>,
    base: &Spanned<NamedFile>,
    reading: &Reading<'_>,
    files: &mut dyn Files,
    joined: &mut Joined,
    trail: &mut Vec<String>,
) -> Result<(), PolicyError> {
    let at = |reason: String| here.at(base.span(), reason);
    let name = here.beside(&base.get_ref().file);
    if trail.contains(&name) {
        return Err(at(format!("\"{name}\" extends itself")));
    }
    if trail.len() >= MAX_DEPTH {
        return Err(at(format!("at most {MAX_DEPTH} policies extend one another")));
    }
    trail.push(name.clone());
    let bytes = files
        .bytes(&name)
        .map_err(|reason| at(format!("the policy \"{name}\" cannot be read: {reason}")))?;
    let digest = sha256(&bytes);
    pinned(here, base, digest, reading)?;
    joined.file(&name, digest).map_err(at)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| at(format!("the policy \"{name}\" is not UTF-8")))?;
    let below = Layer {
        file: Some(&name),
        text,
    };
    layer(&below, reading, files, joined, trail).map(|_| ())
}

/// A file is the one that the policy means: its SHA-256, which a signed policy must write.
pub(super) fn pinned(
    here: &Layer<'_>,
    named: &Spanned<NamedFile>,
    digest: [u8; 32],
    reading: &Reading<'_>,
) -> Result<(), PolicyError> {
    let NamedFile { file, sha256 } = named.get_ref();
    match sha256 {
        Some(pin) if !pin.eq_ignore_ascii_case(&hex::encode(digest)) => Err(here.at(
            named.span(),
            format!("\"{file}\" has the SHA-256 {}, not {pin}; see what changed it", hex::encode(digest)),
        )),
        Some(_) => Ok(()),
        None if reading.signed => Err(here.at(
            named.span(),
            format!(
                "a signed policy names the content of its files: write {{ file = \"{file}\", sha256 = \"{}\" }}",
                hex::encode(digest)
            ),
        )),
        None => Ok(()),
    }
}

/// SHA-256 over what identifies the policy's text, and the name and content of each file that every model reads.
///
/// A signed policy names the content of a model's own files in its text, so this is the same for all its hosts.
fn digest(text: &str, files: &[(String, [u8; 32])]) -> [u8; 32] {
    let mut parts: Vec<u8> = b"lazaret policy 2".to_vec();
    parts.extend(sha256(text.as_bytes()));
    parts.extend(named_files(files));
    sha256(&parts)
}

fn named_files(files: &[(String, [u8; 32])]) -> Vec<u8> {
    files
        .iter()
        .flat_map(|(name, digest)| [sha256(name.as_bytes()), *digest])
        .flatten()
        .collect()
}

/// The first form: over the policy's text and each list's name and text, every one behind its length.
fn digest_of_texts(text: &str, lists: &[(String, Arc<DigestList>)]) -> [u8; 32] {
    let mut parts: Vec<([u8; 8], &[u8])> = Vec::new();
    let mut part = |bytes| {
        let length = u64::try_from(<[u8]>::len(bytes)).unwrap_or(u64::MAX);
        parts.push((length.to_be_bytes(), bytes));
    };
    part(text.as_bytes());
    for (name, list) in lists {
        part(name.as_bytes());
        part(list.text());
    }
    let flat: Vec<&[u8]> = parts
        .iter()
        .flat_map(|(length, part)| [length.as_slice(), part])
        .collect();
    array(HashAlg::Sha256.digest_parts(&flat))
}

fn with_model(content: [u8; 32], model: Option<&str>, files: &[(String, [u8; 32])]) -> [u8; 32] {
    match model {
        None => content,
        Some(model) => sha256(
            &[
                &content,
                b"model ".as_slice(),
                &sha256(model.as_bytes()),
                &named_files(files),
            ]
            .concat(),
        ),
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    array(HashAlg::Sha256.digest(bytes))
}

fn array(bytes: Vec<u8>) -> [u8; 32] {
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(bytes) {
        *to = from;
    }
    digest
}
