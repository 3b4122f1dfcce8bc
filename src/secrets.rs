//! Secrets at the moment of their use: files and systemd credentials are read each time; what is in barbican is fetched
//! when it is needed and kept in memory for ten minutes, overwritten when they are over.
//!
//! It is fetched as soon as a case is opened: keystone or barbican may be gone by the time that the host is fenced.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::secret::{BarbicanRef, Secret, SecretError, SecretSource};

/// How long a fetched secret is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(600);

/// Where secrets by reference are fetched from.
pub trait Vault: Send + Sync {
    /// The secret, or why it cannot be had, in words that hold no part of it.
    fn fetch<'a>(
        &'a self,
        of: &'a BarbicanRef,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, String>> + Send + 'a>>;
}

/// Reads secrets. Clones share what is kept.
#[derive(Clone, Default)]
pub struct Secrets {
    vault: Option<Arc<dyn Vault>>,
    kept: Arc<Kept>,
}

/// Why a secret is doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The BMC refused it, in so many words.
    Refused,
    /// Something failed, perhaps because of it: fence agents do not say.
    Failed,
}

#[derive(Default)]
struct Kept(Mutex<HashMap<BarbicanRef, (Secret, Instant)>>);

impl Secrets {
    /// Fetches from this vault what is not on this machine.
    pub fn from(vault: Arc<dyn Vault>) -> Self {
        Self {
            vault: Some(vault),
            kept: Arc::default(),
        }
    }

    /// The secret as it is now; one from barbican as it was within the last ten minutes.
    pub async fn read(&self, source: &SecretSource) -> Result<Secret, SecretError> {
        match source {
            SecretSource::Barbican(of) => match self.kept.live(of) {
                Some(secret) => Ok(secret),
                None => self.fetch(of).await,
            },
            SecretSource::File(_) | SecretSource::Credential(_) | SecretSource::Inline(_) => source.read(),
        }
    }

    /// Fetches ahead what will be needed: kept already, it is fetched anew in the second half of its time, so that five
    /// minutes at least are left when keystone dies. Trouble is told, and changes nothing.
    pub async fn ahead(&self, source: &SecretSource) {
        let SecretSource::Barbican(of) = source else {
            return;
        };
        let fresh = self.kept.lock().get(of).map(|(_, until)| *until);
        if fresh.is_some_and(|until| until.saturating_duration_since(Instant::now()) > KEPT_FOR / 2) {
            return;
        }
        if let Err(error) = self.fetch(of).await {
            tracing::warn!(%error, "a password that may be needed soon cannot be fetched now");
        }
    }

    /// What was read last did not work: it is fetched once more. `true` when it is another one now, so that one more
    /// attempt makes sense; a wrong password that is tried again counts towards a lock-out.
    ///
    /// What was refused for certain is dropped at once; where something else may be the reason, it is kept until there is
    /// a newer one.
    pub async fn renewed(&self, source: &SecretSource, why: Doubt) -> bool {
        let SecretSource::Barbican(of) = source else {
            return false;
        };
        let used = match why {
            Doubt::Refused => self.kept.lock().remove(of),
            Doubt::Failed => self.kept.lock().get(of).cloned(),
        };
        match (self.fetch(of).await, used) {
            (Ok(secret), Some((used, _))) => secret.expose() != used.expose(),
            (Ok(_), None) => false,
            (Err(error), _) => {
                tracing::warn!(%error, "a password that did not work cannot be fetched anew");
                false
            }
        }
    }

    async fn fetch(&self, of: &BarbicanRef) -> Result<Secret, SecretError> {
        let failed = |why: String| SecretError::Barbican { of: of.clone(), why };
        let Some(vault) = &self.vault else {
            return Err(failed(
                "no cloud is configured, so there is no barbican".to_owned(),
            ));
        };
        let secret = vault.fetch(of).await.map_err(failed)?;
        if secret.expose().is_empty() {
            return Err(failed("it is empty".to_owned()));
        }
        let until = Instant::now() + KEPT_FOR;
        self.kept.lock().insert(of.clone(), (secret.clone(), until));
        // Overwritten when its time is over, also where nobody asks again.
        tokio::spawn(sweep(Arc::downgrade(&self.kept), until));
        Ok(secret)
    }
}

