//! What may happen in the simulation, as data, and how lists of it are made up.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::respond::tests::cloud::{End, Mood, Shape};

/// A whole simulation. The daemons are 0 and 1, the second one not started at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    pub(super) shape: Shape,
    /// Masakari recovers; else nova does, beside Masakari where it is there.
    pub(super) by_masakari: bool,
    pub(super) observe: bool,
    pub(super) ops: Vec<Op>,
}

/// One thing that happens. Numbers wrap around what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// Time goes by, in seconds.
    Tick(u16),
    /// The host is rooted; what shows it is this cause's finding.
    Root(u8, u8),
    /// The host passes again.
    Clean(u8),
    /// The agent no longer answers rounds.
    Silence(u8),
    /// The daemon holds a round of the host, and a second one where it condemns.
    Round(u8, u8),
    /// Of the requests from now on, the n-th one goes wrong. `true`: only those that change something count.
    Fault(u8, bool, How),
    /// The daemon is killed at its n-th request or write from now on.
    Crash(u8, u8, Cut),
    /// The daemon is started again, as a new process.
    Start(u8),
    /// The daemon is stopped at its n-th request from now on, as by SIGSTOP: after it was sent.
    Stall(u8, u8),
    /// It goes on.
    Wake(u8),
    /// The daemon's clock is put forward or back, in seconds.
    Jump(u8, i32),
    /// A person lets the host's case go on.
    Approve(u8),
    /// A person holds the host's case.
    Hold(u8),
    /// Another tool enables the compute service.
    Enable(u8),
    /// Another tool clears `forced_down`, and enables.
    ForceUp(u8),
    /// Somebody takes the host out of the quarantine aggregate.
    Leave(u8),
    /// Somebody powers the host on.
    PowerOn(u8),
    /// nova-compute and the agent hang for so many seconds; the guests run on.
    Hang(u8, u16),
    /// Masakari's monitor sees the host gone.
    Monitor(u8),
    /// The host's BMC changes its mood; `true`: its second one.
    Bmc(u8, bool, Mood),
    /// The guest's next evacuation ends so.
    Ends(u8, End),
    /// Somebody pauses the guest.
    PauseGuest(u8),
    /// Somebody moves the guest to this host, by whatever way nova does not tell.
    MoveTo(u8, u8),
    /// The daemon holds a round of each host.
    Rounds(u8),
    /// The policy that is in force is changed: older verdicts count no more.
    Policy,
    /// A person has the host, or (`None`) the whole cloud, left alone for so many seconds.
    Pause(Option<u8>, u16),
    /// A person ends the pauses of the host, or those of the whole cloud.
    Resume(Option<u8>),
    /// A person ends the host's case, if it waits for one.
    Dismiss(u8),
    /// A person lets the n-th held group go on.
    ApproveGroup(u8),
    /// A person ends the n-th held group.
    DismissGroup(u8),
    /// A person asks for the host back, or lets its release go on. `true`: another one has to agree.
    Release(u8, bool),
    /// A person says of the n-th thing that the host knew that it is replaced, or (`true`) that it need not be.
    Settle(u8, u8, bool),
    /// Another person agrees that the host is given back; `false`: the same one does.
    Agree(u8, bool),
}

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It is answered so, without any effect.
    Status(u16),
    /// It has its effect, and no answer comes.
    Lost,
    /// It is lost on its way.
    Dropped,
    /// No connection comes about.
    Unsent,
    /// It arrives so many seconds later, and no answer comes. At most 60: proxies give up on a request by then.
    Late(u8),
}

/// Where a daemon is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A request was sent, and never arrives.
    BeforeRequest,
    /// A request has its effect, and no answer comes.
    AfterRequest,
    /// Something was about to be written to the database.
    BeforeWrite,
    /// Something was written to the database.
    AfterWrite,
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        6 => select(vec![503, 500, 429, 409, 401, 403, 404, 400, 202]).prop_map(How::Status),
        3 => Just(How::Lost),
        2 => Just(How::Dropped),
        2 => Just(How::Unsent),
        3 => (1u8..=60).prop_map(How::Late),
    ]
}

