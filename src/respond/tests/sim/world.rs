//! The simulation itself: two daemons on one store, the model of the cloud, and what happens to them in which order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lazaret_attest::verdict::Verdict;
use tokio::runtime::{Builder, Runtime};

use super::daemon::Daemon;
use super::ops::{Cut, How, List, Op};
use super::rules::{self, Book, Broken};
use super::wire::{Flight, What, Wire, answered, lost};
use super::{Counts, Mutant};
use crate::clock::{Clock as _, ManualClock, Timestamp};
use crate::config::{Recovery, Response, ResponseMode};
use crate::ids::{HostName, RoundId, Sha256Digest};
use crate::respond::decide::Decision;
use crate::respond::journal::json;
use crate::respond::tests::cloud::{Answer, Cloud, Mood, Request, name};
use crate::respond::tests::{T0, finding, response};
use crate::store::cut;
use crate::store::{Case, CaseFilter, CaseState, Json, LeaseKind, NewHost, Purpose, Recording, Round, Store};
use crate::transport::model;

/// Requests within one op; more is a loop without a pause.
const RUNAWAY: usize = 20_000;

/// What a host is, by its own TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    Clean,
    Rooted(u8),
    Silent,
}

pub(super) struct Sim {
    daemons: [Option<Daemon>; 2],
    // After the daemons, which use it.
    desk: Runtime,
    pub(super) store: Store,
    _directory: tempfile::TempDir,
    pub(super) list: List,
    pub(super) config: Response,
    pub(super) cloud: Cloud,
    wire: Arc<Wire>,
    clocks: [Arc<ManualClock>; 2],
    processes: usize,
    faults: Vec<(u8, bool, How)>,
    cuts: [Option<(u8, Cut)>; 2],
    stalls: [Option<u8>; 2],
    /// Requests that arrive later.
    late: Vec<(u64, Request, usize)>,
    natures: Vec<Nature>,
    rounds: u64,
    /// Which process sent what is looked at.
    pub(super) running: usize,
    requests_of_this_op: usize,
    pub(super) book: Book,
    pub(super) counts: Counts,
    pub(super) mutant: Mutant,
    /// What was sent and answered, in order: the same list gives the same.
    pub(super) trace: Vec<String>,
    /// When each request was sent, and whether it was one to nova.
    pub(super) times: Vec<(u64, bool)>,
}

impl Drop for Sim {
    fn drop(&mut self) {
        model::set(None);
        cut::arm(None);
    }
}

impl Sim {
    pub(super) fn new(list: &List, mutant: Mutant) -> Self {
        // In memory where there is such a place: hundreds of databases are made here.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::within(directory.unwrap(), list, mutant, |_| {})
    }

    /// With its database in this directory, and a configuration of its own.
    pub(super) fn within(
        directory: tempfile::TempDir,
        list: &List,
        mutant: Mutant,
        configure: impl FnOnce(&mut Response),
    ) -> Self {
        let desk = Builder::new_current_thread().enable_time().build().unwrap();
        let mut store = desk
            .block_on(Store::open(&directory.path().join("lazaret.db")))
            .unwrap();
        store.one_after_the_other();
        let mut config = Response {
            mode: if list.observe {
                ResponseMode::Observe
            } else {
                ResponseMode::Enforce
            },
            recovery: if list.by_masakari {
                Recovery::Masakari
            } else {
                Recovery::Nova
            },
            step_deadline: Duration::from_secs(60),
            step_attempts: 5,
            masakari_deadline: Duration::from_secs(180),
            evacuation_deadline: Duration::from_secs(240),
            ..response()
        };
        configure(&mut config);
        let clock = || Arc::new(ManualClock::new(Timestamp::from_millis(T0)));
        let wire = Wire::new();
        model::set(Some(Arc::clone(&wire) as Arc<dyn model::Network>));
        let mut sim = Self {
            daemons: [None, None],
            desk,
            store,
            _directory: directory,
            list: list.clone(),
            config,
            cloud: Cloud::new(&list.shape),
            wire,
            clocks: [clock(), clock()],
            processes: 0,
            faults: Vec::new(),
            cuts: [None; 2],
            stalls: [None; 2],
            late: Vec::new(),
            natures: vec![Nature::Clean; usize::from(list.shape.hosts)],
            rounds: 0,
            running: 0,
            requests_of_this_op: 0,
            book: Book::default(),
            counts: Counts::default(),
            mutant,
            trace: Vec::new(),
            times: Vec::new(),
        };
        for host in 0..list.shape.hosts {
            sim.enrol(host);
        }
        sim.start(0);
        sim
    }

