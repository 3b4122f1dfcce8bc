//! The daemon's rounds: each host when it is due, many at once, none held up by another.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lazaret_attest::verdict::Verdict;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use super::{
    lanes::Lanes,
    record::lost,
    round::{Judged, RoundError, Rounds},
    schedule::{self, Turn},
};
use crate::{
    clock::Timestamp,
    ids::{HostName, PauseId},
    respond::{
        Respond,
        decide::Decision,
        notify::{Event, Kind},
    },
    store::{Host, Lease, Purpose, Recording, StoreError},
};

/// How often the database is asked who is due; a host that a command made due is seen within this time.
const TICK: Duration = Duration::from_secs(1);

/// How often what is old is deleted.
const SWEEP: Duration = Duration::from_secs(600);

/// Rows deleted in one go, so that nobody waits for the database.
const SWEEP_ROWS: u32 = 1_000;

/// Rounds are kept this long, cases and what they refer to for ever.
const KEEP_ROUNDS: Duration = Duration::from_secs(90 * 24 * 3600);

/// A challenge that expired is of no use; a day is kept for looking.
const KEEP_CHALLENGES: Duration = Duration::from_secs(24 * 3600);

/// After trouble of this side, a host is tried again this soon (and by its schedule).
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// The watch over all hosts.
pub struct Watch {
    rounds: Arc<Rounds>,
    respond: Arc<Respond>,
    lanes: Arc<Lanes>,
    busy: Arc<Mutex<HashSet<HostName>>>,
    tasks: TaskTracker,
}

