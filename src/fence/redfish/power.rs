//! The system's power: read, and switched by a reset.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::Redfish;
use super::body::{Root, printable};
use super::session::Authentication;
use crate::fence::power::{Error, Power};
use crate::permit::{Act, Effect, Permits};
use crate::secrets::Doubt;

impl Redfish {
    /// The power state now, after the machine's UUID was compared with the inventory's.
    pub async fn power_state(&self) -> Result<Power, Error> {
        let mut outcome = Box::pin(self.read_power()).await;
        if self.new_password(&outcome).await {
            outcome = Box::pin(self.read_power()).await;
        }
        match outcome {
            Ok(power) => Ok(power),
            Err(error) => Err(self.hidden(error).await),
        }
    }

    /// A BMC's words may hold our own password: they go into logs and reports without it.
    pub(super) async fn hidden(&self, error: Error) -> Error {
        if !error.quotes() {
            return error;
        }
        match self.secrets.read(&self.target.password).await {
            Ok(secret) => error.hiding(&secret),
            Err(_) => error.wordless(),
        }
    }

    /// Whether the password was refused and there is another one by now.
    pub(super) async fn new_password<T>(&self, outcome: &Result<T, Error>) -> bool {
        matches!(outcome, Err(Error::Credentials { .. }))
            && self.secrets.renewed(&self.target.password, Doubt::Refused).await
    }

    async fn read_power(&self) -> Result<Power, Error> {
        let doing = "read the power state";
        let (root, access) = self.open(doing).await?;
        let outcome = self
            .system(doing, &root, &access)
            .await
            .map(|system| system.power());
        self.close(access).await;
        outcome
    }

    /// Asks for `ForceOff`, after the machine's UUID was compared with the inventory's.
    pub async fn ask_off(&self, permits: &dyn Permits) -> Result<(), Error> {
        let effect = Effect::PowerOff(self.name.clone());
        self.reset(
            "switch the power off",
            "ForceOff",
            Power::Off,
            Act { effect, permits },
        )
        .await
    }

    /// Asks for the power to be switched on.
    pub async fn ask_on(&self, permits: &dyn Permits) -> Result<(), Error> {
        let effect = Effect::PowerOn(self.name.clone());
        self.reset("switch the power on", "On", Power::On, Act { effect, permits })
            .await
    }

    async fn reset(
        &self,
        doing: &'static str,
        kind: &'static str,
        wanted: Power,
        act: Act<'_>,
    ) -> Result<(), Error> {
        let mut outcome = Box::pin(self.reset_once(doing, kind, &wanted, &act)).await;
        // What was refused had no effect.
        if self.new_password(&outcome).await {
            outcome = Box::pin(self.reset_once(doing, kind, &wanted, &act)).await;
        }
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => Err(self.hidden(error).await),
        }
    }

    async fn reset_once(
        &self,
        doing: &'static str,
        kind: &'static str,
        wanted: &Power,
        act: &Act<'_>,
    ) -> Result<(), Error> {
        let (root, access) = self.open(doing).await?;
        let outcome = self.reset_with(doing, kind, wanted, act, &root, &access).await;
        self.close(access).await;
        outcome
    }

    async fn reset_with(
        &self,
        doing: &'static str,
        kind: &'static str,
        wanted: &Power,
        act: &Act<'_>,
        root: &Root,
        access: &Authentication,
    ) -> Result<(), Error> {
        let system = self.system(doing, root, access).await?;
        let reset = system
            .actions
            .reset
            .ok_or_else(|| self.unreadable(doing, "the system has no Reset action"))?;
        // A BMC that lists nothing is asked all the same; one that lists other values would refuse.
        if let Some(allowed) = &reset.allowed
            && !allowed.iter().any(|value| value == kind)
        {
            return Err(Error::NotOffered {
                method: self.name.clone(),
                wanted: kind,
                offered: printable(&allowed.join(", ")),
            });
        }
        let url = self.at(doing, &reset.target)?;
        let answer = self
            .send_with(doing, Some(act), || {
                access
                    .sign(self, self.http.request(Method::POST, url.clone()))
                    .json(&json!({"ResetType": kind}))
            })
            .await?;
        act.answered(&format!("the BMC answered {}", answer.status)).await;
        if answer.status.is_success() {
            // 200, 202 with a task, 204: taken. Whether it is off is seen by reading.
            return Ok(());
        }
        if matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::CONFLICT) {
            // Many BMCs refuse to switch off what is off: reading decides.
            let now = self.system(doing, root, access).await?.power();
            if now == *wanted {
                return Ok(());
            }
        }
        Err(self.refused(doing, &answer))
    }
}
