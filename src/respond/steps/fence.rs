//! Powers the host off, and sees it off. The proof lives in memory only; who needs it after a restart looks again.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::fence::{AgentPort, AgentSignal as _, Error as PowerError, Fenced, Method, Power};
use crate::respond::HostFence;
use crate::respond::holddown::PowerNow;
use crate::respond::journal::{Entry, doubted_methods};
use crate::respond::notify::Kind;
use crate::respond::saga::Step;

use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>) -> Result<Outcome, Trouble> {
    let fenced = look(context).await?;
    context.tell(Kind::HostFenced, fenced.to_string()).await?;
    Ok(Outcome::Done(Entry::says(fenced.to_string())))
}

/// What this process has seen: the proof, and which writes to nova's row since then are accounted for.
pub(in crate::respond) struct Seen {
    fenced: Arc<Fenced>,
    /// The newest time in nova's row that is accounted for.
    heartbeat: Timestamp,
    /// How many such times there were after the proof.
    writes: u32,
    /// When the reading was asked for that last said off.
    off_at: Instant,
}

/// Every write to the service's row moves the time that nova shows as its heartbeat: our own force-down, Masakari's
/// disable, our reason put back. A host that lives moves it every few seconds and soon has more.
const WRITES: u32 = 4;

impl Seen {
    /// A proof that was just made.
    pub(in crate::respond) fn new(fenced: Arc<Fenced>) -> Self {
        let heartbeat = fenced.last_heartbeat();
        let off_at = fenced.asked();
        Self {
            fenced,
            heartbeat,
            writes: 0,
            off_at,
        }
    }

    /// When the reading was asked for that last said off.
    pub(in crate::respond) fn off_at(&self) -> Instant {
        self.off_at
    }
}

/// The proof that the host is off: the one of this process, or a new one.
pub(super) async fn proof(context: &Context<'_>) -> Result<Arc<Fenced>, Trouble> {
    let known = locked(context).as_ref().map(|seen| Arc::clone(&seen.fenced));
    match known {
        Some(fenced) if reports_again(context, &fenced).await?.is_none() => Ok(fenced),
        _ => look(context).await,
    }
}

/// When it is asked whether a host is still off.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// Directly before an instance is asked for.
    Before,
    /// While instances are under way.
    Meanwhile,
}

impl Asked {
    /// A reading of the power is good for so many paces. Each is a login at a BMC, which is a small computer.
    fn good_for(self) -> u32 {
        match self {
            Self::Before => 2,
            Self::Meanwhile => 15,
        }
    }
}

/// Ends the step when the host has come back since it was seen off, by nova's word or its BMC's: what is not asked for yet
/// is not asked for. The next attempt powers it off again, and sees it.
///
/// `Some`: the power cannot be read now, and why. Nothing more is asked for until it can; a BMC that restarts is no
/// reason to give up.
pub(super) async fn still_off(
    context: &Context<'_>,
    fenced: &Fenced,
    asked: Asked,
) -> Result<Option<String>, Trouble> {
    if let Some(why) = reports_again(context, fenced).await? {
        return Err(ended(Outcome::Again { after: None, why }));
    }
    read_again(context, fenced, asked).await
}

/// Ends the step when the power is no longer read as off: a host that boots has no heartbeat for a while. Its proof is void
/// then, and people are told. What cannot be read is not off either, but no reason to switch anything.
async fn read_again(context: &Context<'_>, fenced: &Fenced, asked: Asked) -> Result<Option<String>, Trouble> {
    let fresh = context.respond.pace.saturating_mul(asked.good_for());
    if locked(context)
        .as_ref()
        .is_some_and(|seen| seen.off_at.elapsed() < fresh)
    {
        return Ok(None);
    }
    let host = fenced.host();
    let asked = Instant::now();
    match power_now(context).await {
        PowerNow::Off => {
            if let Some(seen) = locked(context).as_mut() {
                seen.off_at = asked;
            }
            Ok(None)
        }
        PowerNow::NotKnown(why) => Ok(Some(format!(
            "the power of {host} cannot be read, and nothing more is evacuated until it can: {why}"
        ))),
        PowerNow::Not(word) => {
            *locked(context) = None;
            let words = format!(
                "{host} was seen off, and somebody has powered it on since: {word}; it is powered off again before anything \
                 more is evacuated"
            );
            context.tell(Kind::TamperingSuspected, words.clone()).await?;
            context.note(Step::Fence, &Entry::says(words.clone())).await?;
            Err(ended(Outcome::Again {
                after: None,
                why: words,
            }))
        }
    }
}

/// Whether nova has had a heartbeat since the one that stood still; the proof is void then, and people are told.
///
/// A time that moved is no heartbeat yet, since writes through nova's API move it as well. It is taken for one unless
/// the BMC still says exactly Off and the agent is still silent, and for the first few times only.
async fn reports_again(context: &Context<'_>, fenced: &Fenced) -> Result<Option<String>, Trouble> {
    let heartbeat = context.service().await?.heartbeat;
    let (known, writes) = match locked(context).as_ref() {
        Some(seen) => (seen.heartbeat.max(fenced.last_heartbeat()), seen.writes),
        None => (fenced.last_heartbeat(), 0),
    };
    let Some(heartbeat) = heartbeat.filter(|heartbeat| *heartbeat > known) else {
        return Ok(None);
    };
    if writes < WRITES && still_dark(context, fenced).await {
        if let Some(seen) = locked(context).as_mut() {
            seen.heartbeat = heartbeat;
            seen.writes = writes.saturating_add(1);
        }
        return Ok(None);
    }
    *locked(context) = None;
    let words = format!(
        "{} was seen off, and its nova-compute reports again since: heartbeat {heartbeat}; it is powered off again \
         before anything more is evacuated",
        fenced.host()
    );
    context.tell(Kind::TamperingSuspected, words.clone()).await?;
    context.note(Step::Fence, &Entry::says(words.clone())).await?;
    Ok(Some(words))
}

