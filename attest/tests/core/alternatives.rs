//! Alternatives: what findings tell of them, and what several components or files have in common.

use lazaret_attest::finding::Code;
use lazaret_attest::policy::Policy;
use lazaret_attest::reference::{Addition, Capture, add};
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::typical_server;

use crate::host::{Host, expect};

/// A host with few files, and a policy that knows them by the list `base`. Every other list is named for its files: `a1 b2` is
/// what `measure` puts at /opt/a and /opt/b.
struct Case {
    host: Host,
    base: String,
}

impl Case {
    fn new() -> Self {
        let mut server = typical_server();
        server.ima.files = 3;
        let mut host = Host::booting(&server);
        host.selection = "sha256:0,1,2,3,4,5,6,7,8,9,10,14";
        let base = host.captured().list;
        Self { host, base }
    }

    fn policy(&self, toml: &str) -> Policy {
        let toml = format!("name = \"x\"\nversion = 1\n[ima]\nlists = [\"base\"]\n{toml}");
        Policy::parse(&toml, &mut |name| {
            Ok(match name {
                "base" => self.base.clone(),
                files => files.split(' ').map(line).collect(),
            })
        })
        .unwrap_or_else(|error| panic!("{error}\n{toml}"))
    }

    fn measure(&mut self, files: &str) {
        for file in files.split(' ') {
            self.host.ima.measure(&path(file), file.as_bytes());
        }
    }

    fn judged(&self, policy: &Policy, files: &str) -> AttestationResult {
        let mut case = Self {
            host: self.host.clone(),
            base: String::new(),
        };
        case.measure(files);
        case.host.round(policy)
    }
}

fn path(file: &str) -> String {
    format!("/opt/{}", &file[..1])
}

fn line(file: &str) -> String {
    let digest = Bank::Sha256.hash(&[file.as_bytes()]);
    format!("{}  {}\n", hex::encode(digest), path(file))
}

fn component(name: &str, alternatives: &[(&str, &str, &str)]) -> String {
    let mut toml = format!("[[component]]\nname = \"{name}\"\n");
    for (name, list, more) in alternatives {
        toml += &format!("[[component.alternative]]\nname = \"{name}\"\nlists = [\"{list}\"]\n{more}\n");
    }
    toml
}

/// What the only finding says: expected, and found.
fn told(result: &AttestationResult, code: Code) -> (&str, &str) {
    let [finding] = result.findings.as_slice() else {
        panic!("{:?}", result.findings)
    };
    assert_eq!(finding.code, code);
    (
        finding.expected.as_deref().unwrap_or_default(),
        finding.found.as_deref().unwrap_or_default(),
    )
}

#[test]
fn a_mixture_tells_what_was_seen_first_and_what_contradicts_it() {
    let case = Case::new();
    let policy = case.policy(&component(
        "tool",
        &[
            ("1", "a1 c1", "until = 2030-01-01"),
            ("2", "b2 c1", "from = 2020-01-01"),
            ("3", "a1", "from = 2020-01-01\nuntil = 2030-01-01"),
        ],
    ));
    let one = "1 (until 2030-01-02T00:00:00Z)";
    let two = "2 (from 2020-01-01T00:00:00Z)";
    let three = "3 (from 2020-01-01T00:00:00Z until 2030-01-02T00:00:00Z)";
    let found = |files: &str| {
        let result = case.judged(&policy, files);
        let (expected, found) = told(&result, Code::ComponentMixed);
        assert_eq!(expected, "everything from one alternative");
        found.to_owned()
    };
    assert_eq!(
        found("a1 b2"),
        format!("/opt/a of {one} or {three}, but /opt/b of {two}")
    );
    assert_eq!(found("a1 c1 b2"), format!("/opt/a of {one}, but /opt/b of {two}"));
}

#[test]
fn what_is_out_of_its_time_tells_what_would_be_valid() {
    let case = Case::new();
    let of = |policy: &Policy, code| {
        let result = case.judged(policy, "a1 b1");
        let (expected, found) = told(&result, code);
        (expected.to_owned(), found.to_owned())
    };
    let over = case.policy(&component(
        "tool",
        &[
            ("1", "a1 b1", "until = 2020-01-01"),
            ("2", "a1 b2", ""),
            ("3", "a3", ""),
        ],
    ));
    assert_eq!(
        of(&over, Code::GoldenValueExpired),
        (
            "an alternative valid at 2026-06-01T00:00:00Z: 2 (always) or 3 (always)".to_owned(),
            "1 (until 2020-01-02T00:00:00Z), by /opt/b".to_owned()
        )
    );
    let to_come = case.policy(&component("tool", &[("1", "a1 b1", "from = 2030-01-01")]));
    assert_eq!(
        of(&to_come, Code::GoldenValueNotYetValid),
        (
            "an alternative valid at 2026-06-01T00:00:00Z: none".to_owned(),
            "1 (from 2030-01-01T00:00:00Z), by /opt/a".to_owned()
        )
    );
}

