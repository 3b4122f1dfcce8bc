//! Rounds that a release asks for.

use crate::ids::{HostName, Sha256Digest};
use crate::respond::attester::{Asked, Attester};
use crate::respond::release::Attested;
use crate::store::Host;

use super::round::Rounds;

impl Attester for Rounds {
    fn attest<'a>(&'a self, host: &'a HostName) -> Asked<'a, Attested> {
        Box::pin(async move {
            let known = enrolled(self, host).await?;
            let judged = Box::pin(self.manual(&known, true))
                .await
                .map_err(|error| error.to_string())?;
            let words: Vec<String> = judged.result.findings.iter().map(ToString::to_string).collect();
            Ok(Attested {
                round: judged.round.id,
                verdict: judged.round.verdict,
                at: judged.round.started_at,
                policy: judged.round.policy,
                words: words.join("; "),
            })
        })
    }

    fn policy<'a>(&'a self, host: &'a HostName) -> Asked<'a, Sha256Digest> {
        Box::pin(async move {
            let known = enrolled(self, host).await?;
            let golden = self.golden(&known).map_err(|error| error.to_string())?;
            Ok(Sha256Digest(golden.policy.digest()))
        })
    }
}

async fn enrolled(rounds: &Rounds, host: &HostName) -> Result<Host, String> {
    match rounds.store.host(host).await {
        Ok(Some(known)) => Ok(known),
        Ok(None) => Err(format!("{host} is not enrolled; `lazaret enroll {host}`")),
        Err(error) => Err(error.to_string()),
    }
}
