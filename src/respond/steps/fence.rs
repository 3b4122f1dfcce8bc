//! Powers the host off, and sees it off. The proof lives in memory only; who needs it after a restart looks again.

use std::sync::Arc;

use crate::fence::{AgentPort, Error as PowerError, Fenced};
use crate::respond::journal::Entry;
use crate::respond::notify::Kind;
use crate::respond::saga::Step;

use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>) -> Result<Outcome, Trouble> {
    let fenced = look(context).await?;
    Ok(Outcome::Done(Entry::says(fenced.to_string())))
}

/// The proof that the host is off: the one of this process, or a new one.
pub(super) async fn proof(context: &Context<'_>) -> Result<Arc<Fenced>, Trouble> {
    let known = match context.proof.lock() {
        Ok(known) => known.clone(),
        Err(poisoned) => poisoned.into_inner().clone(),
    };
    match known {
        Some(fenced) if reports_again(context, &fenced).await?.is_none() => Ok(fenced),
        _ => look(context).await,
    }
}

/// Ends the step when the host has come back since it was seen off: what is not asked for yet is not asked for. The
/// next attempt powers it off again, and sees it.
pub(super) async fn still_off(context: &Context<'_>, fenced: &Fenced) -> Result<(), Trouble> {
    match reports_again(context, fenced).await? {
        None => Ok(()),
        Some(why) => Err(ended(Outcome::Again { after: None, why })),
    }
}

/// Whether nova has had a heartbeat since the one that stood still; the proof is void then, and people are told.
async fn reports_again(context: &Context<'_>, fenced: &Fenced) -> Result<Option<String>, Trouble> {
    let heartbeat = context.service().await?.heartbeat;
    let Some(heartbeat) = heartbeat.filter(|heartbeat| *heartbeat > fenced.last_heartbeat()) else {
        return Ok(None);
    };
    match context.proof.lock() {
        Ok(mut known) => *known = None,
        Err(poisoned) => *poisoned.into_inner() = None,
    }
    let words = format!(
        "{} was seen off, and its nova-compute reports again since: heartbeat {heartbeat}; it is powered off again \
         before anything more is evacuated",
        fenced.host()
    );
    context.tell(Kind::TamperingSuspected, words.clone()).await?;
    context.note(Step::Fence, &Entry::says(words.clone())).await?;
    Ok(Some(words))
}

/// Makes sure that the host is off, and sees it. A host that is off is not switched again.
async fn look(context: &Context<'_>) -> Result<Arc<Fenced>, Trouble> {
    let host = &context.case.host;
    let fencing = &context.respond.fencing;
    let Some(fence) = fencing.host(host) else {
        return Err(ended(Outcome::Stuck(format!(
            "no fencing method is configured for {host}; add [[host.fence]] for it, restart lazaret, then let the \
             case go on"
        ))));
    };
    let off = match fence.methods.power_off(fencing.off()).await {
        Ok(off) => off,
        Err(failed) => {
            let suspicious = failed
                .attempts
                .iter()
                .filter_map(|attempt| attempt.outcome.as_ref().err());
            tampering(context, suspicious).await?;
            return Err(ended(Outcome::Again {
                after: None,
                why: failed.to_string(),
            }));
        }
    };
    let tried: Vec<String> = off.attempts.iter().map(ToString::to_string).collect();
    tampering(
        context,
        off.attempts
            .iter()
            .filter_map(|attempt| attempt.outcome.as_ref().err()),
    )
    .await?;
    context.note(Step::Fence, &Entry::says(tried.join("; "))).await?;
    // Where the agent is pinned *now*: an address from before it was enrolled again would be silent, and prove nothing.
    let agent = match context.respond.store.host(host).await? {
        Some(known) => AgentPort::of(&known.enrolled.agent_url, fence.agent.timeout),
        None => fence.agent.clone(),
    };
    match fencing
        .observe(fence, off.by, &agent, context.cloud, &context.respond.clock)
        .await
    {
        Ok(fenced) => {
            let fenced = Arc::new(fenced);
            match context.proof.lock() {
                Ok(mut known) => *known = Some(Arc::clone(&fenced)),
                Err(poisoned) => *poisoned.into_inner() = Some(Arc::clone(&fenced)),
            }
            Ok(fenced)
        }
        Err(not) => {
            if not.contradicts() {
                context.tell(Kind::TamperingSuspected, not.to_string()).await?;
            }
            Err(ended(Outcome::Again {
                after: None,
                why: not.to_string(),
            }))
        }
    }
}

/// Tells people of a BMC that was perhaps tampered with.
async fn tampering(
    context: &Context<'_>,
    mut errors: impl Iterator<Item = &PowerError>,
) -> Result<(), Trouble> {
    if let Some(error) = errors.find(|error| error.suspicious()) {
        context.tell(Kind::TamperingSuspected, error.to_string()).await?;
    }
    Ok(())
}

fn ended(outcome: Outcome) -> Trouble {
    Trouble::Ended(Box::new(outcome))
}
