//! Evacuation by nova, one request for each instance: never a second one while the first is under way.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::OnArrival;
use crate::fence::Fenced;
use crate::ids::InstanceId;
use crate::openstack::{Answer, Arrival, Error, Evacuation, Next};
use crate::permit::Effect;
use crate::respond::journal::{Entry, in_doubt};
use crate::respond::plan::Plan;
use crate::respond::saga::Step;
use crate::store::CaseInstance;

use super::fence::Asked;
use super::groups::Groups;
use super::watch::{self, FAILED, HELD, MOVING, View, WAITING};
use super::{Context, Outcome, Trouble};

/// Evacuations under way at once: as many as Masakari has.
const AT_ONCE: usize = 3;

/// An instance whose evacuation failed this often in one run is left to a person; no loop.
const TRIES: usize = 2;

/// An instance that could not even be asked for this often is left to a person.
const REFUSALS: u32 = 5;

/// An instance whose evacuation failed is left alone for this many paces before the next try: its destination may be
/// restarting, and takes its time. The others go on meanwhile.
const PACES_AFTER_FAILURE: u32 = 30;

/// What another run left in doubt is waited for at least this many paces of this run, whatever the clock says.
const DOUBT_PACES: u32 = 90;

/// After a refusal, which is as a rule a task that ends soon: this many, twice as many after the next, and so on.
const PACES_AFTER_REFUSAL: u32 = 1;

/// One that waits for another member of its server group, of another case, is asked about again after this many.
const PACES_BEFORE_A_TURN: u32 = 2;

/// The status by which nova says that an instance cannot be evacuated as it is, or that its host is up. Others are a proxy's.
const NOT_POSSIBLE: u16 = 400;

/// In the words by which a step ends that has to force the host down first the next time.
pub(super) const NOT_FORCED_DOWN: &str = "is no longer forced down";

/// nova's words for a host that is up (`ComputeServiceInUse`).
const IN_USE: &str = "still in use";

/// Evacuates every instance that is planned to be and still here. What it knows of earlier attempts it reads
/// from nova and from the journal, so it can be cut off anywhere.
pub(super) async fn evacuate(
    context: &Context<'_>,
    plan: &Plan,
    fenced: &Fenced,
) -> Result<Outcome, Trouble> {
    let mut end = End::new(context.respond.config.evacuation_deadline);
    let arrival = match plan.on_arrival {
        OnArrival::AsItWas => Arrival::AsItWas,
        OnArrival::Stopped => Arrival::Off,
    };
    let mut run: Option<Run> = None;
    loop {
        let round = Instant::now();
        let view = View::read(context.cloud, fenced.host()).await?;
        let mut recorded = watch::with_newcomers(context, plan, &view).await?;
        let run = match &mut run {
            Some(run) => run,
            None => {
                let run = run.insert(Run::begin(context, &view).await?);
                // A person let it go on: what failed before gets another run.
                let again = recorded.iter().filter(|known| known.state == FAILED).cloned();
                let again = again
                    .map(|known| CaseInstance {
                        state: WAITING.to_owned(),
                        ..known
                    })
                    .collect();
                watch::record(context, &mut recorded, again).await?;
                run
            }
        };
        watch::look(context, &view, &mut recorded).await?;
        give_up(context, run, &view, &mut recorded).await?;
        if recorded.iter().all(watch::is_settled) {
            return Ok(ended(&recorded));
        }
        if end.is_over() {
            let power = run
                .unread
                .as_deref()
                .map_or_else(String::new, |why| format!("{why}; "));
            let waits = run
                .turns
                .values()
                .next()
                .map_or_else(String::new, |words| format!("{words}; "));
            return Ok(Outcome::Stuck(format!(
                "{power}{waits}{} after {:?}; an evacuation that is under way is never asked for again: see \
                 `openstack server migration list` for those that hang, then let the case go on",
                watch::summary(&recorded),
                end.begun.elapsed()
            )));
        }
        if let Some(why) = super::fence::still_off(context, fenced, Asked::Meanwhile).await? {
            run.unread(context, why).await?;
        }
        let waited: Vec<InstanceId> = run.turns.keys().copied().collect();
        ask(context, fenced, run, arrival, &mut recorded).await?;
        tokio::time::sleep(context.respond.pace).await;
        if waited.iter().any(|id| !run.turns.contains_key(id)) {
            end.begins_anew();
        } else if run.only_waits_for_turns(&recorded) {
            end.does_not_count(round.elapsed());
        }
    }
}

/// When a run ends. What is spent waiting for the turn of a server group is not counted, and who gets its turn has the whole
/// time from then; all within the bound that the step's own deadline is made of.
struct End {
    begun: Instant,
    limit: Duration,
    at: Instant,
}