fn cut() -> impl Strategy<Value = Cut> {
    select(vec![
        Cut::BeforeRequest,
        Cut::AfterRequest,
        Cut::BeforeWrite,
        Cut::AfterWrite,
    ])
}

fn tick() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1u16..10).prop_map(Op::Tick),
        6 => (10u16..70).prop_map(Op::Tick),
        1 => (70u16..400).prop_map(Op::Tick),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let host = || 0u8..6;
    let daemon = || 0u8..2;
    prop_oneof![
        26 => tick(),
        7 => (host(), 0u8..3).prop_map(|(host, cause)| Op::Root(host, cause)),
        9 => (daemon(), host()).prop_map(|(daemon, host)| Op::Round(daemon, host)),
        1 => host().prop_map(Op::Clean),
        2 => host().prop_map(Op::Silence),
        10 => (1u8..40, any::<bool>(), how()).prop_map(|(nth, acts, how)| Op::Fault(nth, acts, how)),
        5 => (daemon(), 1u8..60, cut()).prop_map(|(daemon, nth, cut)| Op::Crash(daemon, nth, cut)),
        7 => daemon().prop_map(Op::Start),
        3 => (daemon(), 1u8..60).prop_map(|(daemon, nth)| Op::Stall(daemon, nth)),
        4 => daemon().prop_map(Op::Wake),
        2 => (daemon(), select(vec![-86_400, -3600, -300, -30, 30, 300, 3600, 86_400]))
            .prop_map(|(daemon, by)| Op::Jump(daemon, by)),
        4 => host().prop_map(Op::Approve),
        1 => host().prop_map(Op::Hold),
        2 => host().prop_map(Op::Enable),
        1 => host().prop_map(Op::ForceUp),
        1 => host().prop_map(Op::Leave),
        2 => host().prop_map(Op::PowerOn),
        2 => (host(), 10u16..400).prop_map(|(host, seconds)| Op::Hang(host, seconds)),
        2 => host().prop_map(Op::Monitor),
        3 => (host(), any::<bool>(), select(vec![Mood::Honest, Mood::Lies, Mood::Stuck, Mood::Refuses, Mood::Broken]))
            .prop_map(|(host, second, mood)| Op::Bmc(host, second, mood)),
        2 => (0u8..8, select(vec![End::Failed, End::Slow, End::Refused])).prop_map(|(guest, end)| Op::Ends(guest, end)),
        1 => (0u8..8).prop_map(Op::PauseGuest),
        1 => (0u8..8, host()).prop_map(|(guest, host)| Op::MoveTo(guest, host)),
        2 => daemon().prop_map(Op::Rounds),
        3 => people(),
    ]
}

/// What a person does.
fn people() -> impl Strategy<Value = Op> {
    let host = || 0u8..6;
    let whom = || prop_oneof![3 => host().prop_map(Some), 1 => Just(None)];
    prop_oneof![
        1 => Just(Op::Policy),
        3 => (whom(), 5u16..900).prop_map(|(whom, seconds)| Op::Pause(whom, seconds)),
        2 => whom().prop_map(Op::Resume),
        1 => host().prop_map(Op::Dismiss),
        2 => (0u8..3).prop_map(Op::ApproveGroup),
        1 => (0u8..3).prop_map(Op::DismissGroup),
        3 => (host(), any::<bool>()).prop_map(|(host, second)| Op::Release(host, second)),
        2 => (host(), 0u8..3, any::<bool>()).prop_map(|(host, item, waive)| Op::Settle(host, item, waive)),
        1 => (host(), any::<bool>()).prop_map(|(host, other)| Op::Agree(host, other)),
    ]
}

