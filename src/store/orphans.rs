//! Hosts that nova shows as ours, and of which no case is known: what was seen of them, and how a person adopts one.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;

use super::cases::{note, open_case, unclosed_in};
use super::columns::each;
use super::connection::{Attempt, Write, statement};
use super::outbox::queue;
use super::{
    AuditEntry, NewCase, NewNotification, Outcome, Round, StepState, Store, StoreError, audit, hosts, rounds,
    sql,
};
use crate::clock::Timestamp;
use crate::ids::HostName;

/// A host that nova shows as ours, and of which no case is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Orphan {
    /// The host.
    pub host: HostName,
    /// What nova shows of it.
    pub words: String,
    /// Since when it was seen so.
    pub found_at: Timestamp,
}

/// One of them, as a look has found it.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// The host.
    pub host: HostName,
    /// What nova shows of it; people are told again when this changes.
    pub words: String,
    /// What people are told when it is new.
    pub told: NewNotification,
}

/// A case that is opened for such a host.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// The case, held.
    pub case: NewCase,
    /// The round that it names, where none is recorded of the host.
    pub round: Option<Round>,
    /// The steps that are seen to be done, and how.
    pub done: Vec<(&'static str, StepState, String)>,
    /// How it ends, where nothing is left to be done.
    pub closed: Option<Outcome>,
    /// For the audit trail.
    pub asked: AuditEntry,
    /// What people are told.
    pub told: NewNotification,
}

impl Store {
    /// All that the last look has found.
    pub async fn orphans(&self) -> Result<Vec<Orphan>, StoreError> {
        let attempt = Attempt::new("listing", "hosts without their case");
        self.list(attempt, statement(sql::ORPHANS), |row| {
            Ok(Orphan {
                host: row.read("host")?,
                words: row.text("words")?,
                found_at: row.at("found_at")?,
            })
        })
        .await
    }

    /// Records what a look has found, and tells of what is new or has changed. Of hosts in `not_known` nothing is
    /// changed. One that has a case by now is none. Returns those that were told of, and those that are none any more.
    pub async fn note_orphans(
        &self,
        found: &[Sighting],
        not_known: &BTreeSet<HostName>,
        now: Timestamp,
    ) -> Result<(Vec<HostName>, Vec<HostName>), StoreError> {
        let mut write = self
            .write(Attempt::new("recording", "hosts without their case"))
            .await?;
        let rows = write.rows(statement(sql::ORPHANS)).await?;
        let known = each(&rows, &write.attempt, |row| {
            Ok((row.read::<HostName>("host")?, row.text("words")?))
        })?;
        let (mut new, mut still) = (Vec::new(), BTreeSet::new());
        for sighting in found {
            if has_case(&mut write, &sighting.host).await? {
                continue;
            }
            still.insert(&sighting.host);
            if known
                .iter()
                .any(|(host, words)| *host == sighting.host && *words == sighting.words)
            {
                continue;
            }
            let row = |text| {
                statement(text)
                    .bind(sighting.words.clone())
                    .bind(now.as_millis())
                    .bind(sighting.host.to_string())
            };
            if write.run(row(sql::ORPHAN_UPDATE)).await? == 0 {
                write.run(row(sql::ORPHAN_INSERT)).await?;
            }
            queue(&mut write, &sighting.told, now).await?;
            new.push(sighting.host.clone());
        }
        let gone: Vec<HostName> = known
            .into_iter()
            .map(|(host, _)| host)
            .filter(|host| !still.contains(host) && !not_known.contains(host))
            .collect();
        for host in &gone {
            write
                .run(statement(sql::ORPHAN_DELETE).bind(host.to_string()))
                .await?;
        }
        write.commit().await?;
        Ok((new, gone))
    }

    /// Opens a case for a host that has none: it counts as quarantined from now on. Refused when it has one by now.
    pub async fn adopt(&self, adoption: &Adoption, now: Timestamp) -> Result<(), StoreError> {
        let case = &adoption.case;
        let mut write = self.write(Attempt::new("adopting host", &case.host)).await?;
        if has_case(&mut write, &case.host).await? {
            return Err(write.attempt.refused("it has a case"));
        }
        if let Some(round) = &adoption.round {
            rounds::insert(&mut write, round).await?;
        }
        open_case(&mut write, case, now).await?;
        let id = case.id.to_string();
        for (step, state, words) in &adoption.done {
            let update = statement(sql::STEP_END)
                .bind(state.as_str())
                .bind(now.as_millis())
                .bind(words.clone())
                .bind(id.clone())
                .bind(*step);
            if write.run(update).await? == 0 {
                return Err(write.attempt.unknown(format!("step {step} in the case")));
            }
        }
        if let Some(closed) = &adoption.closed {
            let update = statement(sql::CASE_CLOSE)
                .bind(closed.reason.clone())
                .bind(now.as_millis())
                .bind(closed.detail.as_str().to_owned())
                .bind(id.clone());
            write.run(update).await?;
        }
        let mark = statement(sql::HOST_QUARANTINED)
            .bind(id)
            .bind(case.host.to_string());
        write.run(mark).await?;
        write
            .run(statement(sql::ORPHAN_DELETE).bind(case.host.to_string()))
            .await?;
        let done: Vec<_> = adoption
            .done
            .iter()
            .map(|(step, _, words)| json!([step, words]))
            .collect();
        let says = format!("adopted by {}: {}", adoption.asked.who, adoption.asked.outcome);
        note(
            &mut write,
            &case.id,
            0,
            &json!({ "says": says, "seen": { "adopted": done } }),
            now,
        )
        .await?;
        audit::append(&mut write, &adoption.asked, now).await?;
        queue(&mut write, &adoption.told, now).await?;
        write.commit().await
    }
}

/// Whether a case is known that keeps the host out, or is about to.
async fn has_case(write: &mut Write, host: &HostName) -> Result<bool, StoreError> {
    let known = hosts::known(write, host).await?;
    let marked = known.is_some_and(|host| host.quarantined_by.is_some() || host.unscheduled_by.is_some());
    Ok(marked || unclosed_in(write, host).await?.is_some())
}
