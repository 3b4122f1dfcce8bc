//! barbican: reading a secret that the operator keeps there.

use std::future::Future;
use std::pin::Pin;

use serde::Deserialize;
use uuid::Uuid;

use crate::config::secret::{BarbicanRef, Secret};
use crate::secrets::Vault;

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

    /// The id of the newest active secret of this name, among those of our project.
    pub async fn secret_named(&self, name: &str) -> Result<Option<Uuid>, Error> {
        let doing = format!("find the secret named \"{name}\"");
        let call = Call::get(Service::KeyManager, "/v1/secrets", &doing)
            .query("name", name)
            .query("sort", "created:desc")
            .query("limit", "100")
            .right("secrets:get (role creator or admin)");
        let listing: Listing = self.json(call).await?;
        // The order is asked for, and not relied upon.
        let newest = listing
            .secrets
            .into_iter()
            .filter(|row| row.status == "ACTIVE" && row.name.as_deref() == Some(name))
            .max_by(|one, other| one.created.cmp(&other.created));
        newest
            .map(|row| {
                let id = row.secret_ref.rsplit('/').next().unwrap_or_default();
                Uuid::parse_str(id).map_err(|error| Error::Unreadable {
                    call: doing,
                    service: Service::KeyManager,
                    reason: format!("secret_ref: {error}"),
                })
            })
            .transpose()
    }
}

#[derive(Deserialize)]
struct Listing {
    secrets: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: Option<String>,
    status: String,
    created: String,
    secret_ref: String,
}

impl Vault for Cloud {
    fn fetch<'a>(
        &'a self,
        of: &'a BarbicanRef,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, String>> + Send + 'a>> {
        Box::pin(async move {
            let id = match of {
                BarbicanRef::Id(id) => *id,
                BarbicanRef::Name(name) => self
                    .secret_named(name)
                    .await
                    .map_err(|error| error.to_string())?
                    .ok_or("our project has no active secret of this name")?,
            };
            self.secret_payload(id).await.map_err(|error| error.to_string())
        })
    }
}
