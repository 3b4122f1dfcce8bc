//! Has the host judged, whole and now. Nothing else lets it back; whatever takes something back asks here first.

use std::time::Duration;

use lazaret_attest::verdict::Verdict;
use tokio::time::Instant;

use crate::respond::journal::Entry;
use crate::respond::release::{Attested, Wanted, lets_back};
use crate::respond::saga::Step;

use super::{Giving, Outcome, Trouble};

/// From one question to the next while the host boots, in looks.
const LOOKS: u32 = 10;

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    let (context, host) = (giving.context, &giving.context.case.host);
    let config = &context.respond.config;
    let end = Instant::now() + config.boot_deadline;
    loop {
        match fresh(giving).await? {
            Ok(attested) => {
                return Ok(Outcome::Done(Entry::says(format!(
                    "Affirming in round {}, begun at {}",
                    attested.round, attested.at
                ))));
            }
            // It may be booting still, or being installed.
            Err(Refusal { last, .. })
                if last
                    .as_ref()
                    .is_none_or(|last| last.verdict == Verdict::Indeterminate)
                    && Instant::now() < end =>
            {
                tokio::time::sleep(context.respond.pace.saturating_mul(LOOKS)).await;
            }
            Err(Refusal { last, why }) => {
                if let Some(last) = last {
                    context.note(Step::Attest, &last.entry()).await?;
                }
                return Ok(Outcome::Held(format!(
                    "{host} stays out: {why}; nothing was taken back. `lazaret verify-host {host}` says more; when it is \
                     as it should be, `lazaret quarantine release {host}` again"
                )));
            }
        }
    }
}

/// Sees that the verdict still holds, or has the host judged again; the step ends where it does not.
pub(super) async fn still(giving: &Giving<'_>) -> Result<Attested, Trouble> {
    match fresh(giving).await? {
        Ok(attested) => Ok(attested),
        Err(Refusal { last, why }) => {
            if let Some(last) = last {
                giving.context.note(Step::Attest, &last.entry()).await?;
            }
            let host = &giving.context.case.host;
            Err(Trouble::Ended(Box::new(Outcome::Held(format!(
                "{host} stays out: {why}; nothing more is taken back. When it is as it should be, `lazaret quarantine \
                 release {host}` again"
            )))))
        }
    }
}

/// Why there is no verdict that lets the host back.
struct Refusal {
    last: Option<Attested>,
    why: String,
}

/// A verdict that lets the host back: the newest of this release, or a new one.
async fn fresh(giving: &Giving<'_>) -> Result<Result<Attested, Refusal>, Trouble> {
    let (context, host) = (giving.context, &giving.context.case.host);
    let Some(attester) = &context.respond.attester else {
        let why = "this process cannot attest; the daemon does (`lazaret serve`)".to_owned();
        return Ok(Err(Refusal { last: None, why }));
    };
    let steps = context.respond.store.steps(&context.case.id).await?;
    let booted = steps.iter().find(|step| step.name == Step::Boot.as_str());
    let Some(booted_at) = booted.and_then(|step| step.finished_at) else {
        let why = "it was not booted by this release".to_owned();
        return Ok(Err(Refusal { last: None, why }));
    };
    let wanted = |policy, last| Wanted {
        booted_at,
        now: context.now(),
        max_age: context.respond.config.verdict_age,
        policy,
        last,
    };
    let policy = match attester.policy(host).await {
        Ok(policy) => policy,
        Err(why) => return Ok(Err(Refusal { last: None, why })),
    };
    let last =
        || async { Ok::<_, Trouble>(context.respond.store.host(host).await?.and_then(|host| host.last)) };
    if let Some(known) = Attested::newest(context.journal)
        && lets_back(Some(&known), &wanted(policy, last().await?)).is_ok()
    {
        return Ok(Ok(known));
    }
    let attested = match tokio::time::timeout(ROUND_MAX, attester.attest(host)).await {
        Ok(Ok(attested)) => attested,
        Ok(Err(why)) => return Ok(Err(Refusal { last: None, why })),
        Err(_) => {
            let why = format!("it was not judged within {ROUND_MAX:?}");
            return Ok(Err(Refusal { last: None, why }));
        }
    };
    match lets_back(Some(&attested), &wanted(policy, last().await?)) {
        Ok(()) => {
            context.note(Step::Attest, &attested.entry()).await?;
            Ok(Ok(attested))
        }
        Err(why) => Ok(Err(Refusal {
            last: Some(attested),
            why,
        })),
    }
}

/// A round has its own deadline, which is shorter.
const ROUND_MAX: Duration = Duration::from_secs(300);
