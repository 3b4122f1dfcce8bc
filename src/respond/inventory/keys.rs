//! Which volumes are encrypted, and whether nova will get their keys: it asks with the token of whoever evacuates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::ASIDE_WITHIN;
use crate::openstack::{Cloud, Error, Server};
use crate::respond::plan::KeyRight;

/// Volumes asked for at once.
const AT_ONCE: usize = 8;

/// The encrypted volumes of these instances, and those of which it could not be read in time.
pub(super) async fn read(cloud: &Cloud, instances: &[Server]) -> BTreeMap<String, KeyRight> {
    let volumes: BTreeSet<&String> = instances.iter().flat_map(|server| &server.volumes).collect();
    if volumes.is_empty() || matches!(cloud.has_cinder().await, Ok(false)) {
        return BTreeMap::new();
    }
    let waiting = Mutex::new(volumes.iter().copied().collect::<Vec<_>>());
    let no_answer = KeyRight::NotKnown(format!("no answer within {ASIDE_WITHIN:?}"));
    let found = Mutex::new(
        volumes
            .iter()
            .map(|volume| ((*volume).clone(), no_answer.clone()))
            .collect(),
    );
    let one_by_one = || async {
        loop {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(volume) = next else { return };
            let right = right(cloud, volume).await;
            let mut found: std::sync::MutexGuard<'_, BTreeMap<String, KeyRight>> =
                found.lock().unwrap_or_else(PoisonError::into_inner);
            match right {
                Some(right) => drop(found.insert(volume.clone(), right)),
                None => drop(found.remove(volume)),
            }
        }
    };
    let all: [_; AT_ONCE] = std::array::from_fn(|_| Box::pin(one_by_one()));
    // What did not come in time stays as it was put in: not known.
    let _ = tokio::time::timeout(ASIDE_WITHIN, join(all)).await;
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

async fn join<F: Future<Output = ()>>(all: [F; AT_ONCE]) {
    let [a, b, c, d, e, f, g, h] = all;
    tokio::join!(a, b, c, d, e, f, g, h);
}

/// `None` for a volume that is not encrypted.
async fn right(cloud: &Cloud, volume: &str) -> Option<KeyRight> {
    let key = match cloud.volume_key(volume).await {
        Ok(key) => key?,
        // It was deleted, or detached, meanwhile.
        Err(Error::NotFound(_)) => return None,
        Err(error) => return Some(KeyRight::NotKnown(error.to_string())),
    };
    Some(match cloud.may_have_key(key).await {
        Ok(()) => KeyRight::Ours,
        Err(
            error @ (Error::Forbidden { .. }
            | Error::NotFound(_)
            | Error::Refused(_)
            | Error::Unauthorized(_)
            | Error::NoEndpoint { .. }),
        ) => KeyRight::Refused(error.to_string()),
        Err(error) => KeyRight::NotKnown(error.to_string()),
    })
}
