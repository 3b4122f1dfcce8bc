//! The end of a list: faults stop, and whatever is under way gets its time.

use std::time::Duration;

use super::mutants::Mutant;
use super::rules::{self, Broken};
use super::world::Sim;
use crate::clock::Timestamp;
use crate::respond::tests::T0;
use crate::respond::tests::cloud::{Mood, Request};
use crate::store::{CaseState, NewNotification};

impl Sim {
    /// Faults end, and a day goes by, or less where everything has come to its end before.
    pub(super) fn finish(&mut self) -> Result<(), Broken> {
        self.calm()?;
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
        if self.mutant != Mutant::NeverDrives {
            self.look_twice()?;
        }
        self.break_at_the_end()?;
        rules::at_the_end(self)
    }

    fn calm(&mut self) -> Result<(), Broken> {
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
        Ok(())
    }

    /// Two looks at what is kept out, and the time to put it back.
    fn look_twice(&mut self) -> Result<(), Broken> {
        self.requests_of_this_op = 0;
        for host in (0..self.list.shape.hosts).map(Some).chain([None]) {
            self.resume(host);
        }
        self.tick(200, 4)?;
        if rules::held_down(self).is_err() {
            // What was put back too often is put back more seldom, and leases of those who died have to run out.
            self.requests_of_this_op = 0;
            self.tick(1500, 10)?;
            rules::held_down(self)?;
        }
        rules::after(self)
    }

    /// Holes that show only when all is over.
    fn break_at_the_end(&mut self) -> Result<(), Broken> {
        if self.mutant == Mutant::ActsUnasked {
            let request = Request {
                at: "cloud".into(),
                method: "PUT".into(),
                path: "/v2.1/os-services/000003e8-0000-4000-8000-000000000000".into(),
                query: String::new(),
                body: r#"{"status": "enabled"}"#.into(),
            };
            rules::sent(self, &request)?;
        }
        if self.mutant == Mutant::SaysTwice {
            let told = self.ask(self.store.notifications(100_000)).unwrap();
            for (event, _) in told.into_iter().filter(|(event, _)| event.kind == "case-closed") {
                let again = NewNotification {
                    key: format!("{} again", event.key),
                    quiet: None,
                    kind: event.kind,
                    payload: event.payload,
                };
                self.ask(self.store.enqueue(&again, self.wall(0))).unwrap();
            }
        }
        Ok(())
    }
}