    /// Runs the whole list, then lets everything come to its end.
    pub(super) fn run(&mut self) -> Result<(), Broken> {
        for op in self.list.ops.clone() {
            self.requests_of_this_op = 0;
            self.counts.ops += 1;
            self.apply(op)?;
            if matches!(
                op,
                Op::Tick(_) | Op::Round(..) | Op::Start(_) | Op::Wake(_) | Op::Approve(_)
            ) {
                rules::after(self)?;
            }
        }
        self.finish()
    }

    /// One thing that happens, in which nothing runs away.
    pub(super) fn quiet(
        &mut self,
        thing: impl FnOnce(&mut Self) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.requests_of_this_op = 0;
        thing(self)
    }

    /// Asks the store; the harness's own question.
    pub(super) fn ask<T>(&self, work: impl Future<Output = T>) -> T {
        self.desk.block_on(async {
            let told = work.await;
            while self.store.is_busy() {
                std::thread::yield_now();
                tokio::task::yield_now().await;
            }
            told
        })
    }

    pub(super) fn cases(&self) -> Vec<Case> {
        self.ask(self.store.cases(&CaseFilter::default())).unwrap()
    }

    pub(super) fn wall(&self, daemon: usize) -> Timestamp {
        self.clocks[daemon].now()
    }

    fn enrol(&mut self, host: u8) {
        let new = NewHost {
            name: name(host),
            agent_url: format!("https://{}:7990", name(host)).parse().unwrap(),
            policy: None,
            ak_public: vec![host],
            ak_name: vec![host],
            ek_public_digest: Sha256Digest([host; 32]),
            ek_certificate: None,
            ek_kind: "ecc-p256".into(),
            agent_key: Sha256Digest([host; 32]),
        };
        let now = self.wall(0);
        self.ask(self.store.enrol(&new, "sim", false, now)).unwrap();
    }

    fn start(&mut self, daemon: usize) {
        if self.daemons[daemon].is_some() {
            return;
        }
        self.processes += 1;
        let config = self.mutant.config(&self.config);
        let clock = Arc::clone(&self.clocks[daemon]);
        let it = Daemon::start(self.processes, &self.store, &self.list.shape, &config, clock);
        self.daemons[daemon] = Some(it);
        self.cuts[daemon] = None;
        self.stalls[daemon] = None;
    }

    /// Ends a process at once. What it had sent is on its way all the same.
    fn kill(&mut self, daemon: usize) -> Result<(), Broken> {
        let Some(it) = self.daemons[daemon].take() else {
            return Ok(());
        };
        drop(it);
        self.counts.crashes += 1;
        self.cuts[daemon] = None;
        self.trace.push("killed".into());
        while let Some(flight) = self.wire.next() {
            if let What::Request(request, _) = flight.what
                && request.acts()
            {
                self.running = flight.by;
                rules::sent(self, &request)?;
                self.cloud.request(&request, flight.by);
            }
        }
        self.truth()
    }

    /// Lets a daemon go on until it waits for time.
    fn settle(&mut self, daemon: usize) -> Result<(), Broken> {
        loop {
            let Some(it) = self.daemons[daemon].as_ref().filter(|it| !it.stalled) else {
                return Ok(());
            };
            self.wire.runs(it.process);
            let write = match self.cuts[daemon] {
                Some((nth, Cut::BeforeWrite)) => Some((nth, true)),
                Some((nth, Cut::AfterWrite)) => Some((nth, false)),
                _ => None,
            };
            cut::arm(write);
            it.run(|| self.store.is_busy(), || !self.wire.is_empty(), cut::struck);
            let struck = cut::struck();
            if let (Some(left), Some((nth, _))) = (cut::arm(None), &mut self.cuts[daemon]) {
                *nth = left;
            }
            if struck {
                return self.kill(daemon);
            }
            match self.wire.next() {
                Some(flight) => self.deliver(daemon, flight)?,
                None => return Ok(()),
            }
        }
    }

