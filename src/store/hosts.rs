//! Hosts as enrolled, what was last seen of them, and the history of their enrolments.

use std::path::PathBuf;

use lazaret_attest::verdict::Verdict;
use serde::Serialize;
use url::Url;

use super::audit::AuditEntry;
use super::cases::unclosed_in;
use super::columns::Columns;
use super::connection::{Attempt, Statement, Write, statement};
use super::{EnrolError, Json, Store, StoreError, sql};
use crate::clock::Timestamp;
use crate::ids::{CaseId, HostName, RoundId, Sha256Digest};

/// What enrolment proved about a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHost {
    /// Its name.
    pub name: HostName,
    /// Where its agent answers.
    pub agent_url: Url,
    /// Its own policy, where it differs from the configured one.
    pub policy: Option<PathBuf>,
    /// The attestation key, as TPM2B_PUBLIC.
    pub ak_public: Vec<u8>,
    /// The attestation key's Name.
    pub ak_name: Vec<u8>,
    /// SHA-256 of the endorsement key's TPM2B_PUBLIC.
    pub ek_public_digest: Sha256Digest,
    /// The endorsement key's certificate, DER.
    pub ek_certificate: Option<Vec<u8>>,
    /// Which endorsement key: `rsa-2048`, `ecc-p256`, `ecc-p384`.
    pub ek_kind: String,
    /// SHA-256 of the agent's TLS key (SubjectPublicKeyInfo).
    pub agent_key: Sha256Digest,
}

/// A host as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What enrolment proved.
    pub enrolled: NewHost,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// By whom.
    pub enrolled_by: String,
    /// When its next round is due.
    pub next_due: Option<Timestamp>,
    /// Its last result.
    pub last: Option<LastResult>,
    /// What the next round is held against (`lazaret_attest::result::History`).
    pub history: Option<Json>,
    /// Since when it has given no answer that could be judged.
    pub silent_since: Option<Timestamp>,
    /// The case that took it out of service, until it is released.
    pub quarantined_by: Option<CaseId>,
    /// Rounds in a row in which nothing could be said about it.
    pub silent_rounds: u32,
    /// The case that keeps new instances off it for its silence.
    pub unscheduled_by: Option<CaseId>,
}

impl Host {
    /// Its name.
    pub fn name(&self) -> &HostName {
        &self.enrolled.name
    }
}

/// A host's last result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastResult {
    /// The verdict.
    pub verdict: Verdict,
    /// The round that gave it.
    pub round: RoundId,
    /// When.
    pub at: Timestamp,
}

/// One entry in the history of enrolments, which is never rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Enrolment {
    /// The host.
    pub host: HostName,
    /// From 1, for each host.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// `enrolled`, `re-enrolled`, `new-key-accepted`, `removed`, or `removed-quarantined`: while it was in quarantine.
    pub action: String,
    /// SHA-256 of the endorsement key's TPM2B_PUBLIC.
    pub ek_public_digest: Sha256Digest,
    /// The attestation key's Name, in hex.
    pub ak_name: String,
    /// SHA-256 of the agent's TLS key.
    pub agent_key: Sha256Digest,
}

impl Store {
    /// Enrols a host, or enrols it again. A known host keeps its keys unless `accept_new_key` is set; with a new
    /// attestation key its history is void. One TPM stands for one host. One that was removed while it was in quarantine
    /// is in that quarantine again: only a release ends it.
    pub async fn enrol(
        &self,
        host: &NewHost,
        by: &str,
        accept_new_key: bool,
        now: Timestamp,
    ) -> Result<(), EnrolError> {
        let mut write = self.write(Attempt::new("enrolling host", &host.name)).await?;
        if let Some(other) = of_same_tpm(&mut write, host).await? {
            return Err(EnrolError::EkElsewhere {
                host: host.name.clone(),
                other,
                ek: host.ek_public_digest,
            });
        }
        let known = known(&mut write, &host.name).await?;
        let action = match &known {
            None => "enrolled",
            Some(known) => match changed_keys(&known.enrolled, host) {
                None => "re-enrolled",
                Some(_) if accept_new_key => "new-key-accepted",
                Some(changed) => {
                    return Err(EnrolError::KeyChanged {
                        host: host.name.clone(),
                        changed,
                        since: known.enrolled_at,
                    });
                }
            },
        };
        put(&mut write, host, by, now, known.is_some()).await?;
        if known.is_some_and(|known| known.enrolled.ak_name != host.ak_name) {
            write
                .run(statement(sql::HOST_VOID_HISTORY).bind(host.name.to_string()))
                .await?;
        }
        if action == "enrolled"
            && let Some(case) = quarantined_when_removed(&mut write, &host.name).await?
        {
            let back = statement(sql::HOST_QUARANTINED).bind(case);
            write.run(back.bind(host.name.to_string())).await?;
        }
        note_enrolment(&mut write, host, by, action, None, now).await?;
        Ok(write.commit().await?)
    }