/// What happens one after the other, with anything else between: it leads to where chance alone seldom does.
fn story() -> impl Strategy<Value = Vec<Op>> {
    let through = [Op::Tick(60), Op::Tick(90)];
    let meddling = select(vec![
        Op::Enable(0),
        Op::ForceUp(0),
        Op::Leave(0),
        Op::PowerOn(0),
        Op::MoveTo(0, 0),
        Op::Monitor(0),
    ]);
    let meddled = vec(meddling, 1..4).prop_map(move |meddling| {
        let mut all = through.to_vec();
        for one in meddling {
            all.extend([one, Op::Tick(80)]);
        }
        all
    });
    let last = select(vec![
        Op::Clean(0),
        Op::Root(0, 1),
        Op::Policy,
        Op::Silence(0),
        Op::Round(0, 0),
        Op::Pause(Some(0), 300),
    ]);
    let released =
        (any::<bool>(), any::<bool>(), last, 1u16..60).prop_map(move |(clean, second, last, early)| {
            let mut all = through.to_vec();
            all.extend(clean.then_some(Op::Clean(0)));
            all.extend((0..3).map(|item| Op::Settle(0, item, item == 1)));
            all.extend([
                Op::Release(0, second),
                Op::Agree(0, true),
                Op::Tick(early),
                last,
                Op::Clean(0),
            ]);
            all.extend([
                Op::Release(0, second),
                Op::Tick(90),
                Op::Release(0, second),
                Op::Tick(200),
            ]);
            all
        });
    let alike = (2u8..4, any::<bool>(), any::<bool>()).prop_map(|(hosts, held, approved)| {
        let mut all: Vec<Op> = (0..=hosts).map(|host| Op::Root(host, 0)).collect();
        all.extend([Op::Rounds(0), Op::Tick(20)]);
        all.extend(held.then_some(Op::Rounds(0)));
        all.push(if approved {
            Op::ApproveGroup(0)
        } else {
            Op::DismissGroup(0)
        });
        all.push(Op::Tick(90));
        all
    });
    let silent = (1u8..3, any::<bool>()).prop_map(|(host, speaks)| {
        let mut all = vec![Op::Rounds(0), Op::Silence(host)];
        all.extend([
            Op::Round(0, host),
            Op::Tick(60),
            Op::Round(0, host),
            Op::Tick(70),
            Op::Round(0, host),
        ]);
        all.extend([
            Op::Tick(20),
            if speaks {
                Op::Clean(host)
            } else {
                Op::Root(host, 1)
            },
        ]);
        all.extend([Op::Round(0, host), Op::Tick(60)]);
        all
    });
    prop_oneof![
        3 => Just(Vec::new()),
        2 => meddled,
        4 => released,
        2 => alike,
        2 => silent,
    ]
}

/// The story in its order, with the rest before, between and after.
fn told(story: Vec<Op>, noise: Vec<Op>, gaps: Vec<u8>) -> Vec<Op> {
    let mut rest = noise.into_iter();
    let mut all = Vec::new();
    for (op, gap) in story.into_iter().zip(gaps.into_iter().cycle()) {
        all.push(op);
        // Mostly nothing between, so that most stories come to their end.
        all.extend(rest.by_ref().take(usize::from(gap.saturating_sub(4))));
    }
    all.extend(rest);
    all
}

fn shape() -> impl Strategy<Value = Shape> {
    (
        2u8..=5,
        vec(0u8..3, 0..7),
        any::<bool>(),
        prop_oneof![3 => Just(Vec::new()), 1 => Just(vec![0u16])],
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(hosts, guests, group, local, masakari, second_bmc)| Shape {
            hosts,
            guests: guests.into_iter().map(|host| host % hosts).collect(),
            group: if group { vec![0, 1, 2] } else { Vec::new() },
            local,
            masakari,
            second_bmc,
        })
}

/// Lists of about sixty.
pub(super) fn lists() -> impl Strategy<Value = List> {
    let ops = (story(), vec(op(), 30..60), vec(0u8..8, 16));
    (shape(), any::<bool>(), 0u8..20, ops).prop_map(|(shape, by_masakari, observe, (story, noise, gaps))| {
        // Most lists begin with a host that is condemned, so that there is something to go wrong.
        let mut ops = vec![Op::Root(0, 0), Op::Round(0, 0)];
        ops.extend(told(story, noise, gaps));
        List {
            by_masakari: by_masakari && shape.masakari,
            shape,
            observe: observe == 0,
            ops,
        }
    })
}
