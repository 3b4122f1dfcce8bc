//! The simulation itself: two daemons on one store, the model of the cloud, and what happens to them in which order.

use std::io;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::Counts;
use super::daemon::Daemon;
use super::mutants::Mutant;
use super::ops::{Cut, How, List, Op};
use super::rounds::{Nature, Verifier};
use super::rules::{self, Book, Broken};
use super::wire::{Flight, What, Wire, answered, lost};
use crate::clock::{Clock as _, ManualClock, Timestamp};
use crate::config::{Recovery, Response, ResponseMode, Silence};
use crate::ids::Sha256Digest;
use crate::respond::tests::cloud::{Answer, Cloud, Request, name};
use crate::respond::tests::{T0, response};
use crate::store::cut;
use crate::store::{Case, CaseFilter, LeaseKind, NewHost, Store};
use crate::transport::model;

/// Requests within one op; more is a loop without a pause.
const RUNAWAY: usize = 20_000;

pub(super) struct Sim {
    pub(super) daemons: [Option<Daemon>; 2],
    // After the daemons, which use it.
    desk: Runtime,
    pub(super) store: Store,
    _directory: tempfile::TempDir,
    pub(super) list: List,
    pub(super) config: Response,
    pub(super) cloud: Cloud,
    pub(super) wire: Arc<Wire>,
    pub(super) clocks: [Arc<ManualClock>; 2],
    processes: usize,
    pub(super) faults: Vec<(u8, bool, How)>,
    pub(super) cuts: [Option<(u8, Cut)>; 2],
    pub(super) stalls: [Option<u8>; 2],
    /// Requests that arrive later.
    late: Vec<(u64, Request, usize)>,
    pub(super) natures: Vec<Nature>,
    pub(super) rounds: u64,
    /// What people and their doings are told apart by.
    pub(super) numbers: u32,
    /// Which policy is in force.
    pub(super) policy: Arc<AtomicU8>,
    /// Which process sent what is looked at.
    pub(super) running: usize,
    pub(super) requests_of_this_op: usize,
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
        let path = directory.path().join("lazaret.db");
        std::fs::write(&path, migrated()).unwrap();
        let mut store = desk.block_on(Store::open(&path)).unwrap();
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
            holddown_interval: Duration::from_secs(60),
            boot_deadline: Duration::from_secs(120),
            silence: Some(Silence {
                unschedule_after: Duration::from_secs(120),
                rounds: 3,
                share: 0.5,
            }),
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
            numbers: 0,
            policy: Arc::default(),
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
                Op::Tick(_)
                    | Op::Round(..)
                    | Op::Rounds(_)
                    | Op::Start(_)
                    | Op::Wake(_)
                    | Op::Approve(_)
                    | Op::Release(..)
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

    pub(super) fn start(&mut self, daemon: usize) {
        if self.daemons[daemon].is_some() {
            return;
        }
        self.processes += 1;
        self.book.misled |= self.book.jumped;
        let config = self.mutant.config(&self.config);
        let clock = Arc::clone(&self.clocks[daemon]);
        let verifier = Verifier {
            wire: Arc::clone(&self.wire),
            store: self.store.clone(),
            clock: Arc::clone(&clock),
            policy: Arc::clone(&self.policy),
            owner: format!("verifier/{}", self.processes),
        };
        let it = Daemon::start(
            self.processes,
            &self.store,
            &self.list.shape,
            &config,
            clock,
            Arc::new(verifier),
            self.mutant != Mutant::NobodyLooksAgain,
        );
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
    pub(super) fn settle(&mut self, daemon: usize) -> Result<(), Broken> {
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
            it.run(|| self.store.is_busy(), cut::struck);
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
        let (mut request, reply) = match flight.what {
            What::Attest(host, reply) => {
                self.trace.push(format!("attest {host}"));
                let _ = reply.send(self.attest(&host));
                return Ok(());
            }
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
            if self.mutant == Mutant::OthersTakeOver {
                self.take_over();
            }
            rules::sent(self, &request)?;
            if self.mutant == Mutant::TwoAtOnce {
                self.running += 1000;
                rules::sent(self, &request)?;
                self.running -= 1000;
            }
            if self.mutant == Mutant::DownOnly && request.body.contains("forced_down") {
                request.body = r#"{"forced_down": true}"#.to_owned();
            }
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
                // It spent its leave: what is to act is on its way, also while the process stands still. A question may
                // be sent when it goes on.
                let process = it.process;
                while let Some(flight) = self.wire.next_act(process) {
                    self.deliver(daemon, flight)?;
                }
            }
        }
        self.truth()
    }

    /// Somebody else takes every case, just when something is sent.
    fn take_over(&self) {
        for case in self.cases() {
            let later = self.wall(0).plus(Duration::from_secs(61));
            let kind = LeaseKind::Case(case.id);
            let taken = self.store.lease(kind, "another", later, Duration::from_secs(60));
            self.ask(taken).unwrap();
        }
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
            if self.mutant == Mutant::Ghosts {
                for guest in self.cloud.guests.iter_mut().filter(|guest| guest.host == 0) {
                    guest.runs_on.insert(0);
                }
            }
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
            self.lulls_end(|lull| lull.until <= now);
            for daemon in 0..2 {
                self.settle(daemon)?;
            }
        }
        Ok(())
    }

    /// Whether anything is to be touched.
    pub(super) fn enforces(&self) -> bool {
        self.config.mode == ResponseMode::Enforce
    }
}

/// An empty database with all its tables, made once.
fn migrated() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lazaret.db");
        let desk = Builder::new_current_thread().enable_time().build().unwrap();
        desk.block_on(async {
            let store = Store::open(&path).await.unwrap();
            store.close().await;
        });
        std::fs::read(&path).unwrap()
    })
}