    /// All hosts, by name.
    pub async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        self.list(Attempt::new("listing", "hosts"), statement(sql::HOSTS), host_of)
            .await
    }

    /// One host; `None` when it is not enrolled.
    pub async fn host(&self, name: &HostName) -> Result<Option<Host>, StoreError> {
        let attempt = Attempt::new("reading host", name);
        self.one(attempt, statement(sql::HOST).bind(name.to_string()), host_of)
            .await
    }

    /// Forgets a host, with an entry in the audit trail. Its rounds, cases, evidence and enrolments stay; an unclosed case
    /// refuses the removal.
    pub async fn remove_host(
        &self,
        name: &HostName,
        entry: &AuditEntry,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write(Attempt::new("removing host", name)).await?;
        let Some(host) = known(&mut write, name).await? else {
            return Err(write.attempt.unknown(format!("host {name}")));
        };
        if let Some(case) = unclosed_in(&mut write, name).await? {
            return Err(write.attempt.refused(format!("case {case} is not closed")));
        }
        let action = match &host.quarantined_by {
            Some(_) => REMOVED_QUARANTINED,
            None => "removed",
        };
        let quarantine = host.quarantined_by.as_ref();
        note_enrolment(&mut write, &host.enrolled, &entry.who, action, quarantine, now).await?;
        write
            .run(statement(sql::HOST_DELETE).bind(name.to_string()))
            .await?;
        super::audit::append(&mut write, entry, now).await?;
        write.commit().await
    }

    /// Sets when the host's next round is due.
    pub async fn set_next_due(&self, name: &HostName, due: Timestamp) -> Result<(), StoreError> {
        let update = statement(sql::HOST_NEXT_DUE)
            .bind(due.as_millis())
            .bind(name.to_string());
        self.change_host(Attempt::new("setting the next round of host", name), name, update)
            .await
    }

    /// Ends the quarantine of a host: a person released it.
    pub async fn end_quarantine(&self, name: &HostName) -> Result<(), StoreError> {
        let update = statement(sql::HOST_RELEASED).bind(name.to_string());
        self.change_host(Attempt::new("ending the quarantine of host", name), name, update)
            .await
    }

    /// The history of enrolments, of one host or of all, oldest first.
    pub async fn enrolments(&self, name: Option<&HostName>) -> Result<Vec<Enrolment>, StoreError> {
        let query = match name {
            Some(name) => statement(sql::ENROLMENTS_OF).bind(name.to_string()),
            None => statement(sql::ENROLMENTS),
        };
        self.list(Attempt::new("listing", "enrolments"), query, |row| {
            Ok(Enrolment {
                host: row.read("host")?,
                seq: row.int("seq")?,
                at: row.at("at")?,
                by: row.text("done_by")?,
                action: row.text("action")?,
                ek_public_digest: row.read("ek_public_digest")?,
                ak_name: row.text("ak_name")?,
                agent_key: row.read("agent_key")?,
            })
        })
        .await
    }

    async fn change_host(
        &self,
        attempt: Attempt,
        name: &HostName,
        update: Statement,
    ) -> Result<(), StoreError> {
        let mut write = self.write(attempt).await?;
        if write.run(update).await? == 0 {
            return Err(write.attempt.unknown(format!("host {name}")));
        }
        write.commit().await
    }
}

/// The host as the running transaction sees it.
pub(super) async fn known(write: &mut Write, name: &HostName) -> Result<Option<Host>, StoreError> {
    let row = write.row(statement(sql::HOST).bind(name.to_string())).await?;
    row.map(|row| {
        host_of(&Columns {
            row: &row,
            attempt: &write.attempt,
        })
    })
    .transpose()
}

/// What the history of enrolments says of a host that was removed while it was in quarantine.
const REMOVED_QUARANTINED: &str = "removed-quarantined";

/// The quarantine that a host was in when it was removed.
async fn quarantined_when_removed(write: &mut Write, name: &HostName) -> Result<Option<String>, StoreError> {
    let last = write
        .row(statement(sql::ENROLMENT_LAST_ACTION).bind(name.to_string()))
        .await?;
    let Some(row) = last else { return Ok(None) };
    let attempt = &write.attempt;
    let last = Columns { row: &row, attempt };
    if last.text("action")? != REMOVED_QUARANTINED {
        return Ok(None);
    }
    if let Some(case) = last.raw::<Option<String>>("quarantine")? {
        return Ok(Some(case));
    }
    // Removed by a version that did not write down which.
    let case = write
        .row(statement(sql::CASE_LAST_QUARANTINE).bind(name.to_string()))
        .await?;
    let attempt = &write.attempt;
    case.map(|row| Columns { row: &row, attempt }.text("id"))
        .transpose()
}

