//! Notices a database that is older than the one that this daemon worked on: a backup that was put back.
//!
//! It knows nothing of what people decided since. A host that was released would be quarantined again, switched off with
//! the instances that it has by now; so nothing follows from anything before a person has looked. What is compared is the
//! head of the audit trail, in which every decision of a person is, with the one that was noted beside the verifier's
//! identity, for each place of a database. A state directory that is put back as a whole is not noticed.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Trouble};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::ids::PauseId;
use crate::respond::notify::{Event, Kind};
use crate::store::{Pause, Store, StoreError};

/// Who pauses.
const DAEMON: &str = "daemon";

/// How long nothing follows from anything, unless a person ends it.
const PAUSED_FOR: Duration = Duration::from_secs(30 * 86_400);

/// How often the head is noted.
const NOTE: Duration = Duration::from_secs(10);

/// Where the head of a database's audit trail is noted: beside the identity, by where the database is.
pub(super) fn note_of(config: &Config) -> PathBuf {
    let place = Sha256::digest(config.store.path.as_os_str().as_encoded_bytes());
    let name = format!(
        "audit-head-{}.json",
        hex::encode(place.get(..4).unwrap_or_default())
    );
    config.identity.directory.join(name)
}

/// The newest entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    seq: i64,
    hash: String,
}

/// Pauses the whole cloud, once, where the database lacks what this daemon has seen in it.
pub(super) async fn look(store: &Store, file: &Path, now: Timestamp) -> Result<(), Trouble> {
    // In one that is new nobody is quarantined.
    let is_new = store.latest_audit(1).await?.is_empty();
    if let Some(noted) = read(file)?
        && !is_new
        && !has(store, &noted).await?
    {
        let because = format!(
            "the database was put back: it lacks entry {} of the audit trail, which this daemon had seen. Hosts that were \
             released since may be quarantined in it. Put the newest database in its place if there is one; else compare \
             `lazaret hosts list` and `lazaret quarantine list` with nova, and take the instances off each such host first",
            noted.seq
        );
        tracing::error!("{because}");
        let pause = Pause {
            id: PauseId::new(now, rand::random()),
            host: None,
            from: now,
            until: now.plus(PAUSED_FOR),
            because: because.clone(),
            by: DAEMON.to_owned(),
            made_at: now,
            ended_at: None,
            ended_by: None,
        };
        let told = Event::cloud(Kind::DatabasePutBack, because, now);
        store.pause(&pause, &told.queued(), now).await?;
    }
    note(store, file).await
}

/// Notes the head as it goes on, until `stop`.
pub(super) async fn keep_noting(store: Store, file: PathBuf, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(NOTE) => {}
        }
        if let Err(trouble) = note(&store, &file).await {
            tracing::warn!(
                "a database that is put back may go unnoticed: {:#}",
                trouble.cause
            );
        }
    }
}

async fn has(store: &Store, noted: &Head) -> Result<bool, StoreError> {
    let entry = store.audit_entry(noted.seq).await?;
    Ok(entry.is_some_and(|entry| entry.hash.to_string() == noted.hash))
}

async fn note(store: &Store, file: &Path) -> Result<(), Trouble> {
    let Some(newest) = store.latest_audit(1).await?.pop() else {
        return Ok(());
    };
    let head = Head {
        seq: newest.seq,
        hash: newest.hash.to_string(),
    };
    if read(file).is_ok_and(|known| known.as_ref() == Some(&head)) {
        return Ok(());
    }
    // Two daemons may note at the same time.
    let own = file.with_extension(format!("{:08x}.new", rand::random::<u32>()));
    let text = serde_json::to_vec(&head).unwrap_or_default();
    fs::File::create(&own)
        .and_then(|mut new| {
            new.write_all(&text)?;
            new.sync_all()
        })
        .and_then(|()| fs::rename(&own, file))
        .map_err(|error| failed("write", file, &error.to_string()))
}

fn read(file: &Path) -> Result<Option<Head>, Trouble> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", file, &error.to_string())),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| failed("read", file, &error.to_string()))
}

fn failed(what: &str, path: &Path, why: &str) -> Trouble {
    Trouble::say(
        Exit::Io,
        format_args!(
            "cannot {what} {}, by which a database that was put back is noticed: {why}; see its owner and its disk. Remove it \
             only if you know that the database is the newest one",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::AuditEntry;

    const FILE: &str = "audit-head.json";
    const NOW: Timestamp = Timestamp::from_millis(1_795_243_380_000);

    async fn decide(store: &Store, what: &str) {
        let entry = AuditEntry {
            who: "cli:ann".to_owned(),
            what: what.to_owned(),
            subject: "host cmp-1".to_owned(),
            outcome: "done".to_owned(),
        };
        store.audit(&entry, NOW).await.unwrap();
    }

    async fn paused(store: &Store) -> Option<String> {
        let host = "cmp-1".parse().unwrap();
        store.paused(&host, NOW).await.unwrap().map(|pause| pause.because)
    }

    /// Copied as it was before a release; put back once without and once with decisions of its own after it.
    #[tokio::test]
    async fn a_backup_that_is_put_back_pauses_the_cloud_once_and_the_newest_database_does_not() {
        for goes_on in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let (database, backup) = (
                directory.path().join("lazaret.db"),
                directory.path().join("backup.db"),
            );
            let store = Store::open(&database).await.unwrap();
            decide(&store, "enrol").await;
            look(&store, &directory.path().join(FILE), NOW).await.unwrap();
            store.close().await;
            fs::copy(&database, &backup).unwrap();
            let store = Store::open(&database).await.unwrap();
            decide(&store, "release").await;
            note(&store, &directory.path().join(FILE)).await.unwrap();
            look(&store, &directory.path().join(FILE), NOW).await.unwrap();
            assert_eq!(paused(&store).await, None);
            store.close().await;

            let store = Store::open(&backup).await.unwrap();
            if goes_on {
                decide(&store, "approve").await;
            }
            look(&store, &directory.path().join(FILE), NOW).await.unwrap();
            let because = paused(&store).await.unwrap();
            assert!(because.contains("lacks entry 2"), "{because}");
            let told = store.notifications(10).await.unwrap();
            assert_eq!(told.len(), 1);
            assert_eq!(told[0].0.kind, "database-put-back");
            // A person ended the pause: it stays ended.
            let resumed = Event::cloud(Kind::Resumed, "x".to_owned(), NOW).queued();
            store.resume(None, "cli:ann", &resumed, NOW).await.unwrap();
            look(&store, &directory.path().join(FILE), NOW).await.unwrap();
            assert_eq!(paused(&store).await, None);
        }
    }

    #[tokio::test]
    async fn a_new_database_in_place_of_an_old_one_pauses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        for (name, decides) in [("old.db", true), ("new.db", false)] {
            let store = Store::open(&directory.path().join(name)).await.unwrap();
            if decides {
                decide(&store, "enrol").await;
            }
            look(&store, &directory.path().join(FILE), NOW).await.unwrap();
            assert_eq!(paused(&store).await, None, "{name}");
        }
    }

    #[tokio::test]
    async fn a_note_that_cannot_be_read_is_an_error_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("lazaret.db")).await.unwrap();
        fs::write(directory.path().join(FILE), "{").unwrap();
        let trouble = look(&store, &directory.path().join(FILE), NOW).await.unwrap_err();
        assert!(trouble.cause.to_string().contains("audit-head.json"));
        assert_eq!(fs::read(directory.path().join(FILE)).unwrap(), b"{");
    }
}
