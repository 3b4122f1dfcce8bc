//! The TPM behind one owner: requests queue, one thread answers, nobody else waits.
//!
//! libtss2's calls block, and a TPM may take seconds or hang. So exactly one thread talks to it. Requests that do not fit the queue
//! are answered "busy"; one that waits too long is answered "slow" and is skipped when its turn comes. The identity is
//! kept ready, so that asking for it needs no TPM.

mod activation;
mod attestation_key;
mod blob;
mod connection;
mod endorsement;
mod error;
mod owner;
mod pcrs;

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, mpsc},
    time::Duration,
};

use lazaret_wire::{Activate, Attest, Identity, PcrValue, Problem};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::config::{KeyChoice, Tcti};

pub use connection::{Connection, look};
pub use error::TpmError;

/// What the owner of the TPM must know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How to reach the TPM.
    pub tcti: Tcti,
    /// The host's name, for the identity.
    pub host: String,
    /// Where the attestation key's blob is.
    pub state_directory: PathBuf,
    /// The algorithm of a key that is yet to be made.
    pub key: KeyChoice,
    /// Whether a key that this TPM cannot load may be replaced.
    pub new_identity: bool,
    /// Requests that may wait.
    pub queue: usize,
    /// How long one waits.
    pub timeout: Duration,
}

/// A quote, and the values that belong to it.
#[derive(Debug, Clone)]
pub struct Quoted {
    /// TPMS_ATTEST.
    pub quote: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// The quoted PCRs.
    pub pcrs: Vec<PcrValue>,
}

/// Asks the owner of the TPM.
#[derive(Debug, Clone)]
pub struct Tpm {
    jobs: mpsc::SyncSender<Job>,
    standing: Arc<RwLock<Standing>>,
    timeout: Duration,
}

/// What is known about the identity.
#[derive(Debug)]
enum Standing {
    /// EK and AK are being prepared, or could not be: why not.
    Unready(Problem),
    /// As every verifier may know it.
    Ready(Arc<Identity>),
}

type Reply<T> = oneshot::Sender<Result<T, TpmError>>;

enum Job {
    Activate(Activate, Reply<Zeroizing<Vec<u8>>>),
    Quote {
        asked: Attest,
        qualifying_data: [u8; 32],
        reply: Reply<Quoted>,
    },
    Stop(oneshot::Sender<()>),
}

impl Job {
    /// Whether nobody waits for it any longer.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Activate(_, reply) => reply.is_closed(),
            Self::Quote { reply, .. } => reply.is_closed(),
            Self::Stop(_) => false,
        }
    }
}

impl Tpm {
    /// Starts the owner. It prepares EK and AK at once, and tries again until it can.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(settings.queue);
        let preparing = Problem::new(Problem::TPM_SLOW, "the agent is preparing its keys; ask again");
        let standing = Arc::new(RwLock::new(Standing::Unready(preparing)));
        let timeout = settings.timeout;
        let owner = owner::Owner::new(settings, Arc::clone(&standing));
        std::thread::Builder::new()
            .name("tpm".to_owned())
            .spawn(move || {
                let run = std::panic::AssertUnwindSafe(|| owner.run(&queue));
                if std::panic::catch_unwind(run).is_err() {
                    // An agent without its TPM's owner answers nothing; the service manager starts it anew.
                    tracing::error!("the thread that owns the TPM panicked; the agent ends");
                    std::process::exit(71);
                }
            })?;
        Ok(Self {
            jobs,
            standing,
            timeout,
        })
    }

    /// The identity, without asking the TPM.
    pub fn identity(&self) -> Result<Arc<Identity>, Problem> {
        match &*self.standing.read().unwrap_or_else(PoisonError::into_inner) {
            Standing::Ready(identity) => Ok(Arc::clone(identity)),
            Standing::Unready(problem) => Err(problem.clone()),
        }
    }

    /// Opens a credential.
    pub async fn activate(&self, request: Activate) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        self.ask(|reply| Job::Activate(request, reply)).await
    }

    /// Quotes the PCRs that were asked for.
    pub async fn quote(&self, asked: Attest, qualifying_data: [u8; 32]) -> Result<Quoted, TpmError> {
        self.ask(|reply| Job::Quote {
            asked,
            qualifying_data,
            reply,
        })
        .await
    }

    /// Lets the owner finish what it does and close the TPM; a hung TPM is not waited for beyond `patience`.
    pub async fn stop(&self, patience: Duration) {
        let (done, stopped) = oneshot::channel();
        if self.jobs.try_send(Job::Stop(done)).is_ok() {
            // Either it stopped, or it hangs: there is nothing more to do about it.
            let _ = tokio::time::timeout(patience, stopped).await;
        }
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, TpmError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.try_send(job(reply)).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => TpmError::Busy,
            mpsc::TrySendError::Disconnected(_) => TpmError::Stopped,
        })?;
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(TpmError::Stopped),
            Err(_) => Err(TpmError::Slow {
                waited_s: self.timeout.as_secs(),
            }),
        }
    }
}
