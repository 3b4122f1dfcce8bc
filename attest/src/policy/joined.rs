//! What the files of one policy say together, and what must agree in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize as _;
use toml::Spanned;

use super::component::{Alternative, Component, MAX_ALTERNATIVES};
use super::file::{pinned, sha256};
use super::list::DigestList;
use super::pattern::Pattern;
use super::typed::{self, NamedFile, SecureBootRule};
use super::values::{Layer, boot_log, named, pcrs};
use super::window::{self, Window};
use super::{BootRules, ByPcr, Files, PolicyError, Reading};
use crate::finding::Code;
use crate::ima::Keyring;
use crate::pcr::HashAlg;
use crate::verdict::Verdict;

/// Files that a policy and what it extends may name: a list for each kernel of some years.
const MAX_FILES: usize = 256;

/// Components of a policy: firmware, boot loader, kernel, and what else changes by itself.
const MAX_COMPONENTS: usize = 64;

/// Models of a policy. `lazaret policy check` reads it once for each.
const MAX_MODELS: usize = 256;

/// Patterns of one kind. Each is held against every file that no list explains.
const MAX_PATTERNS: usize = 256;

/// Keys of `[boot]` whose values add up over the files: taking one away takes a change of the file that demands it.
const DEMANDS: [&str; 4] = [
    "command_line_forbids",
    "command_line_requires",
    "dbx_contains",
    "sbat_at_least",
];

/// What the files say so far.
#[derive(Default)]
pub(super) struct Joined {
    pub(super) secure_boot: Option<SecureBootRule>,
    pub(super) pcrs: ByPcr,
    pub(super) boot_log: ByPcr,
    pub(super) components: Vec<Component>,
    /// Lists that are valid always.
    pub(super) lists: Vec<Arc<DigestList>>,
    pub(super) exclude: Vec<Pattern>,
    pub(super) keyrings: Vec<Keyring>,
    pub(super) signed: Vec<Pattern>,
    pub(super) protected: Vec<Pattern>,
    pub(super) policies: BTreeSet<[u8; 32]>,
    pub(super) lag_limit_s: Option<u64>,
    /// `[boot]` as a table, each key by the nearest file.
    boot: toml::Table,
    /// Where it stands last.
    boot_place: Option<PolicyError>,
    /// Where `[ima]` or its lists stand, if anywhere.
    pub(super) ima: Option<PolicyError>,
    pub(super) gravity: BTreeMap<Code, Verdict>,
    pub(super) models: BTreeSet<String>,
    /// PCRs that some model's values compare, each with where: this host's must as well.
    pub(super) of_models: BTreeMap<(&'static str, HashAlg, u8), PolicyError>,
    /// Keys of `[boot]` that some model has, each with where: likewise.
    boot_of_models: BTreeMap<String, PolicyError>,
    /// Names and SHA-256 of the files that are read whatever the model, in the order of reading.
    pub(super) files: Vec<(String, [u8; 32])>,
    /// Likewise of those that this model's values name.
    pub(super) files_of_model: Vec<(String, [u8; 32])>,
    /// Those that are digest lists.
    pub(super) lists_read: Vec<(String, Arc<DigestList>)>,
}

impl Joined {
    pub(super) fn secure_boot_required(&self) -> bool {
        self.secure_boot == Some(SecureBootRule::Required)
    }

    pub(super) fn add(&mut self, pcrs: ByPcr, boot_log: ByPcr) {
        add(&mut self.pcrs, pcrs);
        add(&mut self.boot_log, boot_log);
    }

