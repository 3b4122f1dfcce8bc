//! Reports of made-up records, some of them hostile.

use lazaret_attest::finding::{Code, Finding};
use lazaret_attest::verdict::Verdict as Tier;
use serde_json::json;

use crate::config::{LocalDisk, ResponseMode};
use crate::ids::{CaseKind, HostName, RoundId, Sha256Digest};
use crate::report::{Release, Settled, Standing, Undone, Verdict};
use crate::respond::guard;
use crate::respond::journal::{Entry, json as document};
use crate::respond::{Data, PlannedInstance, Way};
use crate::store::{Case, CaseInstance, CaseState, JournalEntry, Json, Phase, Purpose, Round};

use super::*;

const EVIL: &str = "<script>alert(1)</script>|\" onload=\"x](http://evil) `rm`";
const T0: i64 = 1_795_243_380_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(T0 + seconds * 1000)
}

fn round(n: u8, seconds: i64, findings: &[Finding]) -> Round {
    Round {
        id: RoundId::new([n; 16]),
        host: host(),
        purpose: Purpose::Scheduled,
        confirms: None,
        started_at: at(seconds),
        finished_at: at(seconds),
        verdict: Tier::Contraindicated,
        findings: document(findings),
        claims: Json::empty(),
        timings: Json::empty(),
        evidence: Some(Sha256Digest([n; 32])),
        policy: None,
    }
}

fn host() -> HostName {
    "cmp-1".parse().unwrap()
}

fn entry(seq: i64, seconds: i64, step: &str, phase: Phase, says: &str) -> JournalEntry {
    JournalEntry {
        seq,
        at: at(seconds),
        step: step.into(),
        phase,
        epoch: 1,
        detail: Entry::says(says).json(),
    }
}

fn instance(n: u8, name: &str, way: Way, state: &str, to: Option<&str>) -> CaseInstance {
    let planned = PlannedInstance {
        id: uuid::Uuid::from_bytes([n; 16]).to_string().parse().unwrap(),
        name: name.into(),
        project: EVIL.into(),
        flavor: "m1".into(),
        vm_state: "active".into(),
        locked: false,
        volumes: vec![],
        way,
        data: if way == Way::Hold {
            Data::Local
        } else {
            Data::OnVolumes
        },
        because: "because".into(),
        vcpus: 1,
        memory_mb: 64,
        task_state: None,
        keys: vec![],
        groups: vec![],
        fits: None,
        notes: vec![],
    };
    let mut recorded = planned.recorded(&host());
    recorded.state = state.into();
    recorded.destination = to.map(|to| to.parse().unwrap());
    recorded
}