async fn of_same_tpm(write: &mut Write, host: &NewHost) -> Result<Option<HostName>, StoreError> {
    let query = statement(sql::HOST_BY_EK)
        .bind(host.ek_public_digest.to_string())
        .bind(host.name.to_string());
    let row = write.row(query).await?;
    row.map(|row| {
        Columns {
            row: &row,
            attempt: &write.attempt,
        }
        .read("name")
    })
    .transpose()
}

/// Which keys differ, in words.
fn changed_keys(known: &NewHost, offered: &NewHost) -> Option<String> {
    let changes = [
        (
            known.ek_public_digest != offered.ek_public_digest,
            "an endorsement key",
        ),
        (
            known.ak_name != offered.ak_name || known.ak_public != offered.ak_public,
            "an attestation key",
        ),
        (known.agent_key != offered.agent_key, "a TLS key of the agent"),
    ];
    let changed: Vec<_> = changes
        .iter()
        .filter(|(differs, _)| *differs)
        .map(|(_, name)| *name)
        .collect();
    (!changed.is_empty()).then(|| changed.join(" and "))
}

async fn put(
    write: &mut Write,
    host: &NewHost,
    by: &str,
    now: Timestamp,
    known: bool,
) -> Result<(), StoreError> {
    let policy = host.policy.as_ref().map(|path| path.display().to_string());
    let name = host.name.to_string();
    let keys = |query: Statement| {
        query
            .bind(host.agent_url.to_string())
            .bind(policy)
            .bind(host.ak_public.clone())
            .bind(hex::encode(&host.ak_name))
            .bind(host.ek_public_digest.to_string())
            .bind(host.ek_certificate.clone())
            .bind(host.ek_kind.clone())
            .bind(host.agent_key.to_string())
            .bind(now.as_millis())
            .bind(by.to_owned())
    };
    let query = if known {
        keys(statement(sql::HOST_ENROL_AGAIN)).bind(name)
    } else {
        keys(statement(sql::HOST_INSERT).bind(name))
    };
    write.run(query).await.map(|_| ())
}

async fn note_enrolment(
    write: &mut Write,
    host: &NewHost,
    by: &str,
    action: &str,
    quarantine: Option<&CaseId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let name = host.name.to_string();
    let last = write
        .last(statement(sql::ENROLMENT_LAST).bind(name.clone()))
        .await?;
    let insert = statement(sql::ENROLMENT_INSERT)
        .bind(name)
        .bind(last + 1)
        .bind(now.as_millis())
        .bind(by.to_owned())
        .bind(action.to_owned())
        .bind(host.ek_public_digest.to_string())
        .bind(hex::encode(&host.ak_name))
        .bind(host.agent_key.to_string())
        .bind(quarantine.map(ToString::to_string));
    write.run(insert).await.map(|_| ())
}

fn host_of(row: &Columns<'_>) -> Result<Host, StoreError> {
    let last = match (
        row.maybe_read("last_verdict")?,
        row.maybe_read("last_round")?,
        row.maybe_at("last_result_at")?,
    ) {
        (Some(verdict), Some(round), Some(at)) => Some(LastResult { verdict, round, at }),
        (None, None, None) => None,
        _ => return Err(row.attempt.damaged("a last result that is there in part")),
    };
    Ok(Host {
        enrolled: NewHost {
            name: row.read("name")?,
            agent_url: row.read("agent_url")?,
            policy: row.raw::<Option<String>>("policy")?.map(PathBuf::from),
            ak_public: row.raw("ak_public")?,
            ak_name: hex::decode(row.text("ak_name")?)
                .map_err(|error| row.attempt.damaged(format!("column ak_name: {error}")))?,
            ek_public_digest: row.read("ek_public_digest")?,
            ek_certificate: row.raw("ek_certificate")?,
            ek_kind: row.text("ek_kind")?,
            agent_key: row.read("agent_key")?,
        },
        enrolled_at: row.at("enrolled_at")?,
        enrolled_by: row.text("enrolled_by")?,
        next_due: row.maybe_at("next_due")?,
        last,
        history: row.maybe_json("history")?,
        silent_since: row.maybe_at("silent_since")?,
        quarantined_by: row.maybe_read("quarantined_by")?,
        silent_rounds: u32::try_from(row.int("silent_rounds")?).unwrap_or(u32::MAX),
        unscheduled_by: row.maybe_read("unscheduled_by")?,
    })
}