    /// `[boot]`, or a model's: demands add up, everything else is as the nearest file says.
    pub(super) fn boot(
        &mut self,
        here: &Layer<'_>,
        rules: &Spanned<BootRules>,
        table: &toml::Table,
    ) -> Result<(), PolicyError> {
        let at = |reason: &str| here.at(rules.span(), reason);
        if let Some(reason) = rules.get_ref().contradiction() {
            return Err(at(reason));
        }
        for (key, value) in table {
            let value = match (DEMANDS.contains(&key.as_str()), self.boot.remove(key), value) {
                (true, Some(toml::Value::Array(mut before)), toml::Value::Array(more)) => {
                    before.extend(more.iter().cloned());
                    before.into()
                }
                (true, Some(toml::Value::Table(mut before)), toml::Value::Table(more)) => {
                    for (name, least) in more {
                        let more_yet = |known: &toml::Value| known.as_integer() > least.as_integer();
                        if !before.get(name).is_some_and(more_yet) {
                            before.insert(name.clone(), least.clone());
                        }
                    }
                    before.into()
                }
                _ => value.clone(),
            };
            self.boot.insert(key.clone(), value);
        }
        self.boot_place = Some(at(""));
        Ok(())
    }

    pub(super) fn boot_rules(
        &self,
        reading: &Reading<'_>,
        top: &Layer<'_>,
    ) -> Result<BootRules, PolicyError> {
        for (key, place) in &self.boot_of_models {
            if !self.boot.contains_key(key) && !reading.base {
                let host = host_of(reading);
                return Err(PolicyError {
                    reason: format!(
                        "this model has boot.{key}, and nothing has it {host}; name the host's model in its [[host]], or \
                         write under [boot] what holds for all"
                    ),
                    ..place.clone()
                });
            }
        }
        let place = self.boot_place.clone().unwrap_or_else(|| top.at(0..0, ""));
        let refuse = |reason: &str| PolicyError {
            reason: reason.to_owned(),
            ..place.clone()
        };
        let rules = BootRules::deserialize(self.boot.clone()).map_err(|error| refuse(error.message()))?;
        match rules.contradiction() {
            Some(reason) => Err(refuse(reason)),
            None => Ok(rules),
        }
    }

    pub(super) fn file(&mut self, name: &str, digest: [u8; 32]) -> Result<(), String> {
        if self.files.len().saturating_add(self.files_of_model.len()) >= MAX_FILES {
            return Err(format!("a policy names at most {MAX_FILES} files"));
        }
        self.files.push((name.to_owned(), digest));
        Ok(())
    }

    pub(super) fn lists(
        &mut self,
        here: &Layer<'_>,
        named: &[Spanned<NamedFile>],
        reading: &Reading<'_>,
        files: &mut dyn Files,
    ) -> Result<Vec<Arc<DigestList>>, PolicyError> {
        let mut lists: Vec<Arc<DigestList>> = Vec::new();
        for one in named {
            let name = here.beside(&one.get_ref().file);
            let list = files.list(&name).map_err(|error| match error.line {
                Some(line) => PolicyError {
                    file: Some(name.clone()),
                    line,
                    reason: error.reason,
                },
                None => here.at(
                    one.span(),
                    format!("the digest list \"{name}\" cannot be read: {}", error.reason),
                ),
            })?;
            pinned(here, one, list.digest(), reading)?;
            self.file(&name, list.digest())
                .map_err(|reason| here.at(one.span(), reason))?;
            self.lists_read.push((name.clone(), Arc::clone(&list)));
            if !lists.iter().any(|other| other.digest() == list.digest()) {
                lists.push(list);
            }
        }
        Ok(lists)
    }

    pub(super) fn ima(
        &mut self,
        here: &Layer<'_>,
        ima: &typed::Ima,
        reading: &Reading<'_>,
        files: &mut dyn Files,
    ) -> Result<(), PolicyError> {
        if let Some(named) = &ima.lists {
            let lists = self.lists(here, named.get_ref(), reading, files)?;
            self.lists.extend(lists);
        }
        patterns(here, &ima.exclude, &mut self.exclude)?;
        if let Some(all) = ima
            .exclude
            .iter()
            .find(|typed| covers_everything(typed.get_ref()))
        {
            return Err(here.at(
                all.span(),
                "this would compare no file at all; begin with a directory's name",
            ));
        }
        patterns(here, &ima.signed, &mut self.signed)?;
        patterns(here, &ima.protected, &mut self.protected)?;
        for named in &ima.keyrings {
            self.keyring(here, named, reading, files)?;
        }
        for typed in &ima.policies {
            let mut digest = [0; 32];
            hex::decode_to_slice(typed.get_ref(), &mut digest).map_err(|_| {
                here.at(
                    typed.span(),
                    format!(
                        "a SHA-256 digest is 64 hexadecimal digits, this is \"{}\"",
                        typed.get_ref()
                    ),
                )
            })?;
            self.policies.insert(digest);
        }
        self.lag_limit_s = ima.lag_limit_s.or(self.lag_limit_s);
        Ok(())
    }

