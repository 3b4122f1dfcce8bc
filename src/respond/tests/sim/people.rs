//! What people do: by the same calls to the store as the command line, which is not a part of the simulation.

use std::time::Duration;

use super::mutants::Mutant;
use super::rules::Lull;
use super::world::Sim;
use crate::config::ResponseMode;
use crate::ids::{CaseId, CaseKind, PauseId};
use crate::respond::guard::{Cause, Hold};
use crate::respond::journal::{json, touched};
use crate::respond::release::{DISK_COPIES, INSTANCES_LEFT, Item, ReleasePlan, SECOND_PERSON};
use crate::respond::saga;
use crate::respond::tests::cloud::name;
use crate::store::{
    AuditEntry, Case, CaseState, HeldGroup, ItemState, Json, LeaseKind, NewCase, NewNotification, Outcome,
    Pause, ReleaseItem,
};

/// What a host knew, beside what a release always asks for.
const CREDENTIAL: &str = "message-bus";

impl Sim {
    pub(super) fn person(&mut self, host: u8, lets_go_on: bool) {
        let Some(case) = self.ask(self.store.unclosed_case(&name(host))).unwrap() else {
            return;
        };
        if lets_go_on {
            self.approve(&case.id);
        } else {
            let now = self.wall(0);
            let held = self.ask(self.store.hold(&case.id, "anna", "wait", now)).unwrap();
            if held && self.mutant == Mutant::ForgetsHolds {
                self.ask(self.store.approve(&case.id, "nobody", now)).unwrap();
            }
        }
    }

    fn approve(&mut self, case: &CaseId) {
        let now = self.wall(0);
        if self.ask(self.store.approve(case, "anna", now)).unwrap() {
            self.counts.approvals += 1;
            self.book.approved(case);
        }
    }

    /// As `lazaret quarantine dismiss` does.
    pub(super) fn dismiss(&mut self, host: u8) {
        if let Some(case) = self.ask(self.store.unclosed_case(&name(host))).unwrap() {
            self.dismiss_case(&case);
        }
    }

    fn dismiss_case(&mut self, case: &Case) {
        if !matches!(case.state, CaseState::Held { .. } | CaseState::Stuck { .. }) {
            return;
        }
        let now = self.wall(0);
        let kind = LeaseKind::Case(case.id.clone());
        let standing = self.ask(self.store.standing(&kind)).unwrap();
        // Somebody is at it, or died as it was: who asks would wait.
        if standing.is_some_and(|held| held.until.is_some()) {
            return;
        }
        let lasts = Duration::from_secs(30);
        let taken = self
            .store
            .take_over(kind, standing.as_ref(), "person", now, lasts);
        let Some(lease) = self.ask(taken).unwrap() else {
            return;
        };
        let steps = self.ask(self.store.steps(&case.id)).unwrap();
        let begun = touched(&steps, &self.ask(self.store.journal_of(&case.id)).unwrap());
        let outcome = Outcome {
            reason: "dismissed by anna: a mistake".to_owned(),
            detail: Json::from(serde_json::json!({ "dismissed_by": "anna", "steps_begun": begun })),
        };
        let dismissed = self.store.dismiss_case(&lease, &outcome, begun.is_empty(), now);
        self.ask(dismissed).unwrap();
        self.ask(self.store.release(lease)).unwrap();
    }

    /// The n-th held group goes on, or is ended.
    pub(super) fn settle_group(&mut self, nth: u8, goes_on: bool) {
        let groups = self.ask(self.store.held_groups()).unwrap();
        let Some(group) = groups.get(usize::from(nth) % groups.len().max(1)) else {
            return;
        };
        let now = self.wall(0);
        let mut members = self.cases();
        members.retain(|case| case.held_group.as_ref() == Some(&group.id));
        if goes_on {
            let approval = json(&[shown(group, &members)]);
            let gone_on = self.store.approve_group(&group.id, &approval, "anna", now);
            for case in self.ask(gone_on).unwrap() {
                self.counts.approvals += 1;
                self.book.approved(&case);
            }
            return;
        }
        for case in members {
            self.dismiss_case(&case);
        }
        self.ask(self.store.dismiss_group(&group.id, "a mistake", "anna", now))
            .unwrap();
    }