impl Kept {
    fn live(&self, of: &BarbicanRef) -> Option<Secret> {
        let mut kept = self.lock();
        match kept.get(of) {
            Some((secret, until)) if Instant::now() < *until => Some(secret.clone()),
            Some(_) => {
                kept.remove(of);
                None
            }
            None => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BarbicanRef, (Secret, Instant)>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(kept: Weak<Kept>, until: Instant) {
    tokio::time::sleep_until(until).await;
    if let Some(kept) = kept.upgrade() {
        kept.lock().retain(|_, (_, until)| Instant::now() < *until);
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A vault whose answer the test changes: the real one is asked in tests/cloud.
    #[derive(Default)]
    struct Scripted {
        answer: Mutex<Option<&'static str>>,
        asked: AtomicUsize,
    }

    impl Vault for Scripted {
        fn fetch<'a>(
            &'a self,
            _: &'a BarbicanRef,
        ) -> Pin<Box<dyn Future<Output = Result<Secret, String>> + Send + 'a>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let answer = *self.answer.lock().unwrap();
            Box::pin(async move {
                answer
                    .map(|text| Secret::new(text.to_owned()))
                    .ok_or_else(|| "keystone does not answer".to_owned())
            })
        }
    }

    fn vault(answer: &'static str) -> (Arc<Scripted>, Secrets, SecretSource) {
        let vault = Arc::new(Scripted::default());
        *vault.answer.lock().unwrap() = Some(answer);
        let secrets = Secrets::from(Arc::clone(&vault) as Arc<dyn Vault>);
        let of = "name:bmc-cmp-1".parse().unwrap();
        (vault, secrets, SecretSource::Barbican(of))
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetched_secret_outlives_keystone_for_ten_minutes_and_no_longer() {
        let (vault, secrets, source) = vault("hunter2");
        assert_eq!(secrets.read(&source).await.unwrap().expose(), "hunter2");
        *vault.answer.lock().unwrap() = None;
        tokio::time::advance(KEPT_FOR - Duration::from_millis(5)).await;
        assert_eq!(secrets.clone().read(&source).await.unwrap().expose(), "hunter2");
        assert_eq!(vault.asked.load(Ordering::SeqCst), 1, "asked once");
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(
            secrets.kept.lock().is_empty(),
            "overwritten without being asked for"
        );
        let words = secrets.read(&source).await.unwrap_err().to_string();
        assert!(
            words.contains("keystone does not answer") && words.contains("bmc-cmp-1"),
            "{words}"
        );
    }

    #[tokio::test]
    async fn a_refused_secret_is_dropped_and_fetched_once_again() {
        let (vault, secrets, source) = vault("old");
        secrets.read(&source).await.unwrap();
        let renewed = async |why| secrets.renewed(&source, why).await;
        assert!(!renewed(Doubt::Refused).await, "the same one: not tried again");
        *vault.answer.lock().unwrap() = Some("new");
        assert!(renewed(Doubt::Refused).await);
        assert_eq!(secrets.read(&source).await.unwrap().expose(), "new");
        *vault.answer.lock().unwrap() = None;
        assert!(!renewed(Doubt::Failed).await);
        assert_eq!(
            secrets.read(&source).await.unwrap().expose(),
            "new",
            "keystone is dead, and it may be right"
        );
        assert!(!renewed(Doubt::Refused).await);
        assert!(
            secrets.read(&source).await.is_err(),
            "what was refused is not used again"
        );
        let local = SecretSource::Inline(Secret::new("x".into()));
        assert!(!secrets.renewed(&local, Doubt::Refused).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_fetched_ahead_leaves_five_minutes_when_keystone_dies() {
        let (vault, secrets, source) = vault("one");
        secrets.ahead(&source).await;
        tokio::time::advance(KEPT_FOR / 2 - Duration::from_secs(1)).await;
        secrets.ahead(&source).await;
        assert_eq!(vault.asked.load(Ordering::SeqCst), 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        secrets.ahead(&source).await;
        assert_eq!(vault.asked.load(Ordering::SeqCst), 2);
        *vault.answer.lock().unwrap() = None;
        tokio::time::advance(KEPT_FOR / 2 + Duration::from_secs(1)).await;
        secrets.ahead(&source).await;
        assert_eq!(secrets.read(&source).await.unwrap().expose(), "one");
    }

    #[tokio::test]
    async fn nothing_of_a_secret_is_shown_and_without_a_cloud_there_is_no_barbican() {
        let (_vault, secrets, source) = vault("hunter2");
        secrets.read(&source).await.unwrap();
        assert!(!format!("{secrets:?} {source:?} {source}").contains("hunter2"));
        let words = Secrets::default().read(&source).await.unwrap_err().to_string();
        assert!(words.contains("no cloud is configured"), "{words}");
    }
}