/// A run with waiting takes no longer than this many times its limit.
pub(in crate::respond) const WITH_WAITING: u32 = 3;

impl End {
    fn new(limit: Duration) -> Self {
        let begun = Instant::now();
        Self {
            begun,
            limit,
            at: begun + limit,
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }

    fn does_not_count(&mut self, waited: Duration) {
        // Room is left for whoever gets its turn last.
        let bound = self.begun + self.limit.saturating_mul(WITH_WAITING - 1);
        self.at = self.at.max((self.at + waited).min(bound));
    }

    fn begins_anew(&mut self) {
        let bound = self.begun + self.limit.saturating_mul(WITH_WAITING);
        self.at = self.at.max((Instant::now() + self.limit).min(bound));
    }
}

/// What one run remembers. Losing it costs a few more tries, no harm: what is in doubt is in the journal.
struct Run {
    /// Evacuations that had failed before.
    old: HashSet<String>,
    /// How often nova refused to be asked, and with what words.
    refused: HashMap<InstanceId, (u32, String)>,
    /// Until when an instance is not asked for: the answer to a request is not known, so that it may still reach
    /// nova, which would run a second one beside it.
    doubt: HashMap<InstanceId, Instant>,
    /// Until when an instance is left alone before it is tried again.
    rests: HashMap<InstanceId, Instant>,
    /// How many failures of an instance were seen in this run.
    failed: HashMap<InstanceId, usize>,
    /// Instances that were seen on the host with an evacuation that had arrived.
    back: HashSet<InstanceId>,
    /// Why nothing was asked for when it was last to be: the power cannot be read.
    unread: Option<String>,
    /// Which instances have to be evacuated one after another.
    groups: Groups,
    /// Who waits for the turn of its server group, and for whom.
    turns: HashMap<InstanceId, String>,
}

impl Run {
    /// Begins with what an earlier run, perhaps of a daemon that was killed, left in doubt.
    async fn begin(context: &Context<'_>, view: &View) -> Result<Self, Trouble> {
        let now = context.now();
        let asked = in_doubt(context.journal);
        let mut doubt = HashMap::new();
        for instance in context.instances().await? {
            let effect = Effect::Evacuate(instance.id);
            let Some(at) = asked.get(&effect.to_string()) else {
                continue;
            };
            // Another clock wrote that time, perhaps, or this one was set since: what it says can only make it longer than
            // this daemon has itself waited.
            let left = effect
                .in_doubt_for()
                .saturating_sub(now.since(*at))
                .max(context.respond.pace.saturating_mul(DOUBT_PACES));
            doubt.insert(instance.id, Instant::now() + left);
            let words = format!(
                "nova was asked at {at} to evacuate {}, and its answer is not known; without a sign of it, nova is \
                 asked again in {} s",
                instance.id,
                left.as_secs()
            );
            context.note(Step::Evacuate, &Entry::says(words)).await?;
        }
        Ok(Self {
            old: view.failures(),
            refused: HashMap::new(),
            doubt,
            rests: HashMap::new(),
            failed: HashMap::new(),
            back: HashSet::new(),
            unread: None,
            groups: Groups::default(),
            turns: HashMap::new(),
        })
    }
}

/// Leaves to a person what has failed often enough.
async fn give_up(
    context: &Context<'_>,
    run: &mut Run,
    view: &View,
    recorded: &mut [CaseInstance],
) -> Result<(), Trouble> {
    let mut failed = Vec::new();
    for instance in recorded.iter().filter(|known| known.state == WAITING) {
        let failures = view.failed(instance.id, &run.old);
        let failed_again = run.failed.insert(instance.id, failures).unwrap_or_default() < failures;
        // A replica of nova's database may lag behind: one that came back is still there after a while.
        if failed_again || (view.is_done(instance.id) && run.back.insert(instance.id)) {
            let rest = context.respond.pace.saturating_mul(PACES_AFTER_FAILURE);
            run.rests.insert(instance.id, Instant::now() + rest);
        }
        let detail = match run.refused.get(&instance.id) {
            Some((times, words)) if *times >= REFUSALS => Some(words.clone()),
            _ if failures >= TRIES => instance.detail.clone(),
            _ => continue,
        };
        failed.push(CaseInstance {
            state: FAILED.to_owned(),
            detail,
            ..instance.clone()
        });
    }
    watch::record(context, recorded, failed).await
}

/// Asks for as many as may be under way, one of each server group that keeps its members apart: nova only does one by
/// one.
async fn ask(
    context: &Context<'_>,
    fenced: &Fenced,
    run: &mut Run,
    arrival: Arrival,
    recorded: &mut [CaseInstance],
) -> Result<(), Trouble> {
    let now = Instant::now();
    let in_doubt = run
        .doubt
        .iter()
        .filter(|(_, until)| now < **until)
        .map(|(id, _)| *id);
    let moving: HashSet<InstanceId> = with_state(recorded, MOVING).into_iter().chain(in_doubt).collect();
    let waiting: Vec<InstanceId> = with_state(recorded, WAITING);
    let mut free = AT_ONCE.saturating_sub(moving.len());
    if free == 0 || waiting.is_empty() {
        return Ok(());
    }
    run.groups
        .know(context, moving.iter().chain(&waiting).copied())
        .await?;
    let mut busy: HashSet<String> = moving.iter().flat_map(|id| run.groups.of(*id)).collect();
    for id in waiting {
        if free == 0 {
            break;
        }
        if moving.contains(&id) || run.rests.get(&id).is_some_and(|until| now < *until) {
            continue;
        }
        let groups = run.groups.of(id);
        if groups.iter().any(|group| busy.contains(group)) {
            continue;
        }
        // Directly before each: what was asked for before it may have waited for its turn.
        if let Some(why) = super::fence::still_off(context, fenced, Asked::Before).await? {
            return run.unread(context, why).await;
        }
        run.unread = None;
        let turn = match groups.is_empty() {
            true => None,
            false => match run.groups.turn(context, id).await? {
                Ok(turn) => {
                    run.turns.remove(&id);
                    Some(turn)
                }
                Err(words) => {
                    run.turns.insert(id, words.clone());
                    let rest = context.respond.pace.saturating_mul(PACES_BEFORE_A_TURN);
                    run.rests.insert(id, Instant::now() + rest);
                    busy.extend(groups);
                    say(context, recorded, id, WAITING, words).await?;
                    continue;
                }
            },
        };
        let answer = context
            .cloud
            .evacuate(&context.leave, fenced, id, None, arrival)
            .await;
        if let Some(turn) = turn
            && !answer.as_ref().is_err_and(may_arrive)
        {
            turn.give_back(context).await?;
        }
        let (state, detail) = match answer {
            Ok(Evacuation::Asked | Evacuation::Underway(_)) => {
                free -= 1;
                busy.extend(groups);
                (MOVING, "nova was asked to evacuate it".to_owned())
            }
            // The next look finds it there.
            Ok(Evacuation::Elsewhere(_) | Evacuation::Gone) => continue,
            Ok(Evacuation::NotNow(server)) if server.task_state.is_some() => {
                let task = server.task_state.unwrap_or_default();
                run.refuse(
                    id,
                    format!("nova is busy with it: task_state {task}"),
                    context.respond.pace,
                );
                continue;
            }
            Ok(Evacuation::NotNow(server)) => (
                HELD,
                format!(
                    "nova does not evacuate in vm_state {}; it stays for a person",
                    server.vm_state
                ),
            ),
            // Such as a virtual TPM that the image asks for, or a share: this instance cannot, the others can.
            Err(Error::Refused(answer)) if is_about_the_instance(context, &answer).await? => {
                (HELD, format!("{answer}"))
            }
            Err(error)
                if error.next() == Next::Stop
                    && !matches!(error, Error::NotOnFencedHost { .. } | Error::Refused(_)) =>
            {
                return Err(error.into());
            }
            // It wants to be left alone, and was not reached: no refusal of this instance.
            Err(error) if error.next() == Next::Again && error.retry_after().is_some() => {
                return Err(error.into());
            }
            // It took too long to ask: the next look reads the power again.
            Err(Error::NotPermitted { denied, .. }) if denied.passes => return Ok(()),
            Err(error) => {
                if may_arrive(&error) {
                    run.doubt
                        .insert(id, Instant::now() + Effect::Evacuate(id).in_doubt_for());
                    free -= 1;
                    busy.extend(groups);
                }
                run.refuse(id, error.to_string(), context.respond.pace);
                continue;
            }
        };
        say(context, recorded, id, state, detail).await?;
    }
    Ok(())
}

/// Whether a refusal is about this instance, which is left to a person then: it holds for as long as the case does. A
/// host that nova takes for up is refused for every instance; the step ends then, and forces it down first the next time.
async fn is_about_the_instance(context: &Context<'_>, answer: &Answer) -> Result<bool, Trouble> {
    if answer.status != NOT_POSSIBLE {
        return Ok(false);
    }
    let service = context.service().await?;
    if service.up || !service.forced_down {
        let why = format!("{} {NOT_FORCED_DOWN}, and nova refuses: {answer}", service.host);
        return Err(Trouble::Ended(Box::new(Outcome::Again { after: None, why })));
    }
    // What nova reads may lag behind what it shows.
    Ok(!answer.message.contains(IN_USE))
}

/// Whether the request may still reach nova, or has.
fn may_arrive(error: &Error) -> bool {
    error.next() == Next::Look && !matches!(error, Error::Conflict(_) | Error::NotFound(_))
}

/// Records where an instance stands, and why.
async fn say(
    context: &Context<'_>,
    recorded: &mut [CaseInstance],
    id: InstanceId,
    state: &str,
    detail: String,
) -> Result<(), Trouble> {
    let known = recorded.iter().find(|known| known.id == id).cloned();
    let now = known.map(|known| CaseInstance {
        state: state.to_owned(),
        detail: Some(detail),
        ..known
    });
    watch::record(context, recorded, now.into_iter().collect()).await
}

impl Run {
    /// Nothing more is asked for just now; said once, until the power can be read again.
    async fn unread(&mut self, context: &Context<'_>, why: String) -> Result<(), Trouble> {
        if self.unread.is_none() {
            context.note(Step::Evacuate, &Entry::says(why.clone())).await?;
        }
        self.unread = Some(why);
        Ok(())
    }

