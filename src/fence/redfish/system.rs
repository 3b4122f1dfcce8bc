//! Which of a BMC's systems is meant, and that it is the machine of the inventory.

use reqwest::header::{ETAG, HeaderValue};
use url::Url;
use uuid::Uuid;

use super::Redfish;
use super::body::{Collection, Root, System};
use super::session::Authentication;
use crate::fence::power::Error;

/// The most systems that are looked at to find one by its UUID: a full blade chassis.
const SYSTEMS_MAX: usize = 64;

/// A system as the BMC shows it now.
pub(super) struct Found {
    pub(super) system: System,
    /// Where it is.
    pub(super) url: Url,
    /// What a change of it has to carry, where the BMC gives one (DSP0266, "Protecting resources from conflicting
    /// updates").
    pub(super) etag: Option<HeaderValue>,
}

impl Redfish {
    /// The system, and no other machine's.
    pub(super) async fn system(
        &self,
        doing: &'static str,
        root: &Root,
        access: &Authentication,
    ) -> Result<System, Error> {
        Ok(self.find(doing, root, access).await?.system)
    }

    /// The system, where it is, and no other machine's.
    pub(super) async fn find(
        &self,
        doing: &'static str,
        root: &Root,
        access: &Authentication,
    ) -> Result<Found, Error> {
        let found = match (&self.target.system, self.target.system_uuid) {
            (Some(path), _) if path.starts_with('/') => self.fetch_system(doing, path, access).await?,
            (Some(id), _) => {
                self.fetch_system(
                    doing,
                    &format!("{}/{id}", root.systems.path.trim_end_matches('/')),
                    access,
                )
                .await?
            }
            (None, uuid) => self.only_system(doing, root, access, uuid).await?,
        };
        let Some(expected) = self.target.system_uuid else {
            return Ok(found);
        };
        let shown = found.system.uuid.as_deref();
        let uuid = shown.map(str::trim).map(Uuid::parse_str);
        if uuid == Some(Ok(expected)) {
            return Ok(found);
        }
        Err(Error::OtherMachine {
            method: self.name.clone(),
            expected: expected.to_string(),
            // Its own words are not told: they may be our password.
            found: match uuid {
                Some(Ok(uuid)) => uuid.to_string(),
                Some(Err(_)) => "that is none".to_owned(),
                None => "none".to_owned(),
            },
        })
    }

    /// The BMC's only system, or the one with this UUID. Among several, none is guessed.
    async fn only_system(
        &self,
        doing: &'static str,
        root: &Root,
        access: &Authentication,
        uuid: Option<Uuid>,
    ) -> Result<Found, Error> {
        let members: Collection = self.fetch(doing, &root.systems.path, access).await?;
        let members = members.members;
        if let [only] = members.as_slice() {
            return self.fetch_system(doing, &only.path, access).await;
        }
        if let Some(uuid) = uuid {
            for member in members.iter().take(SYSTEMS_MAX) {
                let found = self.fetch_system(doing, &member.path, access).await?;
                if found.system.uuid.as_deref().map(str::trim).map(Uuid::parse_str) == Some(Ok(uuid)) {
                    return Ok(found);
                }
            }
        }
        Err(Error::WhichSystem {
            method: self.name.clone(),
            found: members.len(),
        })
    }

    async fn fetch_system(
        &self,
        doing: &'static str,
        path: &str,
        access: &Authentication,
    ) -> Result<Found, Error> {
        let url = self.at(doing, path)?;
        let answer = self
            .send(doing, || access.sign(self, self.http.get(url.clone())))
            .await?;
        let header = answer.headers.get(ETAG).cloned();
        let system: System = self.read(doing, answer)?;
        let etag = header.or_else(|| HeaderValue::from_str(system.etag.as_str()?).ok());
        Ok(Found { system, url, etag })
    }

    async fn fetch<T: serde::de::DeserializeOwned>(
        &self,
        doing: &'static str,
        path: &str,
        access: &Authentication,
    ) -> Result<T, Error> {
        let url = self.at(doing, path)?;
        let answer = self
            .send(doing, || access.sign(self, self.http.get(url.clone())))
            .await?;
        self.read(doing, answer)
    }
}
