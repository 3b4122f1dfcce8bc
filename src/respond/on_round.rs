//! A round is over: decide, and write the round with all that follows from it in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lazaret_attest::finding::Finding;
use lazaret_attest::verdict::Verdict;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::config::{self, ResponseMode};
use crate::ids::{CaseId, CaseKind, HostName};
use crate::store::{Case, CaseState, Lease, NewCase, RecordError, Recording, Round, Store, StoreError};

use super::decide::{Decision, Earlier, Question, decide};
use super::guard::{self, Cause, Circumstances, Hold, Limits};
use super::inventory::Inventory;
use super::journal::{json, value};
use super::notify::{Event, Kind};
use super::plan::{Order, Plan, Planning};
use super::{Ahead, Respond, saga};

/// A first condemnation older than this is confirmed anew; longer where the configured pause is.
const CONFIRM_WITHIN: Duration = Duration::from_secs(3600);

/// The inventory is waited for this long when a case is opened; after that the driver plans. Disabling the
/// service is urgent, and it is the driver that does it.
const PLAN_WITHIN: Duration = Duration::from_secs(2);

/// An inventory that was read ahead longer ago than this is read anew: limits are kept by what is so now.
const AHEAD_FOR: Duration = Duration::from_secs(60);

/// Earlier rounds that are looked at.
const EARLIER: u32 = 16;

impl Respond {
    /// Writes a round down, with the case and the notifications that follow from it, in one transaction; says
    /// what was decided. On [`Decision::Confirm`] the caller challenges the host again at once and brings that
    /// round here too.
    ///
    /// `recording` comes without case and notifications; they are put in here.
    pub async fn on_round(&self, lease: &Lease, mut recording: Recording) -> Result<Decision, RecordError> {
        let now = self.clock.now();
        let host = recording.round.host.clone();
        let round = &recording.round;
        let earlier = self.store.latest_rounds(&host, EARLIER).await?;
        // Rounds from a time when the clock was ahead say nothing of what came before this one.
        let before = |earlier: &Round| earlier.id != round.id && earlier.finished_at <= round.finished_at;
        let mut earlier: Vec<Round> = earlier.into_iter().filter(before).collect();
        // Nor may they crowd out the round that this one confirms.
        if let Some(first) = round.confirms
            && earlier.is_empty()
            && let Some(first) = self.store.round(first).await?
        {
            earlier.extend(Some(first).filter(before));
        }
        let quarantined = self
            .store
            .host(&host)
            .await?
            .is_some_and(|host| host.quarantined_by.is_some());
        let case_open = quarantined || self.store.unclosed_case(&host).await?.is_some();
        let decision = decide(&Question {
            mode: self.config.mode,
            verdict: round.verdict,
            round: round.id,
            at: round.finished_at,
            earlier: &earlier.iter().map(seen).collect::<Vec<_>>(),
            case_open,
            confirm_within: CONFIRM_WITHIN,
        });
        let mut events = Vec::new();
        // Held until the case is written, so that the next one is counted with it.
        let mut _opening = None;
        match decision {
            Decision::Nothing => {}
            Decision::Confirm => self.read_ahead(&host).await,
            Decision::Notify(news) => {
                let words = words(&findings(round));
                events.push(Event::news(news, &host, round.id, &words, now));
            }
            Decision::OpenCase => {
                _opening = Some(self.opening.lock().await);
                let first = earlier
                    .iter()
                    .find(|before| before.verdict == Verdict::Contraindicated);
                let case = Box::pin(self.new_case(round, first.unwrap_or(round), now)).await?;
                events.push(opened(&case, now));
                if let CaseState::Held { reason } = &case.state {
                    events.push(Event::case(Kind::CaseHeld, &case.id, &host, reason.clone(), now));
                }
                recording.case = Some(case);
            }
        }
        recording.notifications.extend(events.iter().map(Event::queued));
        match self.store.record(lease, &recording, now).await {
            Ok(()) => {}
            // Another daemon was faster; the round counts all the same.
            Err(RecordError::CaseOpen { .. }) => {
                recording.case = None;
                recording.notifications.clear();
                self.store.record(lease, &recording, now).await?;
                return Ok(Decision::Nothing);
            }
            Err(error) => return Err(error),
        }
        if recording.case.is_some() {
            self.opened.notify_one();
        }
        Ok(decision)
    }