    fn deliver(&mut self, daemon: usize, flight: Flight) -> Result<(), Broken> {
        let (request, reply) = match flight.what {
            What::Connect(host, reply) => {
                let answers = self.cloud.agent(&host, flight.by) && self.mutant != Mutant::HostsLie;
                let outcome = if answers {
                    Ok(())
                } else {
                    Err(io::ErrorKind::ConnectionRefused.into())
                };
                let _ = reply.send(outcome);
                return Ok(());
            }
            What::Request(request, reply) => (request, reply),
        };
        self.running = flight.by;
        self.counts.requests += 1;
        self.requests_of_this_op += 1;
        if self.requests_of_this_op > RUNAWAY {
            return Err(Broken::new(
                "no_runaway",
                format!("{RUNAWAY} requests within one op"),
            ));
        }
        self.trace
            .push(format!("{} {} {}", request.method, request.at, request.path));
        self.times.push((
            self.cloud.now,
            request.at == "cloud" && request.path.starts_with("/v2.1/"),
        ));
        if request.acts() {
            self.counts.acts += 1;
            rules::sent(self, &request)?;
        }
        let how = self.fault(&request);
        let cut = self.crash_now(daemon);
        if cut == Some(Cut::BeforeRequest) {
            return self.kill(daemon);
        }
        if cut.is_some() {
            self.cloud.request(&request, flight.by);
            self.truth()?;
            return self.kill(daemon);
        }
        let stalls = self.stalls[daemon].as_mut().is_some_and(|left| {
            *left = left.saturating_sub(1);
            *left == 0
        });
        let answer = match how {
            None => {
                let answer = self.cloud.request(&request, flight.by);
                Ok(answered(self.mutant.tells(&request, answer)))
            }
            Some(How::Status(status)) => Ok(answered(Answer {
                status,
                headers: if status == 429 {
                    vec![("retry-after", "7".to_owned())]
                } else {
                    Vec::new()
                },
                body: r#"{"error": {"message": "the simulation says so"}}"#.to_owned(),
            })),
            Some(How::Lost) => {
                self.cloud.request(&request, flight.by);
                Err(lost(false))
            }
            Some(How::Dropped) => Err(lost(false)),
            Some(How::Unsent) => Err(lost(true)),
            Some(How::Late(seconds)) => {
                let at = self.cloud.now + u64::from(seconds.min(60)) * 1000;
                self.late.push((at, request, flight.by));
                Err(lost(false))
            }
        };
        let _ = reply.send(answer);
        if stalls {
            self.stalls[daemon] = None;
            self.counts.stalls += 1;
            if let Some(it) = &mut self.daemons[daemon] {
                it.stalled = true;
            }
        }
        self.truth()
    }