#[test]
fn a_file_of_two_components_is_golden_by_either_and_narrows_neither() {
    let case = Case::new();
    let both = |x: &str, y: &str| {
        case.policy(
            &(component("x", &[("1", "a1 b1", x), ("2", "b2", "")]) + &component("y", &[("1", "a1", y)])),
        )
    };
    let over = "until = 2020-01-01";
    for (x, y) in [("", ""), (over, ""), ("", over)] {
        expect(&case.judged(&both(x, y), "a1"), Verdict::Affirming, &[]);
    }
    expect(&case.judged(&both("", ""), "a1 b2"), Verdict::Affirming, &[]);
    expect(
        &case.judged(&both(over, over), "a1"),
        Verdict::Warning,
        &[Code::GoldenValueExpired],
    );
}

#[test]
fn lists_of_a_base_and_of_the_policy_over_it_count_each_once() {
    let case = Case::new();
    let toml = "name = \"x\"\nversion = 1\nextends = \"below\"\n[ima]\nlists = [\"a1\", \"base\"]\n";
    let below = "name = \"y\"\nversion = 1\nbase = true\n[ima]\nlists = [\"b1\", \"base\"]\n";
    let policy = Policy::parse(toml, &mut |name| {
        Ok(match name {
            "below" => below.to_owned(),
            "base" => case.base.clone(),
            file => line(file),
        })
    })
    .unwrap();
    let ima = policy.ima().unwrap();
    let entries = case.base.lines().count() + 2;
    assert_eq!(
        (ima.lists().count(), ima.len(), ima.is_empty()),
        (3, entries, false)
    );
    expect(&case.judged(&policy, "a1 b1"), Verdict::Affirming, &[]);
}

#[test]
fn an_addition_repeats_nothing_that_another_component_has() {
    let mut case = Case::new();
    let captured: toml::Table = case.host.captured().policy_toml.parse().unwrap();
    let of = |kind: &str, pcr: &str| -> Vec<String> {
        let values = captured[kind]["sha256"][pcr].as_array().unwrap().iter();
        values.map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let events = of("boot_log", "4");
    let [theirs, ours @ ..] = events.as_slice() else {
        panic!("PCR 4 has no events")
    };
    assert!(!ours.is_empty());
    let toml = format!(
        "name = \"x\"\nversion = 1\n[pcrs.sha256]\n7 = [\"{0}\"]\n[boot_log.sha256]\n4 = [\"{0}\"]\n\
         [[component]]\nname = \"fw\"\n[[component.alternative]]\nname = \"1\"\n\
         pcrs.sha256.0 = [\"{1}\"]\npcrs.sha256.1 = [\"{0}\"]\nboot_log.sha256.4 = [\"{theirs}\"]\n",
        "ab".repeat(32),
        of("pcrs", "0")[0],
    );
    let policy = Policy::parse(&toml, &mut |_| Err(String::new())).unwrap();
    let challenge = case.host.challenge(0);
    let evidence = case.host.answer(&challenge);
    let key = case.host.key();
    let from = Capture {
        evidence: &evidence,
        challenge: &challenge,
        key: &key,
        policy_name: "",
        list_name: "",
    };
    let to = Addition {
        policy: &policy,
        component: "kernel",
        name: "1",
        from: None,
    };
    let added = add(&from, &to).unwrap();
    let text: toml::Table = added.toml.unwrap().parse().unwrap();
    let alternative = &text["component"][0]["alternative"][0];
    let digests = alternative["boot_log"]["sha256"]["4"].as_array().unwrap();
    let digests: Vec<&str> = digests.iter().filter_map(|digest| digest.as_str()).collect();
    assert_eq!(digests, ours, "the other component has the first");
    let pcrs = alternative["pcrs"]["sha256"].as_table().unwrap();
    assert_eq!(pcrs.keys().collect::<Vec<_>>(), ["7"]);
    assert_eq!(
        added.elsewhere,
        ["PCR sha256:1"],
        "it differs, and is the firmware's"
    );
    assert_eq!(added.values, 1 + ours.len());
}
