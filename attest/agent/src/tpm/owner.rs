//! The one thread that talks to the TPM.

use std::{
    sync::{Arc, PoisonError, RwLock, mpsc},
    time::Duration,
};

use lazaret_wire::Problem;
use tracing::{debug, error, info, warn};

use super::{Connection, Job, Settings, Standing, TpmError};

/// How long after a failed connection the next is tried, when nobody asks.
const RETRY: Duration = Duration::from_secs(2);

pub(super) struct Owner {
    settings: Settings,
    standing: Arc<RwLock<Standing>>,
    connection: Option<Connection>,
    /// The last error that was logged: the same one is not logged every two seconds.
    told: Option<String>,
}

impl Owner {
    pub(super) fn new(settings: Settings, standing: Arc<RwLock<Standing>>) -> Self {
        Self {
            settings,
            standing,
            connection: None,
            told: None,
        }
    }

    pub(super) fn run(mut self, queue: &mpsc::Receiver<Job>) {
        loop {
            let ready = self.connected().is_ok();
            let job = if ready {
                queue.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
            } else {
                queue.recv_timeout(RETRY)
            };
            match job {
                Ok(Job::Stop(done)) => {
                    drop(self.connection.take());
                    let _ = done.send(());
                    return;
                }
                Ok(job) if job.is_abandoned() => {}
                Ok(job) => self.answer(job),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn answer(&mut self, job: Job) {
        // A verifier that gave up meanwhile is no error.
        match job {
            Job::Activate(request, reply) => {
                let _ = reply.send(self.attempt(|connection| connection.activate(&request)));
            }
            Job::Quote {
                asked,
                qualifying_data,
                reply,
            } => {
                debug!("quoting");
                let _ = reply.send(self.attempt(|connection| connection.quote(&asked, &qualifying_data)));
            }
            Job::Stop(done) => {
                let _ = done.send(());
            }
        }
    }

    /// Runs an operation; once more over a new connection if the first one died under it.
    fn attempt<T>(
        &mut self,
        mut operation: impl FnMut(&mut Connection) -> Result<T, TpmError>,
    ) -> Result<T, TpmError> {
        let first = operation(self.connected()?);
        match first {
            Err(error) if error.suggests_reconnecting() => {
                warn!(%error, "the TPM is connected anew");
                self.connection = None;
                let second = operation(self.connected()?);
                if second.as_ref().is_err_and(TpmError::suggests_reconnecting) {
                    self.connection = None;
                }
                second
            }
            other => other,
        }
    }

    fn connected(&mut self) -> Result<&mut Connection, TpmError> {
        // Two steps, because a borrow that is returned in one arm would last through the other.
        if self.connection.is_none() {
            match Connection::open(&self.settings) {
                Ok(connection) => {
                    // Only the first connection may make a new identity.
                    self.settings.new_identity = false;
                    self.tell_ready(&connection);
                    self.connection = Some(connection);
                }
                Err(error) => {
                    self.tell_unready(&error);
                    return Err(error);
                }
            }
        }
        self.connection.as_mut().ok_or(TpmError::Stopped)
    }

    fn tell_ready(&mut self, connection: &Connection) {
        info!(tcti = %self.settings.tcti, ak = connection.key_name(), "TPM ready");
        self.told = None;
        *self.standing.write().unwrap_or_else(PoisonError::into_inner) =
            Standing::Ready(connection.identity());
    }

    fn tell_unready(&mut self, error: &TpmError) {
        let text = error.to_string();
        if self.told.as_ref() != Some(&text) {
            error!(%error, "TPM not ready");
            self.told = Some(text);
        }
        let mut standing = self.standing.write().unwrap_or_else(PoisonError::into_inner);
        // An identity that was known stays true while the TPM is away, but not when its key is gone.
        if error.voids_the_identity() || matches!(*standing, Standing::Unready(_)) {
            *standing = Standing::Unready(Problem::from(error));
        }
    }
}