    fn keyring(
        &mut self,
        here: &Layer<'_>,
        named: &Spanned<NamedFile>,
        reading: &Reading<'_>,
        files: &mut dyn Files,
    ) -> Result<(), PolicyError> {
        let name = here.beside(&named.get_ref().file);
        let at = |reason: String| here.at(named.span(), reason);
        let bytes = files
            .bytes(&name)
            .map_err(|reason| at(format!("the keyring \"{name}\" cannot be read: {reason}")))?;
        let digest = sha256(&bytes);
        pinned(here, named, digest, reading)?;
        self.file(&name, digest).map_err(at)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            at(format!(
                "the keyring \"{name}\" is not PEM; convert DER with openssl x509 -inform der"
            ))
        })?;
        let keyring = Keyring::parse(&name, &text).map_err(|error| PolicyError {
            file: Some(name.clone()),
            line: error.line,
            reason: error.reason,
        })?;
        self.keyrings.push(keyring);
        Ok(())
    }

    /// One `[[component]]`: with `kept` its alternatives are added to those of its name, else it is only read.
    pub(super) fn component(
        &mut self,
        here: &Layer<'_>,
        typed: &typed::Component,
        kept: bool,
        reading: &Reading<'_>,
        files: &mut dyn Files,
    ) -> Result<Vec<Alternative>, PolicyError> {
        let name = named(here, &typed.name, "each component")?;
        if typed.alternative.is_empty() {
            return Err(here.at(
                typed.name.span(),
                format!("component \"{name}\" has no [[component.alternative]]"),
            ));
        }
        let mut read = Vec::new();
        for alternative in &typed.alternative {
            read.push(self.alternative(here, alternative, kept, reading, files)?);
        }
        if !kept {
            return Ok(read);
        }
        let at = match self.components.iter().position(|known| known.name == name) {
            Some(at) => at,
            None if self.components.len() >= MAX_COMPONENTS => {
                return Err(here.at(typed.name.span(), format!("at most {MAX_COMPONENTS} components")));
            }
            None => {
                self.components.push(Component {
                    name: name.clone(),
                    alternatives: Vec::new(),
                });
                self.components.len().saturating_sub(1)
            }
        };
        let Some(known) = self.components.get_mut(at) else {
            return Ok(Vec::new());
        };
        for (alternative, typed) in read.into_iter().zip(&typed.alternative) {
            let refuse = |reason: String| Err(here.at(typed.name.span(), reason));
            if known.alternatives.len() >= MAX_ALTERNATIVES {
                return refuse(format!("a component has at most {MAX_ALTERNATIVES} alternatives"));
            }
            if known
                .alternatives
                .iter()
                .any(|other| other.name == alternative.name)
            {
                return refuse(format!(
                    "component \"{name}\" has an alternative \"{}\" already",
                    alternative.name
                ));
            }
            known.alternatives.push(alternative);
        }
        Ok(Vec::new())
    }

    fn alternative(
        &mut self,
        here: &Layer<'_>,
        typed: &typed::Alternative,
        kept: bool,
        reading: &Reading<'_>,
        files: &mut dyn Files,
    ) -> Result<Alternative, PolicyError> {
        let name = named(here, &typed.name, "each alternative")?;
        let moment = |date: &Option<Spanned<toml::value::Datetime>>,
                      read: fn(&_) -> Result<i64, &'static str>| {
            date.as_ref()
                .map(|date| read(date.get_ref()).map_err(|reason| here.at(date.span(), reason)))
                .transpose()
        };
        let window = Window {
            from: moment(&typed.from, window::beginning)?,
            until: moment(&typed.until, window::end)?,
        };
        if let (Some(from), Some(until), Some(typed)) = (window.from, window.until, &typed.until)
            && from >= until
        {
            return Err(here.at(
                typed.span(),
                "until lies before from, so the alternative is never valid",
            ));
        }
        let (pcrs, boot_log) = (pcrs(here, &typed.pcrs)?, boot_log(here, &typed.boot_log)?);
        if pcrs.is_empty() && boot_log.is_empty() && typed.lists.is_empty() {
            return Err(here.at(
                typed.name.span(),
                format!("alternative \"{name}\" has no values: write pcrs, boot_log or lists"),
            ));
        }
        let lists = if kept {
            self.lists(here, &typed.lists, reading, files)?
        } else {
            Vec::new()
        };
        Ok(Alternative {
            name,
            window,
            pcrs,
            boot_log,
            lists,
        })
    }

    pub(super) fn model(
        &mut self,
        here: &Layer<'_>,
        name: &Spanned<String>,
        typed: &typed::Model,
        boot: &toml::Table,
        reading: &Reading<'_>,
        files: &mut dyn Files,
    ) -> Result<(), PolicyError> {
        let known = named(here, name, "each model")?;
        let common = self.files.len();
        let this = reading.model == Some(known.as_str());
        self.models.insert(known);
        if self.models.len() > MAX_MODELS {
            return Err(here.at(name.span(), format!("at most {MAX_MODELS} models")));
        }
        let (pcrs, boot_log) = (pcrs(here, &typed.pcrs)?, boot_log(here, &typed.boot_log)?);
        let mut note = |what, values: &ByPcr| {
            for (bank, index) in values.keys() {
                self.of_models
                    .entry((what, *bank, *index))
                    .or_insert_with(|| here.at(name.span(), ""));
            }
        };
        note("pcrs", &pcrs);
        note("boot_log", &boot_log);
        for component in &typed.component {
            for alternative in self.component(here, component, this, reading, files)? {
                let mut note = |what, values: &ByPcr| {
                    for (bank, index) in values.keys() {
                        self.of_models
                            .entry((what, *bank, *index))
                            .or_insert_with(|| here.at(name.span(), ""));
                    }
                };
                note("pcrs", &alternative.pcrs);
                note("boot_log", &alternative.boot_log);
            }
        }
        if let Some(rules) = &typed.boot {
            for key in boot.keys() {
                let place = here.at(rules.span(), "");
                self.boot_of_models.entry(key.clone()).or_insert(place);
            }
        }
        if this {
            self.add(pcrs, boot_log);
            if let Some(rules) = &typed.boot {
                self.boot(here, rules, boot)?;
            }
            let lists = self.lists(here, &typed.lists, reading, files)?;
            self.lists.extend(lists);
        }
        let of_model = self.files.split_off(common.min(self.files.len()));
        self.files_of_model.extend(of_model);
        Ok(())
    }
}

/// For whom a policy is read, in words.
pub(super) fn host_of(reading: &Reading<'_>) -> String {
    match reading.model {
        Some(model) => format!("for hosts of model \"{model}\""),
        None => "for hosts without model".to_owned(),
    }
}

fn patterns(here: &Layer<'_>, typed: &[Spanned<String>], to: &mut Vec<Pattern>) -> Result<(), PolicyError> {
    for text in typed {
        if to.len() >= MAX_PATTERNS {
            return Err(here.at(
                text.span(),
                format!("at most {MAX_PATTERNS} patterns of one kind"),
            ));
        }
        to.push(Pattern::parse(text.get_ref()).map_err(|reason| here.at(text.span(), reason))?);
    }
    Ok(())
}

fn covers_everything(pattern: &str) -> bool {
    Pattern::parse(pattern).is_ok_and(|pattern| !pattern.names_a_place())
}

fn add(to: &mut ByPcr, more: ByPcr) {
    for (key, digests) in more {
        to.entry(key).or_default().extend(digests);
    }
}
