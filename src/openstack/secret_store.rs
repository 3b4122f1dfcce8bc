//! barbican: reading a secret that the operator keeps there.

use uuid::Uuid;

use crate::config::secret::Secret;

use super::call::{Call, Service};
use super::error::Error;
use super::session::Cloud;

const RIGHT: &str = "secret:decrypt (role creator or admin in the project that owns the secret)";

impl Cloud {
    /// The payload of a secret.
    pub async fn secret_payload(&self, id: Uuid) -> Result<Secret, Error> {
        let doing = format!("read secret {id}");
        let call = Call::get(Service::KeyManager, &format!("/v1/secrets/{id}/payload"), &doing)
            .accept("text/plain")
            .right(RIGHT);
        let body = self.send(call).await?;
        match String::from_utf8(body) {
            Ok(text) => Ok(Secret::new(text)),
            Err(_) => Err(Error::Unreadable {
                call: doing,
                service: Service::KeyManager,
                reason: "the secret is not text".to_owned(),
            }),
        }
    }
}
