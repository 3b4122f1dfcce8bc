//! The limits, asked with what nova shows now and with what it showed when other cases were planned.

use super::guard::{Cause, Hold};
use super::*;
use crate::openstack::ComputeService;
use crate::respond::caution::Asking;

/// What holds a case of cmp-1, as it would be opened now. `known`: its compute services, as it would have them.
async fn holds(bench: &Bench, daemon: &Respond, known: impl FnOnce(&mut Vec<ComputeService>)) -> Vec<Hold> {
    let mut inventory = Inventory::read(&bench.world.cloud(), &name(1)).await.unwrap();
    known(&mut inventory.services.known);
    let asking = Asking::New(bench.clock.now());
    let causes = Cause::of(&[finding("of its own")]);
    daemon.holds(asking, causes, &inventory).await.unwrap()
}

fn service(known: &mut [ComputeService], n: usize) -> &mut ComputeService {
    known.iter_mut().find(|service| service.host == name(n)).unwrap()
}

/// Of another zone than the host's, by nova now or by the case's plan, it does not count; of a zone that nobody knows it
/// may be here.
#[tokio::test]
async fn only_cases_of_its_own_zone_count_against_the_limit_of_a_zone() {
    let in_zone = |holds: &[Hold]| {
        let counted = holds.iter().find_map(|hold| match hold {
            Hold::TooManyInZone { cases, .. } => Some(*cases),
            _ => None,
        });
        counted.unwrap_or(0)
    };
    for planned in [true, false] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        (bench.config.max_cases, bench.config.max_cases_zone) = (9, 1);
        let daemon = bench.daemon("a");
        if !planned {
            let down = ("GET /v2.1/os-services", 99, How::Status(403, "{}"));
            bench.world.with(|state| state.faults = vec![down]);
        }
        bench.condemn(&daemon, &name(2), "aa").await;
        let case = bench.store.unclosed_case(&name(2)).await.unwrap().unwrap();
        assert_eq!(journal::plan_of(&case, &[]).is_some(), planned);
        assert_eq!(case.state, CaseState::Open);
        bench.world.with(|state| state.faults.clear());

        assert_eq!(in_zone(&holds(&bench, &daemon, |_| ()).await), 1, "in its zone");
        let moved = |known: &mut Vec<ComputeService>| service(known, 2).zone = Some("b".into());
        assert_eq!(in_zone(&holds(&bench, &daemon, moved).await), 0, "in another");
        // nova does not show it now: its plan says where it is, if it has one.
        let gone = |known: &mut Vec<ComputeService>| known.retain(|service| service.host != name(2));
        assert_eq!(in_zone(&holds(&bench, &daemon, gone).await), 1, "planned here");
        let elsewhere = |known: &mut Vec<ComputeService>| {
            gone(known);
            service(known, 1).zone = Some("b".into());
        };
        let counted = in_zone(&holds(&bench, &daemon, elsewhere).await);
        assert_eq!(counted, u32::from(!planned), "planned elsewhere: {planned}");
    }
}

/// A host that another case is about to disable is enabled still, and does not stay.
#[tokio::test]
async fn what_another_case_is_about_to_disable_does_not_keep_the_zone_in_service() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    (bench.config.max_cases, bench.config.keep_hosts) = (9, 2);
    let daemon = bench.daemon("a");
    assert_eq!(holds(&bench, &daemon, |_| ()).await, []);
    bench.condemn(&daemon, &name(2), "aa").await;
    assert_eq!(bench.effects(), Vec::<String>::new(), "nothing was done yet");
    let held = holds(&bench, &daemon, |_| ()).await;
    assert!(matches!(held[..], [Hold::ZoneTooSmall { .. }]), "{held:?}");
}

/// A host may be taken out of its aggregate while its case goes on.
#[tokio::test]
async fn a_case_counts_in_the_aggregates_that_its_host_was_in_when_it_was_planned() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    (bench.config.max_cases, bench.config.max_cases_aggregate) = (9, 1);
    let daemon = bench.daemon("a");
    bench.world.with(|state| {
        let of = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect();
        let ssd = (7, None, of(&["cmp-1", "cmp-2"]));
        let gpu = (8, None, of(&["cmp-1", "cmp-3"]));
        state.aggregates.insert("ssd".into(), ssd);
        state.aggregates.insert("gpu".into(), gpu);
    });
    bench.condemn(&daemon, &name(2), "aa").await;
    bench
        .world
        .with(|state| state.aggregates.get_mut("ssd").unwrap().2.pop());
    let held = holds(&bench, &daemon, |_| ()).await;
    assert!(
        matches!(&held[..], [Hold::TooManyInAggregate { aggregate, cases: 1, .. }] if aggregate == "ssd"),
        "{held:?}"
    );
}
