//! What each operation does to the world.

use std::time::Duration;

use super::ops::Op;
use super::rounds::Nature;
use super::rules::Broken;
use super::world::Sim;
use crate::clock::Clock as _;
use crate::respond::tests::cloud::Mood;

impl Sim {
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
                self.counts.jumps += 1;
                let clock = &self.clocks[usize::from(daemon)];
                let apart = Duration::from_secs(u64::from(by.unsigned_abs()));
                clock.set(if by < 0 {
                    clock.now().minus(apart)
                } else {
                    clock.now().plus(apart)
                });
                self.book.jumped = true;
                self.lulls_end(|_| true);
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
            Op::PauseGuest(guest) if guests > 0 => {
                let it = &mut self.cloud.guests[usize::from(guest) % guests];
                if it.vm_state == "active" && !it.task {
                    it.vm_state = "paused";
                }
            }
            Op::MoveTo(guest, host) if guests > 0 => {
                if self.cloud.move_to(usize::from(guest) % guests, host % hosts) {
                    self.touch(host);
                }
            }
            Op::Ends(..) | Op::PauseGuest(_) | Op::MoveTo(..) => {}
            Op::Rounds(daemon) => {
                for host in 0..hosts {
                    self.round(usize::from(daemon), host);
                    self.settle(usize::from(daemon))?;
                    // One after another: of two cases in one instant chance alone decides which is first.
                    self.tick(2, 1)?;
                }
            }
            Op::Policy => self.change_policy(),
            Op::Pause(host, seconds) => self.pause(host.map(|host| host % hosts), seconds),
            Op::Resume(host) => self.resume(host.map(|host| host % hosts)),
            Op::Dismiss(host) => self.dismiss(host % hosts),
            Op::ApproveGroup(nth) => self.settle_group(nth, true),
            Op::DismissGroup(nth) => self.settle_group(nth, false),
            Op::Release(host, second) => self.release(host % hosts, second),
            Op::Settle(host, item, waive) => self.settle_item(host % hosts, item, waive),
            Op::Agree(host, other) => self.agree(host % hosts, other),
        }
        for daemon in 0..2 {
            self.settle(daemon)?;
        }
        Ok(())
    }

    fn touch(&mut self, host: u8) {
        let host = host % self.list.shape.hosts;
        self.counts.meddlings += 1;
        self.book.touched.insert(host, self.cloud.now);
    }

    pub(super) fn wake(&mut self, daemon: usize) -> Result<(), Broken> {
        if let Some(it) = &mut self.daemons[daemon]
            && it.stalled
        {
            it.stalled = false;
            self.wire.runs(it.process);
            it.advance(Duration::ZERO);
        }
        self.settle(daemon)
    }
}
