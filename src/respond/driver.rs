//! Carries cases out: takes a lease, does the next step, records it, and chooses nothing.

use tokio_util::sync::CancellationToken;

use super::Respond;

impl Respond {
    /// Drives every case that is due, here and of daemons that died, until `stop`. A step that is under way
    /// when `stop` comes is finished first, or its lease runs out and another daemon looks again.
    pub async fn drive(&self, stop: CancellationToken) {
        let _ = stop;
        todo!()
    }
}