    /// Begins to read what is on the host while the condemnation is being confirmed.
    async fn read_ahead(&self, host: &HostName) {
        let Some(cloud) = self.cloud.clone() else { return };
        if self.config.mode == ResponseMode::Observe {
            return;
        }
        let of = host.clone();
        let reading = tokio::spawn(async move { Inventory::read(&cloud, &of).await });
        let ahead = Ahead {
            since: Instant::now(),
            reading,
        };
        if let Some(older) = self.ahead.lock().await.insert(host.clone(), ahead) {
            older.reading.abort();
        }
    }

    async fn new_case(&self, round: &Round, first: &Round, now: Timestamp) -> Result<NewCase, StoreError> {
        let host = &round.host;
        let findings = findings(round);
        let id = CaseId::new(CaseKind::Quarantine, now, rand::random());
        let cause = words(&findings);
        let planning = match self.inventory_soon(host).await {
            Ok(inventory) => {
                let holds = self.holds(&id, now, Cause::of(&findings), &inventory).await?;
                let order = self.order(&id, &cause, host, now);
                match Plan::make(&order, &inventory, holds) {
                    Ok(plan) => Planning::Made(Box::new(plan)),
                    Err(error) => Planning::Later {
                        because: error.to_string(),
                    },
                }
            }
            Err(because) => Planning::Later { because },
        };
        let (state, instances) = match &planning {
            Planning::Made(plan) => {
                let instances = plan
                    .instances
                    .iter()
                    .map(|instance| instance.recorded(host))
                    .collect();
                match held(&plan.holds) {
                    Some(reason) => (CaseState::Held { reason }, instances),
                    None => (CaseState::Open, instances),
                }
            }
            Planning::Later { .. } => (CaseState::Open, Vec::new()),
        };
        let planned = matches!(planning, Planning::Made(_));
        let evidence = [("condemned", first), ("confirmed", round)];
        Ok(NewCase {
            id,
            kind: CaseKind::Quarantine,
            parent: None,
            host: host.clone(),
            state,
            mode: self.config.mode,
            cause,
            condemned_by: first.id,
            confirmed_by: round.id,
            plan: json(&planning),
            steps: saga::steps(CaseKind::Quarantine, planned)
                .into_iter()
                .map(|step| step.as_str().to_owned())
                .collect(),
            instances,
            evidence: evidence
                .into_iter()
                .filter_map(|(what, round)| Some((what.to_owned(), round.evidence?)))
                .collect(),
        })
    }