impl Watch {
    /// A watch that runs as many rounds at once as the configuration allows.
    pub fn new(rounds: Arc<Rounds>, respond: Arc<Respond>) -> Self {
        let schedule = &rounds.config.schedule;
        let lanes = Arc::new(Lanes::new(schedule.concurrency, schedule.round_deadline));
        Self {
            rounds,
            respond,
            lanes,
            busy: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Runs until `stop`; then waits for the rounds that are under way.
    pub async fn run(&self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sweep = tokio::time::interval(SWEEP);
        let mut clocks = (self.rounds.clock.now(), tokio::time::Instant::now());
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tick.tick() => {
                    if let Err(error) = self.look_at_the_clock(&mut clocks).await {
                        error!(%error, "that the clock was set could not be noted");
                    }
                    if let Err(error) = self.start_due().await {
                        error!(%error, "who is due cannot be read; trying again");
                    }
                }
                _ = sweep.tick() => {
                    if let Err(error) = self.sweep().await {
                        warn!(%error, "old records could not be deleted");
                    }
                }
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn start_due(&self) -> Result<(), StoreError> {
        let now = self.rounds.clock.now();
        let schedule = &self.rounds.config.schedule;
        // A round that failed on this side is due a little later, whatever the schedule says.
        let latest = schedule::latest_due(&schedule.cron, schedule.jitter, now)
            .unwrap_or(now)
            .max(now.plus(TRY_AGAIN));
        for host in self.rounds.store.hosts().await? {
            match schedule::turn(host.next_due, latest, now) {
                Turn::Now => {}
                Turn::Later => continue,
                Turn::Anew => {
                    self.plan_next(host.name(), now).await?;
                    continue;
                }
            }
            if !self.lock().insert(host.name().clone()) {
                continue;
            }
            let (rounds, respond) = (Arc::clone(&self.rounds), Arc::clone(&self.respond));
            let (lanes, busy) = (Arc::clone(&self.lanes), Arc::clone(&self.busy));
            self.tasks.spawn(async move {
                let name = host.name().clone();
                let _busy = Busy(busy, name.clone());
                let _place = lanes.place(&name).await;
                let outcome = one(&rounds, &respond, &lanes, host).await;
                if let Err(error) = outcome {
                    say(&name, &error);
                    let again = rounds.clock.now().plus(TRY_AGAIN);
                    if let Err(error) = rounds.store.set_next_due(&name, again).await {
                        error!(host = %name, %error, "the next round could not be noted");
                    }
                }
            });
        }
        Ok(())
    }

    /// Whether the wall clock was set since the last look. Results are as old as before then, and every host that would
    /// be due all at once is scheduled anew.
    async fn look_at_the_clock(
        &self,
        (wall, steady): &mut (Timestamp, tokio::time::Instant),
    ) -> Result<(), StoreError> {
        let now = self.rounds.clock.now();
        let expected = wall.plus(steady.elapsed());
        (*wall, *steady) = (now, tokio::time::Instant::now());
        if !schedule::jumped(expected, now) {
            return Ok(());
        }
        let words = format!("this machine's clock shows {now}, and would have shown {expected}: it was set");
        let event = Event::cloud(Kind::ClockJumped, words, now);
        let store = &self.rounds.store;
        // A pause's name has the shape that is wanted here, and is as unlikely to come twice.
        let id = format!("j{}", &PauseId::new(now, rand::random()).as_str()[1..]);
        store.clock_jumped(&id, now, expected, &event.queued()).await?;
        for host in store.hosts().await? {
            if host.next_due.is_some_and(|due| due > expected) {
                self.plan_next(host.name(), now).await?;
            }
        }
        Ok(())
    }

    async fn plan_next(&self, host: &HostName, now: Timestamp) -> Result<(), StoreError> {
        let schedule = &self.rounds.config.schedule;
        match schedule::next_due(&schedule.cron, schedule.jitter, host, now) {
            Some(due) => self.rounds.store.set_next_due(host, due).await,
            None => Ok(()),
        }
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        let (store, now) = (&self.rounds.store, self.rounds.clock.now());
        store
            .purge_challenges(now.minus(KEEP_CHALLENGES), SWEEP_ROWS)
            .await?;
        store.purge_rounds(now.minus(KEEP_ROUNDS), SWEEP_ROWS).await?;
        store
            .purge_evidence(now.minus(self.rounds.config.store.evidence_retention), SWEEP_ROWS)
            .await?;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<HostName>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host whose round is under way. A round that panics gives it back as well: it is not left out for ever, looking
/// as it last did.
struct Busy(Arc<Mutex<HashSet<HostName>>>, HostName);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.1);
    }
}

/// One host: a round, and at once a second one when the first condemns.
async fn one(rounds: &Rounds, respond: &Respond, lanes: &Lanes, host: Host) -> Result<(), RoundError> {
    let Some(lease) = rounds.lease(host.name()).await? else {
        // Another process is at it, and records the next time itself.
        return Ok(());
    };
    let name = host.name().clone();
    let outcome = match still_due(rounds, &host).await {
        Ok(Some(host)) => under(rounds, respond, lanes, host, &lease).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error.into()),
    };
    // What was recorded is; the lease ends by itself.
    if let Err(error) = rounds.store.release(lease).await {
        warn!(host = %name, %error, "the lease on its rounds could not be given back");
    }
    outcome
}

/// The host as it is now: while it waited for its turn it may have been enrolled again or removed, or a command may
/// have attested it. `None`: it is not due any more.
async fn still_due(rounds: &Rounds, host: &Host) -> Result<Option<Host>, StoreError> {
    let now = rounds.clock.now();
    let host = rounds.store.host(host.name()).await?;
    Ok(host.filter(|host| host.next_due.is_some_and(|due| due <= now)))
}

async fn under(
    rounds: &Rounds,
    respond: &Respond,
    lanes: &Lanes,
    host: Host,
    lease: &Lease,
) -> Result<(), RoundError> {
    // What may confirm an earlier condemnation has to stand by itself.
    let condemned = host
        .last
        .as_ref()
        .is_some_and(|last| last.verdict == Verdict::Contraindicated);
    let (judged, recording) = rounds
        .prepared(&host, Purpose::Scheduled, None, condemned)
        .await?;
    lanes.note(host.name(), judged.answered.then(|| judged.timings.collected()));
    let decision = recorded(respond, lease, &judged, recording).await?;
    tell(&judged, decision);
    if decision != Decision::Confirm {
        return Ok(());
    }
    tokio::time::sleep(rounds.config.schedule.confirm_after).await;
    // The first round has changed what is remembered of the host.
    let host = rounds.store.host(host.name()).await?.unwrap_or(host);
    let (confirmed, recording) = rounds
        .prepared(&host, Purpose::Confirmation, Some(judged.round.id), true)
        .await?;
    let decision = recorded(respond, lease, &confirmed, recording).await?;
    tell(&confirmed, decision);
    Ok(())
}

/// Records a round with what follows from it, all or nothing. A verdict that cannot be recorded is said: the database has
/// no trace of it, and the host is challenged again.
async fn recorded(
    respond: &Respond,
    lease: &Lease,
    judged: &Judged,
    recording: Recording,
) -> Result<Decision, RoundError> {
    let decision = Box::pin(respond.on_round(lease, recording)).await;
    decision.map_err(|error| {
        let error = RoundError::from(error);
        lost(judged, &error);
        error
    })
}

fn tell(judged: &Judged, decision: Decision) {
    let host = &judged.round.host;
    let round = judged.round.id;
    let verdict = judged.result.verdict;
    let findings: Vec<_> = judged
        .result
        .findings
        .iter()
        .take(5)
        .map(ToString::to_string)
        .collect();
    let total_ms = judged.timings.total_ms;
    match verdict {
        Verdict::Affirming => info!(%host, %round, %verdict, total_ms, "attested"),
        Verdict::Warning | Verdict::Indeterminate | Verdict::Contraindicated => {
            warn!(%host, %round, %verdict, total_ms, ?decision, findings = findings.join("; "), "attested");
        }
    }
}

fn say(host: &HostName, error: &RoundError) {
    error!(%host, %error, "no round: trouble on this side; nothing was recorded, and it is tried again");
}

#[cfg(test)]
mod tests;