    /// Whether nothing else is expected than the turn of a server group.
    fn only_waits_for_turns(&self, recorded: &[CaseInstance]) -> bool {
        let now = Instant::now();
        self.unread.is_none()
            && with_state(recorded, MOVING).is_empty()
            && self.doubt.values().all(|until| *until <= now)
            && with_state(recorded, WAITING)
                .iter()
                .any(|id| self.turns.contains_key(id))
    }

    fn refuse(&mut self, id: InstanceId, words: String, pace: Duration) {
        let refused = self.refused.entry(id).or_default();
        let paces = PACES_AFTER_REFUSAL << refused.0.min(REFUSALS);
        refused.0 += 1;
        refused.1 = words;
        self.rests.insert(id, Instant::now() + pace.saturating_mul(paces));
    }
}

fn with_state(recorded: &[CaseInstance], state: &str) -> Vec<InstanceId> {
    recorded
        .iter()
        .filter(|known| known.state == state)
        .map(|known| known.id)
        .collect()
}

/// The step is done when nothing failed; what failed needs a person, and another run.
fn ended(recorded: &[CaseInstance]) -> Outcome {
    let words = watch::summary(recorded);
    let failed: Vec<String> = recorded
        .iter()
        .filter(|known| known.state == FAILED)
        .map(|known| {
            format!(
                "{} ({}): {}",
                known.id,
                known.name,
                known.detail.as_deref().unwrap_or("")
            )
        })
        .collect();
    if failed.is_empty() {
        return Outcome::Done(Entry::says(words));
    }
    Outcome::Stuck(format!(
        "{words}: {}; make room or remove the cause, then let the case go on, and they are tried again",
        failed.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::{LocalDisk, ResponseMode};
    use crate::openstack::scripted::{self, answer};
    use crate::respond::bench::{World, cloud_that, host};
    use crate::respond::plan::{PlannedInstance, Rules};
    use crate::store::LeaseKind;

    /// Someone who waits for half of the time, and then gets its turn.
    #[tokio::test(start_paused = true)]
    async fn what_is_spent_waiting_for_a_turn_is_not_counted_and_who_gets_it_has_the_whole_time() {
        let (limit, half) = (Duration::from_secs(1800), Duration::from_secs(900));
        let mut end = End::new(limit);
        for _ in 0..2 {
            tokio::time::advance(half).await;
            end.does_not_count(half);
        }
        tokio::time::advance(half).await;
        assert!(!end.is_over(), "900 s of 2700 are counted");
        end.begins_anew();
        tokio::time::advance(limit - Duration::from_secs(1)).await;
        assert!(!end.is_over());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(end.is_over());
        // Whoever waits for ever ends within what the step's own deadline knows of.
        let mut end = End::new(limit);
        let begun = Instant::now();
        while !end.is_over() {
            tokio::time::advance(half).await;
            end.does_not_count(half);
            assert!(begun.elapsed() <= limit * (WITH_WAITING - 1));
        }
        end.begins_anew();
        assert!(end.at <= begun + limit * WITH_WAITING);
    }

    const SERVER: &str = r#"{"server": {"id": "b3f1e7a4-5c62-4c1e-9d1d-0a8d6c1f2e3b", "status": "ACTIVE",
        "tenant_id": "p", "user_id": "u", "name": "web", "OS-EXT-SRV-ATTR:host": "cmp-1",
        "OS-EXT-STS:vm_state": "active", "OS-EXT-STS:task_state": null, "image": "",
        "flavor": {"original_name": "tiny", "vcpus": 1, "ram": 64, "disk": 1}}}"#;

    fn service(heartbeat: &str) -> String {
        format!(
            r#"{{"services": [{{"host": "cmp-1", "id": "eb16b4e6-9661-4c7f-a847-b00f79322cbd",
            "status": "disabled", "state": "down", "updated_at": "{heartbeat}", "forced_down": true}}]}}"#
        )
    }

    #[tokio::test]
    async fn an_evacuation_whose_answer_was_lost_is_not_asked_for_again_at_once() {
        for answer in [|| scripted::Answer::Close, || answer(408, "")] {
            is_not_asked_for_again_at_once(answer).await;
        }
    }

    async fn is_not_asked_for_again_at_once(lost: fn() -> scripted::Answer) {
        let (server, cloud) = cloud_that(move |request| match request.method.as_str() {
            "POST" => lost(),
            _ if request.path.contains("/os-migrations") => answer(200, r#"{"migrations": []}"#),
            _ if request.path.contains("/servers/") => answer(200, SERVER),
            _ if request.path.contains("/os-server-groups") => answer(200, r#"{"server_groups": []}"#),
            _ if request.path.contains("/os-services") => answer(200, service("1970-01-01T00:00:00.000000")),
            _ => answer(500, ""),
        })
        .await;
        let world = World::new(cloud).await;
        let case = world.case().await;
        let mut respond = world.respond(ResponseMode::Enforce);
        // The proof is as young as it is for a daemon with a pace of a second.
        respond.pace = Duration::from_secs(60);
        let lease = world.lease(LeaseKind::Case(case.id.clone())).await;
        let fenced = Arc::new(Fenced::for_tests(host()));
        let proof = Mutex::new(Some(super::super::Seen::new(Arc::clone(&fenced))));
        let context = Context::new(&respond, &world.cloud, &case, &[], &lease, &proof, Step::Evacuate);
        let id = "b3f1e7a4-5c62-4c1e-9d1d-0a8d6c1f2e3b".parse().unwrap();
        let here = world.cloud.server(id).await.unwrap().unwrap();
        let mut recorded =
            [PlannedInstance::of(&here, &Rules::local_disk(LocalDisk::Hold)).recorded(&host())];
        let mut run = Run {
            old: HashSet::new(),
            refused: HashMap::new(),
            doubt: HashMap::new(),
            rests: HashMap::new(),
            failed: HashMap::new(),
            back: HashSet::new(),
            unread: None,
            groups: Groups::default(),
            turns: HashMap::new(),
        };
        for _ in 0..3 {
            ask(&context, &fenced, &mut run, Arrival::AsItWas, &mut recorded)
                .await
                .unwrap();
        }
        assert_eq!(server.count("POST /v2.1/servers"), 1);
        // Without a sign of it for long enough, it is asked for again.
        run.doubt.values_mut().for_each(|until| *until = Instant::now());
        run.rests.clear();
        ask(&context, &fenced, &mut run, Arrival::AsItWas, &mut recorded)
            .await
            .unwrap();
        assert_eq!(server.count("POST /v2.1/servers"), 2);
    }

    #[tokio::test]
    async fn nothing_more_is_evacuated_once_the_host_reports_again() {
        // The proof's heartbeat is of 1970.
        for (heartbeat, comes_back) in [
            ("1970-01-01T00:00:00.000000", false),
            ("2026-11-21T06:53:47.000000", true),
        ] {
            let (_server, cloud) = cloud_that(move |_| answer(200, service(heartbeat))).await;
            let world = World::new(cloud).await;
            let case = world.case().await;
            let respond = world.respond(ResponseMode::Enforce);
            let lease = world.lease(LeaseKind::Case(case.id.clone())).await;
            let fenced = Arc::new(Fenced::for_tests(host()));
            let proof = Mutex::new(Some(super::super::Seen::new(Arc::clone(&fenced))));
            let context = Context::new(&respond, &world.cloud, &case, &[], &lease, &proof, Step::Evacuate);
            let off = crate::respond::steps::fence::still_off(&context, &fenced, Asked::Before).await;
            assert_eq!(off.is_err(), comes_back, "{heartbeat}: {off:?}");
            assert_eq!(proof.lock().unwrap().is_none(), comes_back, "the proof is void");
            let told = world.store.notifications(9).await.unwrap();
            assert_eq!(
                told.iter().any(|(event, _)| event.kind == "tampering-suspected"),
                comes_back
            );
        }
    }
}