    pub(super) fn pause(&mut self, host: Option<u8>, seconds: u16) {
        self.counts.pauses += 1;
        let from = self.wall(0);
        let pause = Pause {
            id: PauseId::new(from, self.number()),
            host: host.map(name),
            from,
            until: from.plus(Duration::from_secs(u64::from(seconds))),
            because: "somebody works on it".to_owned(),
            by: "anna".to_owned(),
            made_at: from,
            ended_at: None,
            ended_by: None,
        };
        if self.mutant != Mutant::ForgetsPauses {
            let told = self.told("paused");
            self.ask(self.store.pause(&pause, &told, from)).unwrap();
        }
        // Of daemons whose clocks differ nobody can say when it begins.
        if self.book.jumped {
            return;
        }
        let until = self.cloud.now + u64::from(seconds) * 1000;
        for case in self.cases() {
            if host.is_none_or(|host| name(host) == case.host) {
                let from = self.entries(&case.id);
                self.book.lulls.entry(case.id).or_default().push(Lull {
                    host,
                    until,
                    from,
                    to: None,
                });
            }
        }
    }

    pub(super) fn resume(&mut self, host: Option<u8>) {
        let told = self.told("resumed");
        let (named, now) = (host.map(name), self.wall(0));
        let ended = self.store.resume(named.as_ref(), "anna", &told, now);
        let ended = self.ask(ended).unwrap();
        self.counts.resumes += usize::try_from(ended).unwrap().min(1);
        self.lulls_end(|lull| lull.host == host);
    }

    /// These pauses are over: what the journals have from now on is not in them.
    pub(super) fn lulls_end(&mut self, which: impl Fn(&Lull) -> bool) {
        let open = |lull: &Lull| lull.to.is_none() && which(lull);
        let cases: Vec<CaseId> = self
            .book
            .lulls
            .iter()
            .filter(|(_, lulls)| lulls.iter().any(open))
            .map(|(case, _)| case.clone())
            .collect();
        for case in cases {
            let to = self.entries(&case);
            let lulls = self.book.lulls.entry(case).or_default();
            for lull in lulls.iter_mut().filter(|lull| open(lull)) {
                lull.to = Some(to);
            }
        }
    }

    /// How long the journal of a case is.
    fn entries(&self, case: &CaseId) -> i64 {
        let journal = self.ask(self.store.journal_of(case)).unwrap();
        journal.last().map_or(0, |entry| entry.seq)
    }

    /// The quarantine that keeps a host out, and its release that is not closed.
    fn kept_out(&self, host: u8) -> Option<(Case, Option<Case>)> {
        let known = self.ask(self.store.host(&name(host))).unwrap()?;
        let quarantine = self.ask(self.store.case(&known.quarantined_by?)).unwrap()?;
        let unclosed = self.ask(self.store.unclosed_case(&name(host))).unwrap();
        match unclosed {
            Some(case) if case.kind == CaseKind::Release => Some((quarantine, Some(case))),
            Some(_) => None,
            None => Some((quarantine, None)),
        }
    }

