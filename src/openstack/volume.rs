//! cinder and barbican: whether a volume is encrypted, and whether we may have its key, as nova will need.

use serde::Deserialize;
use uuid::Uuid;

use super::call::{Call, Service};
use super::error::Error;
use super::session::Cloud;

const ENCRYPTION_RIGHT: &str = "volume_extension:volume_encryption_metadata";
const KEY_RIGHT: &str = "secret:decrypt (such as the role creator, or global-secret-decoder)";

#[derive(Deserialize)]
struct Encryption {
    encryption_key_id: Option<Uuid>,
}

impl Cloud {
    /// Whether the cloud has cinder.
    pub async fn has_cinder(&self) -> Result<bool, Error> {
        match self.endpoint(Service::BlockStorage).await {
            Ok(_) => Ok(true),
            Err(Error::NoEndpoint { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The id of the key that a volume is encrypted with; `None` for one that is not encrypted.
    pub async fn volume_key(&self, volume: &str) -> Result<Option<Uuid>, Error> {
        let doing = format!("read whether volume {volume} is encrypted");
        // It becomes part of a path, and comes from nova's answer.
        if volume.parse::<Uuid>().is_err() {
            return Err(Error::Unreadable {
                call: doing,
                service: Service::Compute,
                reason: "its id is no UUID".to_owned(),
            });
        }
        let call = Call::get(
            Service::BlockStorage,
            &format!("/volumes/{volume}/encryption"),
            &doing,
        )
        .right(ENCRYPTION_RIGHT);
        Ok(self.json::<Encryption>(call).await?.encryption_key_id)
    }

    /// Whether our token is given a key; the key itself is dropped at once. Nova fetches it with the token of whoever
    /// asks for the evacuation.
    pub async fn may_have_key(&self, key: Uuid) -> Result<(), Error> {
        let ask = |accept: &'static str| {
            let doing = format!("see whether the key {key} of an encrypted volume may be read");
            Call::get(Service::KeyManager, &format!("/v1/secrets/{key}/payload"), &doing)
                .accept(accept)
                .right(KEY_RIGHT)
        };
        let payload = match self.send(ask("application/octet-stream")).await {
            // barbican gives a text as text only.
            Err(Error::Refused(answer)) if answer.status == 406 => self.send(ask("text/plain")).await,
            other => other,
        };
        payload.map(|key| drop(zeroize::Zeroizing::new(key)))
    }
}
