//! What must agree in a policy before it judges anybody, and its lists put in order.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::component::{ListUse, bit};
use super::joined::{Joined, host_of};
use super::values::Layer;
use super::{ByPcr, ImaReference, PolicyError, Reading};
use crate::pcr::HashAlg;

impl Joined {
    /// No host is compared with less than the models are, because nobody said which model it is.
    pub(super) fn models_agree(&self, reading: &Reading<'_>, top: &Layer<'_>) -> Result<(), PolicyError> {
        let names = || {
            self.models
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        };
        if let Some(model) = reading.model
            && !self.models.contains(model)
        {
            return Err(top.at(
                0..0,
                match self.models.len() {
                    0 => format!("the host is of model \"{model}\", but the policy has no [model.\"..\"]"),
                    _ => format!("the host is of model \"{model}\"; the policy has {}", names()),
                },
            ));
        }
        let compared = |what: &str, key: &(HashAlg, u8)| {
            let of = |pcrs: &ByPcr, boot_log: &ByPcr| match what {
                "pcrs" => pcrs.contains_key(key),
                _ => boot_log.contains_key(key),
            };
            of(&self.pcrs, &self.boot_log)
                || self.components.iter().any(|component| {
                    component
                        .alternatives
                        .iter()
                        .any(|alternative| of(&alternative.pcrs, &alternative.boot_log))
                })
        };
        for ((what, bank, index), place) in &self.of_models {
            if !compared(what, &(*bank, *index)) && !reading.base {
                let host = host_of(reading);
                return Err(PolicyError {
                    reason: format!(
                        "this model compares {what}.{bank}.{index}, and nothing does {host}; name the host's model in its \
                         [[host]], or list values for all"
                    ),
                    ..place.clone()
                });
            }
        }
        Ok(())
    }

    /// What the alternatives of a component must have in common, and what two components must not.
    pub(super) fn components_agree(&mut self, top: &Layer<'_>) -> Result<(), PolicyError> {
        let mut owner: BTreeMap<(HashAlg, u8), &str> = BTreeMap::new();
        let mut events: BTreeMap<(HashAlg, u8, &[u8]), &str> = BTreeMap::new();
        for component in &self.components {
            let name = component.name.as_str();
            let refuse = |what: String| Err(top.at(place_of(top.text, name), what));
            let keys: BTreeSet<_> = component
                .alternatives
                .iter()
                .flat_map(|a| a.pcrs.keys())
                .collect();
            for (bank, index) in keys {
                if let Some(lacks) = component
                    .alternatives
                    .iter()
                    .find(|alternative| !alternative.pcrs.contains_key(&(*bank, *index)))
                {
                    return refuse(format!(
                        "component \"{name}\": alternative \"{}\" has no value for PCR {bank}:{index}, which others have; \
                         a host that runs it could never match",
                        lacks.name
                    ));
                }
                if let Some(other) = owner.insert((*bank, *index), name) {
                    return refuse(format!(
                        "components \"{other}\" and \"{name}\" both have values of PCR {bank}:{index}; one PCR has one \
                         value for both, so join them or list events under boot_log"
                    ));
                }
            }
            for alternative in &component.alternatives {
                for ((bank, index), digests) in &alternative.boot_log {
                    for digest in digests {
                        match events.insert((*bank, *index, digest), name) {
                            Some(other) if other != name => {
                                return refuse(format!(
                                    "components \"{other}\" and \"{name}\" both list the digest {} for PCR \
                                     {bank}:{index}; put what they share under [boot_log]",
                                    hex::encode(digest)
                                ));
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        // Every PCR that is compared is a key here, if only with values of components.
        for component in &self.components {
            for alternative in &component.alternatives {
                for key in alternative.pcrs.keys() {
                    self.pcrs.entry(*key).or_default();
                }
                for key in alternative.boot_log.keys() {
                    self.boot_log.entry(*key).or_default();
                }
            }
        }
        Ok(())
    }

    pub(super) fn reference(&self) -> ImaReference {
        let mut lists: Vec<ListUse> = Vec::new();
        for list in &self.lists {
            if !lists.iter().any(|known| known.list.digest() == list.digest()) {
                lists.push(ListUse {
                    list: Arc::clone(list),
                    of: Vec::new(),
                });
            }
        }
        let always = lists.len();
        for (number, component) in self.components.iter().enumerate() {
            for (at, alternative) in component.alternatives.iter().enumerate() {
                for list in &alternative.lists {
                    match lists
                        .iter()
                        .position(|known| known.list.digest() == list.digest())
                    {
                        // It is valid always.
                        Some(place) if place < always => {}
                        Some(place) => {
                            if let Some(known) = lists.get_mut(place) {
                                known.of.push((number, bit(at)));
                            }
                        }
                        None => lists.push(ListUse {
                            list: Arc::clone(list),
                            of: vec![(number, bit(at))],
                        }),
                    }
                }
            }
        }
        ImaReference {
            lists,
            exclude: self.exclude.clone(),
            keyrings: self.keyrings.clone(),
            signed: self.signed.clone(),
            protected: self.protected.clone(),
            policies: self.policies.clone(),
            lag_limit_s: self.lag_limit_s,
        }
    }
}

/// Where a component's name stands, for errors about the whole; the beginning, if it comes from another file.
fn place_of(text: &str, name: &str) -> Range<usize> {
    let at = text.find(&format!("\"{name}\"")).unwrap_or(0);
    at..at
}