    /// As `lazaret quarantine release` does.
    pub(super) fn release(&mut self, host: u8, second: bool) {
        if self.config.mode == ResponseMode::Observe {
            return;
        }
        let Some((quarantine, release)) = self.kept_out(host) else {
            return;
        };
        if let Some(release) = release {
            return self.approve(&release.id);
        }
        self.counts.releases += 1;
        let now = self.wall(0);
        let left = self.ask(self.store.instances(&quarantine.id)).unwrap();
        let left = left
            .iter()
            .filter(|known| ["held", "failed", "waiting"].contains(&known.state.as_str()));
        let items = vec![Item::new(CREDENTIAL, "its account")];
        let plan = ReleasePlan::make(&quarantine, "anna", second, items, left.count(), now);
        let id = CaseId::new(CaseKind::Release, now, self.number());
        let wanted = (plan.items.iter().map(|item| item.name.clone()).collect(), second);
        self.book.releases.insert(id.clone(), wanted);
        let plan = match self.mutant {
            Mutant::AsksNobody => ReleasePlan {
                items: Vec::new(),
                second_person: false,
                ..plan
            },
            _ => plan,
        };
        let case = NewCase {
            id: id.clone(),
            kind: CaseKind::Release,
            parent: Some(quarantine.id.clone()),
            held_group: None,
            holds: None,
            not_before: now,
            host: quarantine.host.clone(),
            state: CaseState::Open,
            mode: self.config.mode,
            cause: "anna asks for it back".to_owned(),
            condemned_by: quarantine.condemned_by,
            confirmed_by: quarantine.confirmed_by,
            plan: json(&plan),
            steps: saga::steps(CaseKind::Release, true)
                .into_iter()
                .map(|step| step.as_str().to_owned())
                .collect(),
            instances: Vec::new(),
            evidence: Vec::new(),
        };
        self.ask(self.store.open_asked(&case, &entry("release"), now))
            .unwrap();
        if self.mutant == Mutant::TrustsEarly {
            self.ask(self.store.end_quarantine(&name(host))).unwrap();
        }
        // One that is asked for in a pause does not begin before it is over.
        let paused = |lull: &&Lull| lull.to.is_none();
        let lulls = self.book.lulls.get(&quarantine.id).into_iter().flatten();
        let lulls: Vec<Lull> = lulls
            .filter(paused)
            .map(|lull| Lull {
                from: 0,
                ..lull.clone()
            })
            .collect();
        self.book.lulls.insert(id, lulls);
    }

    /// As `lazaret quarantine release HOST tick` and `waive` do.
    pub(super) fn settle_item(&mut self, host: u8, item: u8, waive: bool) {
        let Some((quarantine, _)) = self.kept_out(host) else {
            return;
        };
        let items = [CREDENTIAL, DISK_COPIES, INSTANCES_LEFT];
        let state = if waive {
            ItemState::Waived
        } else {
            ItemState::Ticked
        };
        self.settled(
            &quarantine.id,
            items[usize::from(item) % items.len()],
            state,
            "anna",
        );
    }

    /// As `lazaret quarantine release HOST approve` does, but that it also lets whoever asked say so.
    pub(super) fn agree(&mut self, host: u8, other: bool) {
        if let Some((_, Some(release))) = self.kept_out(host) {
            let by = if other { "bert" } else { "anna" };
            self.settled(&release.id, SECOND_PERSON, ItemState::Ticked, by);
        }
    }

    fn settled(&self, case: &CaseId, item: &str, state: ItemState, by: &str) {
        let at = self.wall(0);
        let item = ReleaseItem {
            item: item.to_owned(),
            state,
            by: by.to_owned(),
            because: None,
            at,
        };
        self.ask(self.store.settle_item(case, &item, &entry("release-item"), at))
            .unwrap();
    }

    /// A number that nothing else has.
    fn number(&mut self) -> [u8; 3] {
        self.numbers += 1;
        let [_, rest @ ..] = self.numbers.to_be_bytes();
        rest
    }

    fn told(&mut self, kind: &str) -> NewNotification {
        NewNotification {
            key: format!("{kind} {:?}", self.number()),
            kind: kind.to_owned(),
            payload: Json::empty(),
            quiet: None,
        }
    }

    /// From now on another policy is in force.
    pub(super) fn change_policy(&mut self) {
        self.policy.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.book.policy_since = Some(self.cloud.now);
    }
}

fn entry(what: &str) -> AuditEntry {
    AuditEntry {
        who: "anna".to_owned(),
        what: what.to_owned(),
        subject: "a host".to_owned(),
        outcome: "asked for".to_owned(),
    }
}

/// What whoever lets a group go on was shown.
fn shown(group: &HeldGroup, members: &[Case]) -> Hold {
    let cause: Cause = group.cause.read().unwrap();
    Hold::SharedCause {
        cause,
        hosts: members.iter().map(|case| case.host.clone()).collect(),
    }
}