/// A closed case in which everything that a tenant or a host can name is hostile.
pub(in crate::report) fn hostile() -> Report {
    let code = *Code::ALL.first().unwrap();
    let finding = Finding {
        gravity: Tier::Contraindicated,
        ..Finding::new(code, EVIL)
    }
    .expected("aa".repeat(32))
    .found(EVIL);
    let case = Case {
        id: "q-20261121-7f3a2c".parse().unwrap(),
        kind: CaseKind::Quarantine,
        number: 0,
        parent: None,
        held_group: None,
        holds: None,
        approved_holds: None,
        host: host(),
        state: CaseState::Closed {
            reason: "2 of 3 instances elsewhere, 1 left for a person".into(),
        },
        mode: ResponseMode::Enforce,
        cause: format!("{} ({EVIL})", code.as_str()),
        opened_at: at(2),
        closed_at: Some(at(61)),
        condemned_by: RoundId::new([1; 16]),
        confirmed_by: RoundId::new([2; 16]),
        approved_by: Some(EVIL.into()),
        not_before: at(2),
        plan: Json::empty(),
        outcome: None,
    };
    let rounds = [
        ("condemned", round(1, 0, std::slice::from_ref(&finding))),
        ("confirmed", round(2, 2, &[finding])),
    ];
    let journal = [
        entry(1, 2, "disable", Phase::Before, "keep new instances off the host"),
        entry(2, 3, "disable", Phase::After, "nova-compute on cmp-1 disabled"),
        entry(
            3,
            4,
            "isolate",
            Phase::After,
            "cmp-1 joined the host aggregate lazaret-quarantine",
        ),
        entry(4, 8, "fence", Phase::Error, &format!("redfish: {EVIL}")),
        entry(
            5,
            31,
            "fence",
            Phase::After,
            "cmp-1 seen off by redfish; heartbeat unchanged for 25.0 s",
        ),
        entry(6, 32, "force-down", Phase::After, "nova takes cmp-1 for down"),
        entry(7, 33, "evacuate", Phase::Note, "Masakari works on a notification"),
        entry(
            8,
            60,
            "evacuate",
            Phase::After,
            "2 of 3 instances elsewhere, 1 left for a person",
        ),
    ];
    let instances = [
        instance(1, "web-1", Way::Evacuate, "moved", Some("cmp-2")),
        instance(2, EVIL, Way::Hold, "held", None),
        instance(3, "db", Way::Evacuate, "gone", None),
    ];
    let settled = |item: &str, state: &str| Settled {
        item: item.into(),
        state: state.into(),
        by: Some(EVIL.into()),
        at: Some(at(90)),
        because: Some(EVIL.into()),
    };
    let verdict = Verdict {
        verdict: "affirming".into(),
        round: RoundId::new([3; 16]),
        at: at(95),
    };
    let mut report = Report::of(&case, &rounds, &journal, &instances);
    report.instances[0].masakari = Some(EVIL.into());
    report.undone = vec![Undone {
        at: at(70),
        what: EVIL.into(),
        who: Some(EVIL.into()),
        state: "put-back".into(),
        ended_at: Some(at(71)),
    }];
    report.releases = vec![Release {
        case: "r-20261121-7f3a2c".parse().unwrap(),
        state: "closed".into(),
        reason: Some(EVIL.into()),
        asked_by: EVIL.into(),
        asked_at: at(80),
        closed_at: Some(at(99)),
        second_person: true,
        agreed: Some(settled("second-person", "ticked")),
        items: vec![settled("message-bus", "waived")],
        verdict: Some(verdict.clone()),
    }];
    report.now = Some(Standing {
        at: at(3600),
        enrolled: true,
        quarantined: false,
        verdict: Some(verdict),
        age_s: Some(3505),
        stale: true,
    });
    report
}

#[test]
fn the_report_tells_the_whole_story() {
    let report = hostile();
    assert_eq!(
        report.findings.len(),
        1,
        "the same finding of both rounds is told once"
    );
    assert!(!report.findings[0].meaning.is_empty() && !report.findings[0].remedy.is_empty());
    assert_eq!(report.seconds_to("disable"), Some(3.0));
    assert_eq!(report.seconds_to("fence"), Some(31.0));
    assert_eq!(report.seconds_to("isolate-not"), None);
    let seconds: Vec<f64> = report.timeline.iter().map(|moment| moment.seconds).collect();
    assert!(seconds.is_sorted(), "{seconds:?}");
    assert_eq!(
        report
            .timeline
            .iter()
            .filter(|moment| moment.kind == "trouble")
            .count(),
        1
    );
    assert!(
        !report
            .timeline
            .iter()
            .any(|moment| moment.what.contains("keep new")),
        "intentions are not told"
    );

    let [moved, held, gone] = report.instances.as_slice() else {
        panic!()
    };
    assert_eq!(moved.is_on, Some("cmp-2".parse().unwrap()));
    assert!(moved.disk.contains("kept"));
    assert_eq!(
        (held.is_on.as_ref(), held.disk.as_str()),
        (Some(&host()), "untouched, where it was")
    );
    assert_eq!(gone.is_on, None);
    assert_eq!(report.evidence.len(), 2);
    assert!(
        report
            .rotate
            .iter()
            .any(|credential| credential.from.contains("transport_url"))
    );
    assert!(report.integrity.contains("integrity unknown"));
}