    /// The inventory, if it can be had soon.
    pub(super) async fn inventory_soon(&self, host: &HostName) -> Result<Inventory, String> {
        let Some(cloud) = &self.cloud else {
            return Err("no cloud is configured".to_owned());
        };
        // The confirmation may have failed to come for a while: the host was silent in between.
        let ahead = self
            .ahead
            .lock()
            .await
            .remove(host)
            .filter(|ahead| ahead.since.elapsed() < AHEAD_FOR);
        let reading = Box::pin(async {
            match ahead {
                Some(ahead) => match ahead.reading.await {
                    Ok(Ok(inventory)) => Ok(inventory),
                    // What failed a moment ago may work now.
                    Ok(Err(_)) | Err(_) => Inventory::read(cloud, host).await,
                },
                None => Box::pin(Inventory::read(cloud, host)).await,
            }
        });
        match tokio::time::timeout(PLAN_WITHIN, reading).await {
            Ok(Ok(inventory)) => Ok(inventory),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("the cloud did not answer within {PLAN_WITHIN:?}")),
        }
    }

    /// What a plan is made for.
    pub(super) fn order<'a>(
        &'a self,
        case: &'a CaseId,
        cause: &'a str,
        host: &HostName,
        now: Timestamp,
    ) -> Order<'a> {
        Order {
            case,
            cause,
            response: &self.config,
            fence: self.fencing.names(host),
            keep: self.keep.as_ref(),
            now,
        }
    }

    /// Every limit that this case would be over.
    pub(super) async fn holds(
        &self,
        case: &CaseId,
        now: Timestamp,
        causes: BTreeSet<Cause>,
        inventory: &Inventory,
    ) -> Result<Vec<Hold>, StoreError> {
        let limits = limits(&self.config);
        let since = now.minus(limits.window);
        let cases = self.store.cases_opened_since(since).await?;
        Ok(guard::holds(
            &limits,
            &Circumstances {
                cases: Some(count(cases.iter().filter(|other| other.id != *case))),
                zone: inventory.zone(),
                causes,
                elsewhere: Some(elsewhere(&self.store, &inventory.host, since).await?),
            },
        ))
    }
}

/// The limits as configured.
pub(super) fn limits(config: &config::Response) -> Limits {
    Limits {
        max_cases: config.max_cases,
        window: config.window,
        keep_hosts: config.keep_hosts,
    }
}

/// Cases that act or have acted; one that is held by the limits has not.
pub(super) fn count<'a>(cases: impl Iterator<Item = &'a Case>) -> u32 {
    let acting = cases
        .filter(|case| !matches!(case.state, CaseState::Held { .. }))
        .count();
    u32::try_from(acting).unwrap_or(u32::MAX)
}

/// Holds in one sentence; `None` when there is none.
pub(super) fn held(holds: &[Hold]) -> Option<String> {
    let words: Vec<String> = holds.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// The findings of a round.
pub(super) fn findings(round: &Round) -> Vec<Finding> {
    value(&round.findings).unwrap_or_default()
}

/// Findings in one line: the gravest first, three at most.
pub(super) fn words(findings: &[Finding]) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.gravity == Verdict::Contraindicated));
    let mut words: Vec<String> = sorted
        .iter()
        .take(3)
        .map(|finding| format!("{} ({})", finding.code.as_str(), finding.subject))
        .collect();
    if sorted.len() > 3 {
        words.push(format!("and {} more", sorted.len() - 3));
    }
    if words.is_empty() {
        "no finding".to_owned()
    } else {
        words.join(", ")
    }
}

/// What condemned other hosts since then.
async fn elsewhere(
    store: &Store,
    host: &HostName,
    since: Timestamp,
) -> Result<BTreeMap<HostName, BTreeSet<Cause>>, StoreError> {
    let mut causes = BTreeMap::new();
    for other in store.hosts().await? {
        let Some(last) = &other.last else { continue };
        if other.name() == host || last.verdict != Verdict::Contraindicated || last.at < since {
            continue;
        }
        if let Some(round) = store.round(last.round).await? {
            causes.insert(other.name().clone(), Cause::of(&findings(&round)));
        }
    }
    // A host that was fenced since is silent now; its case still says what condemned it.
    for case in store.cases_opened_since(since).await? {
        if case.host == *host || causes.contains_key(&case.host) {
            continue;
        }
        if let Some(round) = store.round(case.confirmed_by).await? {
            causes.insert(case.host, Cause::of(&findings(&round)));
        }
    }
    Ok(causes)
}

fn seen(round: &Round) -> Earlier {
    Earlier {
        verdict: round.verdict,
        round: round.id,
        at: round.finished_at,
    }
}

fn opened(case: &NewCase, now: Timestamp) -> Event {
    let summary = format!("{} fails attestation: {}", case.host, case.cause);
    Event::case(Kind::CaseOpened, &case.id, &case.host, summary, now)
}