/// Whether the method that fenced the host still reads exactly Off, and its agent is silent. What cannot be read is
/// not dark.
async fn still_dark(context: &Context<'_>, fenced: &Fenced) -> bool {
    let Some(fence) = context.respond.fencing.host(fenced.host()) else {
        return false;
    };
    let Some(method) = fence
        .methods
        .iter()
        .find(|method| method.name() == fenced.method())
    else {
        return false;
    };
    let (power, answers) = tokio::join!(method.power_state(), async {
        match witness(context, fence).await {
            Ok(agent) => agent.answers().await.unwrap_or(true),
            Err(_) => true,
        }
    });
    matches!(power, Ok(Power::Off)) && !answers
}

/// One reading of one method may take this long.
const READING_MAX: Duration = Duration::from_secs(30);

/// The power as the host's methods tell it now: the first that can be read decides, those whose word was wrong last.
pub(in crate::respond) async fn power_now(context: &Context<'_>) -> PowerNow {
    let fence = context.respond.fencing.host(&context.case.host);
    power_of(fence, &doubted_methods(context.journal)).await
}

/// The same, outside of a case; `doubted` are the methods whose word was wrong.
pub(in crate::respond) async fn power_of(fence: Option<&HostFence>, doubted: &BTreeSet<String>) -> PowerNow {
    let Some(fence) = fence else {
        return PowerNow::NotKnown("no fencing method is configured for it".to_owned());
    };
    let (last, first): (Vec<&Method>, Vec<&Method>) = fence
        .methods
        .iter()
        .partition(|method| doubted.contains(method.name()));
    let mut why = Vec::new();
    for method in first.into_iter().chain(last) {
        match tokio::time::timeout(READING_MAX, method.power_state()).await {
            Ok(Ok(Power::Off)) => return PowerNow::Off,
            Ok(Ok(word)) if word.is_known() => {
                return PowerNow::Not(format!("{} says {word}", method.name()));
            }
            Ok(Ok(word)) => why.push(format!("{} says neither on nor off: {word}", method.name())),
            Ok(Err(error)) => why.push(error.to_string()),
            Err(_) => why.push(format!("{}: no answer within {READING_MAX:?}", method.name())),
        }
    }
    PowerNow::NotKnown(why.join("; "))
}

/// Whether the host's agent answers. What cannot be told, such as when our own network fails, is no answer.
pub(in crate::respond) async fn agent_answers(context: &Context<'_>) -> Result<bool, Trouble> {
    let Some(fence) = context.respond.fencing.host(&context.case.host) else {
        return Ok(false);
    };
    Ok(witness(context, fence).await?.answers().await.unwrap_or(false))
}

/// The agent where it is pinned *now*: an address from before it was enrolled again would be silent, and prove nothing.
async fn witness(context: &Context<'_>, fence: &HostFence) -> Result<AgentPort, Trouble> {
    Ok(match context.respond.store.host(&context.case.host).await? {
        Some(known) => AgentPort::of(&known.enrolled.agent_url, fence.agent.timeout),
        None => fence.agent.clone(),
    })
}

fn locked<'a>(context: &'a Context<'_>) -> MutexGuard<'a, Option<Seen>> {
    // Nothing panics while it is held.
    context.proof.lock().unwrap_or_else(PoisonError::into_inner)
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
    super::bare_metal::begin(context).await?;
    let doubted = doubted_methods(context.journal);
    let off = match fence
        .methods
        .power_off(&context.leave, fencing.off(), &doubted)
        .await
    {
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
    let silent = off.attempts.iter().filter(|attempt| attempt.outcome.is_err());
    let silent = silent.map(|attempt| attempt.method.clone()).collect();
    let tried: Vec<String> = off.attempts.iter().map(ToString::to_string).collect();
    tampering(
        context,
        off.attempts
            .iter()
            .filter_map(|attempt| attempt.outcome.as_ref().err()),
    )
    .await?;
    context.note(Step::Fence, &Entry::says(tried.join("; "))).await?;
    let agent = witness(context, fence).await?;
    match fencing
        .observe(fence, off.by, &agent, context.cloud, &context.respond.clock)
        .await
    {
        Ok(fenced) => {
            let fenced = Arc::new(fenced);
            *locked(context) = Some(Seen::new(Arc::clone(&fenced)));
            super::keep_off::begin(context, &silent).await?;
            Ok(fenced)
        }
        Err(not) => {
            if not.contradicts() {
                let words = format!(
                    "{} says Off while the host is alive; the other methods come first now",
                    not.method
                );
                context
                    .note(Step::Fence, &Entry::doubting(words, &not.method))
                    .await?;
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
