//! What a machine does when mains power returns: `PowerRestorePolicy` of the ComputerSystem schema, read and set.
//!
//! Many BMCs do not have it. One that says that it took a change may still show the old value: reading decides.

use std::time::Duration;

use reqwest::header::IF_MATCH;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::Redfish;
use super::body::{Root, printable};
use super::session::Authentication;
use crate::fence::power::Error;
use crate::permit::{Act, Effect, Permits};

/// It is read this often before a change counts as not taken ..
const READINGS: u32 = 3;

/// .. with this long in between.
const PAUSE: Duration = Duration::from_secs(1);

impl Redfish {
    /// The policy now; `None` where this system has none that could be set and given back.
    pub async fn restore_policy(&self) -> Result<Option<String>, Error> {
        let mut outcome = Box::pin(self.read_policy()).await;
        if self.new_password(&outcome).await {
            outcome = Box::pin(self.read_policy()).await;
        }
        match outcome {
            Ok(policy) => Ok(policy),
            Err(error) => Err(self.hidden(error).await),
        }
    }

    /// Asks for this policy, and returns what the BMC shows afterwards. A system that has it already is not asked.
    pub async fn set_restore_policy(
        &self,
        policy: &str,
        permits: &dyn Permits,
    ) -> Result<Option<String>, Error> {
        let effect = Effect::RestorePolicy(self.name.clone(), policy.to_owned());
        let act = Act { effect, permits };
        let mut outcome = Box::pin(self.write_policy(policy, &act)).await;
        // What was refused had no effect.
        if self.new_password(&outcome).await {
            outcome = Box::pin(self.write_policy(policy, &act)).await;
        }
        match outcome {
            Ok(policy) => Ok(policy),
            Err(error) => Err(self.hidden(error).await),
        }
    }

    async fn read_policy(&self) -> Result<Option<String>, Error> {
        let doing = "read the power restore policy";
        let (root, access) = self.open(doing).await?;
        let outcome = self.policy(doing, &root, &access).await;
        self.close(access).await;
        outcome
    }

    async fn policy(
        &self,
        doing: &'static str,
        root: &Root,
        access: &Authentication,
    ) -> Result<Option<String>, Error> {
        let system = self.system(doing, root, access).await?;
        Ok(system.restore_policy().map(str::to_owned))
    }

    async fn write_policy(&self, policy: &str, act: &Act<'_>) -> Result<Option<String>, Error> {
        let doing = "set the power restore policy";
        let (root, access) = self.open(doing).await?;
        let outcome = self.write_with(doing, policy, act, &root, &access).await;
        self.close(access).await;
        outcome
    }

    async fn write_with(
        &self,
        doing: &'static str,
        policy: &str,
        act: &Act<'_>,
        root: &Root,
        access: &Authentication,
    ) -> Result<Option<String>, Error> {
        let mut again = true;
        loop {
            let found = self.find(doing, root, access).await?;
            let now = found.system.restore_policy();
            if now.is_none() || now == Some(policy) {
                return Ok(now.map(str::to_owned));
            }
            if let Some(offered) = found.system.restore_policies()
                && !offered.contains(&policy)
            {
                return Err(Error::NotOffered {
                    method: self.name.clone(),
                    wanted: "such power restore policy",
                    offered: printable(&offered.join(", ")),
                });
            }
            let answer = self
                .send_with(doing, Some(act), || {
                    let request = self.http.request(Method::PATCH, found.url.clone());
                    let request = match &found.etag {
                        Some(etag) => request.header(IF_MATCH, etag.clone()),
                        None => request,
                    };
                    access
                        .sign(self, request)
                        .json(&json!({"PowerRestorePolicy": policy}))
                })
                .await?;
            act.answered(&format!("the BMC answered {}", answer.status)).await;
            // Somebody changed the system between reading and writing.
            if answer.status == StatusCode::PRECONDITION_FAILED && again {
                again = false;
                continue;
            }
            if !answer.status.is_success() {
                return Err(self.refused(doing, &answer));
            }
            return self.until(doing, policy, root, access).await;
        }
    }

    /// Reads until it shows this policy, a few times at most.
    async fn until(
        &self,
        doing: &'static str,
        policy: &str,
        root: &Root,
        access: &Authentication,
    ) -> Result<Option<String>, Error> {
        let mut readings = 1;
        loop {
            let now = self.policy(doing, root, access).await?;
            if now.as_deref() == Some(policy) || readings >= READINGS {
                return Ok(now);
            }
            readings += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests;