    /// How this request goes wrong, if it does.
    fn fault(&mut self, request: &Request) -> Option<How> {
        let mut how = None;
        for (left, acts, kind) in &mut self.faults {
            if !*acts || request.acts() {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    how = Some(*kind);
                }
            }
        }
        self.faults.retain(|(left, ..)| *left > 0);
        if how.is_some() {
            self.counts.faults += 1;
        }
        how
    }

    fn crash_now(&mut self, daemon: usize) -> Option<Cut> {
        let (left, cut) = self.cuts[daemon].as_mut()?;
        if !matches!(cut, Cut::BeforeRequest | Cut::AfterRequest) {
            return None;
        }
        *left = left.saturating_sub(1);
        (*left == 0).then_some(*cut)
    }

    fn truth(&mut self) -> Result<(), Broken> {
        match self.cloud.broken.pop() {
            Some((rule, words)) => Err(Broken::new(rule, words)),
            None => Ok(()),
        }
    }

    pub(super) fn tick(&mut self, seconds: u64, quantum: u64) -> Result<(), Broken> {
        let mut left = seconds;
        while left > 0 {
            let by = Duration::from_secs(left.min(quantum));
            left -= by.as_secs();
            self.cloud.advance(by);
            let now = self.cloud.now;
            let (due, later) = std::mem::take(&mut self.late)
                .into_iter()
                .partition(|(at, ..)| *at <= now);
            self.late = later;
            let due: Vec<(u64, Request, usize)> = due;
            for (_, request, by) in due {
                self.counts.late += 1;
                self.cloud.request(&request, by);
            }
            self.truth()?;
            for daemon in 0..2 {
                self.clocks[daemon].advance(by);
                if let Some(it) = &mut self.daemons[daemon] {
                    self.wire.runs(it.process);
                    it.advance(by);
                }
            }
            for daemon in 0..2 {
                self.settle(daemon)?;
            }
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, op: Op) -> Result<(), Broken> {
        let hosts = self.list.shape.hosts;
        let guests = self.cloud.guests.len();
        match op {
            Op::Tick(seconds) => return self.tick(u64::from(seconds), 1 + u64::from(seconds >= 30)),
            Op::Root(host, cause) => self.natures[usize::from(host % hosts)] = Nature::Rooted(cause),
            Op::Clean(host) => self.natures[usize::from(host % hosts)] = Nature::Clean,
            Op::Silence(host) => self.natures[usize::from(host % hosts)] = Nature::Silent,
            Op::Round(daemon, host) => {
                self.round(usize::from(daemon), host % hosts);
                return self.settle(usize::from(daemon));
            }
            Op::Fault(nth, acts, how) => self.faults.push((nth.max(1), acts, how)),
            Op::Crash(daemon, nth, cut) => self.cuts[usize::from(daemon)] = Some((nth.max(1), cut)),
            Op::Start(daemon) => {
                if self.daemons[usize::from(daemon)].is_none() {
                    self.counts.starts += 1;
                }
                self.start(usize::from(daemon));
                return self.settle(usize::from(daemon));
            }
            Op::Stall(daemon, nth) => self.stalls[usize::from(daemon)] = Some(nth.max(1)),
            Op::Wake(daemon) => return self.wake(usize::from(daemon)),
            Op::Jump(daemon, by) => {
                let clock = &self.clocks[usize::from(daemon)];
                let apart = Duration::from_secs(u64::from(by.unsigned_abs()));
                clock.set(if by < 0 {
                    clock.now().minus(apart)
                } else {
                    clock.now().plus(apart)
                });
                self.book.jumped = true;
            }
            Op::Approve(host) => self.person(host % hosts, true),
            Op::Hold(host) => self.person(host % hosts, false),
            Op::Enable(host) => {
                self.touch(host);
                let it = self.cloud.host(host);
                (it.enabled, it.reason) = (true, None);
            }
            Op::ForceUp(host) => {
                self.touch(host);
                let it = self.cloud.host(host);
                (it.enabled, it.reason, it.forced_down) = (true, None, false);
            }
            Op::Leave(host) => {
                self.touch(host);
                for (_, members) in self.cloud.aggregates.values_mut() {
                    members.remove(&(host % hosts));
                }
            }
            Op::PowerOn(host) => {
                self.touch(host);
                self.cloud.power_on(host % hosts, false);
            }
            Op::Hang(host, seconds) => {
                // A host that hides from nova and from us is told by an honest BMC, and the other way round.
                if self
                    .cloud
                    .host(host)
                    .bmcs
                    .iter()
                    .all(|bmc| bmc.mood != Mood::Lies)
                {
                    self.cloud.shrank_at = Some(self.cloud.now + u64::from(seconds) * 1000);
                    self.cloud.hang(host % hosts, u64::from(seconds));
                }
            }
            Op::Monitor(host) => {
                self.touch(host);
                self.cloud.monitor_notices(host % hosts);
            }
            Op::Bmc(host, second, mood) => {
                let now = self.cloud.now;
                let it = self.cloud.host(host);
                let hangs = it.on && !it.runs(now);
                let index = usize::from(second) % it.bmcs.len();
                if mood != Mood::Lies || !hangs {
                    it.bmcs[index].mood = mood;
                }
            }
            Op::Ends(guest, end) if guests > 0 => {
                self.cloud.guests[usize::from(guest) % guests].ends.push(end)
            }
            Op::Pause(guest) if guests > 0 => {
                let it = &mut self.cloud.guests[usize::from(guest) % guests];
                if it.vm_state == "active" && !it.task {
                    it.vm_state = "paused";
                }
            }
            Op::Ends(..) | Op::Pause(_) => {}
        }
        for daemon in 0..2 {
            self.settle(daemon)?;
        }
        Ok(())
    }

    fn touch(&mut self, host: u8) {
        let host = host % self.list.shape.hosts;
        self.book.touched.insert(host, self.cloud.now);
    }

    fn wake(&mut self, daemon: usize) -> Result<(), Broken> {
        if let Some(it) = &mut self.daemons[daemon]
            && it.stalled
        {
            it.stalled = false;
            self.wire.runs(it.process);
            it.advance(Duration::ZERO);
        }
        self.settle(daemon)
    }

    fn person(&mut self, host: u8, lets_go_on: bool) {
        let Some(case) = self.ask(self.store.unclosed_case(&name(host))).unwrap() else {
            return;
        };
        let now = self.wall(0);
        if lets_go_on {
            self.counts.approvals += 1;
            self.ask(self.store.approve(&case.id, "anna", now)).unwrap();
        } else {
            self.ask(self.store.hold(&case.id, "anna", "wait", now)).unwrap();
        }
    }

    /// One round, and a second one where the first condemns.
    fn round(&mut self, daemon: usize, host: u8) {
        let Some(it) = self.daemons[daemon].as_ref().filter(|it| !it.stalled) else {
            return;
        };
        let mut nature = self.natures[usize::from(host)];
        if !self.cloud.hosts[usize::from(host)].runs(self.cloud.now) {
            nature = Nature::Silent;
        }
        let verdict = match (nature, self.mutant) {
            (Nature::Clean, _) => Verdict::Affirming,
            (Nature::Rooted(_), _) | (Nature::Silent, Mutant::Slander) => Verdict::Contraindicated,
            (Nature::Silent, _) => Verdict::Indeterminate,
        };
        let cause = match nature {
            Nature::Rooted(cause) => format!("{cause:02x}"),
            _ => "ff".to_owned(),
        };
        let number = self.rounds;
        self.rounds += 2;
        let rooted = matches!(nature, Nature::Rooted(_));
        for number in [number, number + 1] {
            self.book.rounds.insert(round_id(number), rooted);
        }
        let (respond, store) = (Arc::clone(&it.respond), self.store.clone());
        let (clock, owner) = (Arc::clone(&it.clock), format!("rounds/{}", it.process));
        let host = name(host);
        it.begin(async move {
            let kind = LeaseKind::Host(host.clone());
            let taken = store
                .lease(kind, &owner, clock.now(), Duration::from_secs(60))
                .await;
            let Ok(Some(lease)) = taken else { return };
            let first = recording(&host, number, verdict, &cause, clock.now());
            let decided = Box::pin(respond.on_round(&lease, first)).await;
            if let Ok(Decision::Confirm) = decided {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let second = recording(&host, number + 1, verdict, &cause, clock.now());
                let _ = Box::pin(respond.on_round(&lease, second)).await;
            }
            let _ = store.release(lease).await;
        });
    }

    /// Faults end, and a day goes by, or less where everything has come to its end before.
    fn finish(&mut self) -> Result<(), Broken> {
        self.faults.clear();
        (self.cuts, self.stalls) = ([None; 2], [None; 2]);
        for host in &mut self.cloud.hosts {
            for bmc in &mut host.bmcs {
                bmc.mood = Mood::Honest;
            }
        }
        for daemon in 0..2 {
            self.requests_of_this_op = 0;
            // Two daemons whose clocks are further apart than a lease lasts take each other's cases for ever.
            self.clocks[daemon].set(Timestamp::from_millis(T0).plus(Duration::from_millis(self.cloud.now)));
            self.wake(daemon)?;
        }
        if self.daemons.iter().all(Option::is_none) {
            self.start(0);
        }
        if self.mutant == Mutant::NeverDrives {
            self.daemons = [None, None];
        }
        let mut left: u64 = 86_400;
        loop {
            self.requests_of_this_op = 0;
            // Fast at first, when most comes to its end; no slower than leases are renewed.
            let (seconds, quantum) = match left {
                86_000.. => (40, 2),
                85_000.. => (200, 5),
                _ => (1000, 20),
            };
            self.tick(seconds, quantum)?;
            rules::after(self)?;
            left = left.saturating_sub(seconds);
            if left == 0 || self.cases().iter().all(|case| case.state != CaseState::Open) {
                break;
            }
        }
        rules::at_the_end(self)
    }

    /// Whether a daemon is alive, and not stalled.
    pub(super) fn enforces(&self) -> bool {
        self.config.mode == ResponseMode::Enforce
    }
}

fn round_id(number: u64) -> RoundId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    RoundId::new(bytes)
}

fn recording(host: &HostName, number: u64, verdict: Verdict, cause: &str, now: Timestamp) -> Recording {
    let findings = match verdict {
        Verdict::Contraindicated => vec![finding(cause)],
        _ => Vec::new(),
    };
    Recording {
        round: Round {
            id: round_id(number),
            host: host.clone(),
            purpose: Purpose::Scheduled,
            confirms: None,
            started_at: now,
            finished_at: now,
            verdict,
            findings: json(&findings),
            claims: Json::empty(),
            timings: Json::empty(),
            evidence: None,
            policy: None,
        },
        history: None,
        answered: verdict != Verdict::Indeterminate,
        next_due: None,
        case: None,
        notifications: Vec::new(),
    }
}