#[test]
fn what_condemns_comes_first() {
    let finding = |gravity, subject: &str| Finding {
        gravity,
        ..Finding::new(Code::ImaFileUnknown, subject)
    };
    let both = [finding(Tier::Warning, "/a"), finding(Tier::Contraindicated, "/b")];
    let told = findings(&[("condemned", round(1, 0, &both))]);
    let subjects: Vec<&str> = told.iter().map(|told| told.subject.as_str()).collect();
    assert_eq!(subjects, ["/b", "/a"]);
}

/// The last word of Masakari counts, and a disk of an instance whose evacuation failed may have been taken along.
#[test]
fn the_last_word_of_masakari_counts_and_what_failed_is_not_untouched() {
    let id: InstanceId = uuid::Uuid::from_bytes([1; 16]).to_string().parse().unwrap();
    let says = |seconds, word: &str| JournalEntry {
        detail: Entry::with("asked", &json!({ MASAKARI_SAYS: { id.to_string(): word } })).json(),
        ..entry(seconds, seconds, "evacuate", Phase::Note, "")
    };
    let said = masakari_says(&[says(1, "ongoing"), says(2, "failed")]);
    assert_eq!(said.get(&id).map(String::as_str), Some("failed"));
    let failed = fate(&instance(1, "web", Way::Evacuate, "failed", None), &said);
    assert_eq!(failed.disk, Data::OnVolumes.meaning());
    assert_eq!(failed.masakari.as_deref(), Some("failed"));
}

#[test]
fn json_can_be_read_back_and_has_the_documented_fields() {
    let report = hostile();
    assert_eq!(serde_json::from_str::<Report>(&report.json()).unwrap(), report);
    let value: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    let fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "format",
            "case",
            "host",
            "state",
            "reason",
            "mode",
            "cause",
            "opened_at",
            "closed_at",
            "approved_by",
            "integrity",
            "findings",
            "timeline",
            "recovery",
            "warnings",
            "instances",
            "evidence",
            "replay",
            "rotate",
            "undone",
            "releases",
            "now",
        ]
    );
    assert_eq!(value["format"], json!(1));
}

/// Where a plan is there, the report says how the instances were recovered.
#[test]
fn the_plan_says_who_recovers() {
    let plan = Plan {
        version: 1,
        case: "q-20261121-7f3a2c".parse().unwrap(),
        host: host(),
        made_at: at(2),
        steps: vec![],
        service: crate::respond::plan::ServiceBefore {
            id: uuid::Uuid::nil().to_string().parse().unwrap(),
            zone: None,
            enabled: true,
            disabled_reason: None,
            forced_down: false,
        },
        disabled_reason: "x".into(),
        quarantine_aggregate: "q".into(),
        quarantined_before: vec![],
        aggregates: vec![],
        fence: vec![],
        recovery: Recovery::Nova {
            pause_masakari: true,
            because: "1 of 3 instances are left".into(),
        },
        local_disk: LocalDisk::Hold,
        shared_storage: false,
        on_arrival: Default::default(),
        room: None,
        managed_by: vec![],
        may_return: vec![],
        instances: vec![],
        warnings: vec!["look".into()],
        holds: vec![guard::Hold::NotKnown { what: "x".into() }],
    };
    let text = serde_json::to_string(&crate::respond::plan::Planning::Made(Box::new(plan.clone()))).unwrap();
    assert_eq!(
        serde_json::from_str::<crate::respond::plan::Planning>(&text).unwrap(),
        crate::respond::plan::Planning::Made(Box::new(plan.clone()))
    );
    assert!(recovery(&plan).contains("by nova") && recovery(&plan).contains("1 of 3"));
}

/// For people who work on the page: writes it where they say.
#[test]
#[ignore = "writes a file: REPORT_HTML=/tmp/report.html cargo test -p lazaret report -- --ignored"]
fn write_the_page_to_look_at_it() {
    let Ok(path) = std::env::var("REPORT_HTML") else {
        return;
    };
    std::fs::write(path, hostile().html()).unwrap();
}
