//! Delivers queued notifications to the configured webhook, signed, at least once.

use tokio_util::sync::CancellationToken;

use crate::config::Webhook;

use super::Respond;

impl Respond {
    /// Posts notifications as they come, until `stop`. Without a webhook they stay in the log and the store.
    pub async fn deliver(&self, webhook: Option<&Webhook>, stop: CancellationToken) {
        let _ = (webhook, stop);
        todo!()
    }
}
