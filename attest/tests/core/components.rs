//! Components and their alternatives: an update passes, a mixture and an outdated value do not, whatever the day.

use lazaret_attest::finding::Code;
use lazaret_attest::policy::Policy;
use lazaret_attest::reference::Captured;
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bootlog::typical_server;

use crate::host::{Host, NOW, expect};

/// The old and the new kernel's command line, each a boot of its own.
const OLD: &str = " old";
const NEW: &str = " new";

fn host(line: &str) -> Host {
    let mut server = typical_server();
    server.ima.files = 3;
    server.command_line.push_str(line);
    let mut host = Host::booting(&server);
    host.selection = "sha256:0,1,2,3,4,5,6,7,8,9,10,14";
    host
}

/// Entries that one capture has and the other has not, and those of both.
struct Parts {
    shared: Captured,
    old: toml::Table,
    new: toml::Table,
}

/// Splits two captures into what is the same and what differs, by PCR.
fn parts() -> Parts {
    let (old, new) = (host(OLD).captured(), host(NEW).captured());
    let (mut base, other): (toml::Table, toml::Table) =
        (old.policy_toml.parse().unwrap(), new.policy_toml.parse().unwrap());
    let (mut of_old, mut of_new) = (toml::Table::new(), toml::Table::new());
    for kind in ["pcrs", "boot_log"] {
        let theirs = other[kind]["sha256"].as_table().unwrap();
        let ours = base[kind]["sha256"].as_table_mut().unwrap();
        let (mut mine, mut its) = (toml::Table::new(), toml::Table::new());
        for (pcr, values) in ours.iter_mut() {
            let values = values.as_array_mut().unwrap();
            let others = theirs[pcr].as_array().unwrap();
            let only = |from: &[toml::Value], not: &[toml::Value]| -> Vec<toml::Value> {
                from.iter()
                    .filter(|value| !not.contains(value))
                    .cloned()
                    .collect()
            };
            let (first, second) = (only(values, others), only(others, values));
            if !first.is_empty() {
                mine.insert(pcr.clone(), first.into());
                its.insert(pcr.clone(), second.into());
            }
            values.retain(|value| others.contains(value));
        }
        ours.retain(|_, values| !values.as_array().unwrap().is_empty());
        for (to, of) in [(&mut of_old, mine), (&mut of_new, its)] {
            let mut bank = toml::Table::new();
            bank.insert("sha256".to_owned(), of.into());
            to.insert(kind.to_owned(), bank.into());
        }
    }
    assert!(!of_old["pcrs"]["sha256"].as_table().unwrap().is_empty());
    Parts {
        shared: Captured {
            policy_toml: base.to_string(),
            ..old
        },
        old: of_old,
        new: of_new,
    }
}

/// A policy with both as alternatives, each with more keys.
fn both(parts: &Parts, old: &str, new: &str) -> Policy {
    let alternative = |name: &str, values: &toml::Table, more: &str| {
        let mut table: toml::Table = format!("name = \"{name}\"\n{more}").parse().unwrap();
        table.extend(values.clone());
        toml::Value::from(table)
    };
    let mut component = toml::Table::new();
    component.insert("name".to_owned(), "kernel".into());
    component.insert(
        "alternative".to_owned(),
        vec![
            alternative("old", &parts.old, old),
            alternative("new", &parts.new, new),
        ]
        .into(),
    );
    let mut policy: toml::Table = parts.shared.policy_toml.parse().unwrap();
    policy.insert("component".to_owned(), vec![toml::Value::from(component)].into());
    Policy::parse(&policy.to_string(), &mut |name| match name {
        "forged.sha256" => Ok(parts.shared.list.clone()),
        "old.sha256" => Ok(list("old")),
        "new.sha256" => Ok(list("new")),
        _ => Err("not there".to_owned()),
    })
    .unwrap_or_else(|error| panic!("{error}\n{policy}"))
}

/// Two modules of a kernel.
fn list(of: &str) -> String {
    let digest = |what: &str| lazaret_forge::bank::Bank::Sha256.hash(&[format!("{of} {what}").as_bytes()]);
    format!(
        "{}  /lib/modules/a.ko\n{}  /lib/modules/b.ko\n",
        hex::encode(digest("a")),
        hex::encode(digest("b"))
    )
}

fn with_modules(host: &mut Host, of: [&str; 2]) {
    for (of, name) in of.into_iter().zip(["a", "b"]) {
        host.ima.measure(
            &format!("/lib/modules/{name}.ko"),
            format!("{of} {name}").as_bytes(),
        );
    }
}

fn found(result: &AttestationResult, code: Code) -> &str {
    let finding = result
        .findings
        .iter()
        .find(|finding| finding.code == code)
        .unwrap();
    finding.found.as_deref().unwrap()
}

#[test]
fn each_alternative_passes_and_a_third_kernel_does_not() {
    let policy = both(&parts(), "", "");
    expect(&host(OLD).round(&policy), Verdict::Affirming, &[]);
    expect(&host(NEW).round(&policy), Verdict::Affirming, &[]);
    expect(
        &host(" third").round(&policy),
        Verdict::Contraindicated,
        &[Code::PcrNotGolden, Code::BootEventNotGolden],
    );
}

#[test]
fn a_value_whose_time_is_over_or_has_not_come_never_passes_as_golden() {
    // The tests' evidence is received on 2026-06-01 at 00:00 UTC.
    let parts = parts();
    for (window, code) in [
        ("until = 2026-05-31", Some(Code::GoldenValueExpired)),
        ("until = 2026-06-01T00:00:00Z", Some(Code::GoldenValueExpired)),
        (
            "until = 2026-06-01T02:00:00+02:00",
            Some(Code::GoldenValueExpired),
        ),
        ("from = 2026-06-02", Some(Code::GoldenValueNotYetValid)),
        ("from = 2026-06-01T00:00:01Z", Some(Code::GoldenValueNotYetValid)),
        ("until = 2026-06-01", None),
        ("from = 2026-06-01", None),
        ("from = 2026-05-01\nuntil = 2026-06-01T00:00:01Z", None),
    ] {
        let policy = both(&parts, window, "");
        let result = host(OLD).round(&policy);
        match code {
            Some(code) => {
                expect(&result, Verdict::Warning, &[code]);
                assert_eq!(
                    result.findings.len(),
                    1,
                    "one for the component: {:?}",
                    result.findings
                );
                assert!(found(&result, code).contains("old"), "{:?}", result.findings);
                let told = result.findings[0].expected.as_deref();
                assert_eq!(
                    told,
                    Some("an alternative valid at 2026-06-01T00:00:00Z: new (always)")
                );
            }
            None => expect(&result, Verdict::Affirming, &[]),
        }
        expect(&host(NEW).round(&policy), Verdict::Affirming, &[]);
    }
    let mut strict = parts;
    strict
        .shared
        .policy_toml
        .push_str("\n[gravity]\ngolden-value-expired = \"contraindicated\"\n");
    expect(
        &host(OLD).round(&both(&strict, "until = 2026-05-31", "")),
        Verdict::Contraindicated,
        &[Code::GoldenValueExpired],
    );
}

#[test]
fn parts_of_two_alternatives_are_not_one() {
    let policy = both(&parts(), "lists = [\"old.sha256\"]", "lists = [\"new.sha256\"]");
    for (line, modules, mixed) in [
        (OLD, ["old", "old"], false),
        (NEW, ["new", "new"], false),
        (OLD, ["new", "new"], true),
        (NEW, ["old", "new"], true),
        (NEW, ["new", "old"], true),
    ] {
        let mut host = host(line);
        with_modules(&mut host, modules);
        let result = host.round(&policy);
        if mixed {
            expect(&result, Verdict::Warning, &[Code::ComponentMixed]);
            assert_eq!(result.findings.len(), 1);
            let text = found(&result, Code::ComponentMixed);
            assert!(
                text.contains("/lib/modules/") && text.contains("old") && text.contains("new"),
                "{text}"
            );
        } else {
            expect(&result, Verdict::Affirming, &[]);
        }
    }
    let mut evil = host(OLD);
    evil.ima.measure("/lib/modules/a.ko", b"evil");
    expect(
        &evil.round(&policy),
        Verdict::Contraindicated,
        &[Code::ImaFileNotGolden],
    );
}

#[test]
fn a_mixture_over_several_rounds_is_seen() {
    let policy = both(&parts(), "lists = [\"old.sha256\"]", "lists = [\"new.sha256\"]");
    let mut of_files_only = host(OLD);
    let digest = |of: &str| list(of).lines().next().unwrap().to_owned();
    of_files_only.ima.measure("/lib/modules/a.ko", b"old a");
    assert!(digest("old") != digest("new"));
    let first = of_files_only.round(&policy);
    expect(&first, Verdict::Affirming, &[]);
    let history = first.history.unwrap();
    let from = history.ima.as_ref().unwrap().entries;
    of_files_only.ima.measure("/lib/modules/b.ko", b"new b");
    let second = of_files_only.round_from(&policy, Some(&history), from);
    expect(&second, Verdict::Warning, &[Code::ComponentMixed]);
    assert_eq!(
        second.history.unwrap().ima.unwrap().entries,
        from,
        "what is mixed is looked at again"
    );
}

/// Only files tell the component here: the second round's slice holds none of them.
#[test]
fn files_of_an_earlier_round_do_not_outlive_their_time() {
    let toml = |until: &str| {
        format!(
            "name = \"x\"\nversion = 1\n[ima]\nlists = [\"base\"]\n[[component]]\nname = \"tool\"\n\
             [[component.alternative]]\nname = \"1\"\nuntil = {until}\nlists = [\"one\"]\n"
        )
    };
    let mut host = host(OLD);
    let base = host.captured().list;
    host.ima.measure("/opt/tool", b"one");
    let one = format!(
        "{}  /opt/tool\n",
        hex::encode(lazaret_forge::bank::Bank::Sha256.hash(&[b"one"]))
    );
    let policy = Policy::parse(&toml("2026-06-01T00:00:10Z"), &mut |name| {
        Ok(if name == "base" { base.clone() } else { one.clone() })
    })
    .unwrap();
    let challenge = host.challenge(0);
    let evidence = host.answer(&challenge);
    let at = |now: i64, history, challenge: &_, evidence: &_| {
        let key = host.key();
        let input = lazaret_attest::verify::Input {
            evidence,
            challenge,
            key: &key,
            policy: &policy,
            history,
            now,
        };
        lazaret_attest::verify::verify(&input, &mut |_| {})
    };
    let first = at(NOW, None, &challenge, &evidence);
    expect(&first, Verdict::Affirming, &[]);
    let history = first.history.unwrap();
    let mut later = host.clone();
    let slice = later.challenge(history.ima.as_ref().unwrap().entries);
    let answer = later.answer(&slice);
    let second = at(NOW + 9, Some(&history), &slice, &answer);
    expect(&second, Verdict::Affirming, &[]);
    let third = at(NOW + 10, Some(&history), &slice, &answer);
    assert!(third.full_list_needed, "{:?}", third.findings);
    expect(
        &at(NOW + 10, Some(&history), &challenge, &evidence),
        Verdict::Warning,
        &[Code::GoldenValueExpired],
    );
}

/// Every value is golden by itself, and still no valid alternative explains them together.
#[test]
fn an_alternative_is_judged_whole_even_where_each_value_has_a_valid_one() {
    let toml = "name = \"x\"\nversion = 1\n[ima]\nlists = [\"base\"]\n[[component]]\nname = \"tool\"\n\
        [[component.alternative]]\nname = \"1\"\nuntil = 2020-01-01\nlists = [\"a1\", \"b1\"]\n\
        [[component.alternative]]\nname = \"2\"\nlists = [\"a1\", \"b2\"]\n\
        [[component.alternative]]\nname = \"3\"\nlists = [\"a2\", \"b1\"]\n";
    let mut host = host(OLD);
    let base = host.captured().list;
    let file = |name: &str| {
        let digest = lazaret_forge::bank::Bank::Sha256.hash(&[name.as_bytes()]);
        format!("{}  /opt/{}\n", hex::encode(digest), &name[..1])
    };
    let policy = Policy::parse(toml, &mut |name| {
        Ok(if name == "base" { base.clone() } else { file(name) })
    })
    .unwrap();
    host.ima.measure("/opt/a", b"a1");
    expect(&host.clone().round(&policy), Verdict::Affirming, &[]);
    host.ima.measure("/opt/b", b"b1");
    expect(
        &host.round(&policy),
        Verdict::Warning,
        &[Code::GoldenValueExpired],
    );
}

/// Only files tell the component, and each round's slice holds one of them: what an earlier round saw still counts.
#[test]
fn files_of_two_alternatives_in_two_rounds_are_a_mixture() {
    let toml = "name = \"x\"\nversion = 1\n[ima]\nlists = [\"base\"]\n[[component]]\nname = \"tool\"\n\
        [[component.alternative]]\nname = \"1\"\nlists = [\"a1\", \"b1\"]\n\
        [[component.alternative]]\nname = \"2\"\nlists = [\"a2\", \"b2\"]\n";
    let mut host = host(OLD);
    let base = host.captured().list;
    let file = |name: &str| {
        let digest = lazaret_forge::bank::Bank::Sha256.hash(&[name.as_bytes()]);
        format!("{}  /opt/{}\n", hex::encode(digest), &name[..1])
    };
    let policy = Policy::parse(toml, &mut |name| {
        Ok(if name == "base" { base.clone() } else { file(name) })
    })
    .unwrap();
    for (seen, then) in [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")] {
        let mut host = host.clone();
        host.ima.measure("/opt/a", format!("a{seen}").as_bytes());
        let first = host.round(&policy);
        expect(&first, Verdict::Affirming, &[]);
        let history = first.history.unwrap();
        let from = history.ima.as_ref().unwrap().entries;
        host.ima.measure("/opt/b", format!("b{then}").as_bytes());
        let second = host.round_from(&policy, Some(&history), from);
        if seen == then {
            expect(&second, Verdict::Affirming, &[]);
        } else {
            expect(&second, Verdict::Warning, &[Code::ComponentMixed]);
            assert_eq!(
                found(&second, Code::ComponentMixed),
                format!("what earlier rounds saw of {seen} (always), but /opt/b of {then} (always)")
            );
        }
    }
}

/// An update as an operator makes it: capture the old host, add the new one, set the old values' end.
#[test]
fn values_are_added_after_an_update_and_mixtures_stay_out() {
    use lazaret_attest::reference::{Addition, Capture, add};
    let added = |host: &mut Host, policy: &Policy, name: &str, list_name: &str| {
        let challenge = host.challenge(0);
        let evidence = host.answer(&challenge);
        let key = host.key();
        let from = Capture {
            evidence: &evidence,
            challenge: &challenge,
            key: &key,
            policy_name: "",
            list_name,
        };
        let to = Addition {
            policy,
            component: "kernel",
            name,
            from: Some("2026-01-01"),
        };
        add(&from, &to).unwrap()
    };
    // A base without what the kernel decides, which the first addition brings.
    let parts = parts();
    let shared = format!(
        "{}\n[boot]\ndebug_mode = \"forbidden\"\n",
        parts.shared.policy_toml
    );
    let mut keys: toml::Table = shared.parse().unwrap();
    for kind in ["pcrs", "boot_log"] {
        for pcr in parts.old[kind]["sha256"].as_table().unwrap().keys() {
            // Compared, so that an addition has something to add: with a value that no host has.
            keys[kind]["sha256"]
                .as_table_mut()
                .unwrap()
                .entry(pcr.clone())
                .or_insert(toml::Value::Array(vec!["ab".repeat(32).into()]));
        }
    }
    let base = keys.to_string();
    let lists = std::cell::RefCell::new(std::collections::BTreeMap::from([(
        "forged.sha256".to_owned(),
        parts.shared.list.clone(),
    )]));
    let read = |toml: &str| {
        Policy::parse(toml, &mut |name| {
            lists.borrow().get(name).cloned().ok_or(name.to_owned())
        })
        .unwrap_or_else(|error| panic!("{error}\n{toml}"))
    };
    let (mut old, mut new) = (host(OLD), host(NEW));
    with_modules(&mut old, ["old", "old"]);
    with_modules(&mut new, ["new", "new"]);
    let first = added(&mut old, &read(&base), "1", "one.sha256");
    assert_eq!(first.list.lines().count(), 2, "{}", first.list);
    lists.borrow_mut().insert("one.sha256".to_owned(), first.list);
    let with_old = base + &first.toml.unwrap();
    let second = added(&mut new, &read(&with_old), "2", "two.sha256");
    assert_eq!(second.elsewhere, Vec::<String>::new());
    lists.borrow_mut().insert("two.sha256".to_owned(), second.list);
    let text = second.toml.unwrap();
    assert!(
        text.contains("name = \"kernel\"") && text.contains("# grub"),
        "{text}"
    );
    let both = read(&(with_old + &text));
    assert_eq!(both.components().len(), 1);
    expect(&old.round(&both), Verdict::Affirming, &[]);
    expect(&new.round(&both), Verdict::Affirming, &[]);
    let mut mixed = host(OLD);
    with_modules(&mut mixed, ["new", "new"]);
    expect(&mixed.round(&both), Verdict::Warning, &[Code::ComponentMixed]);
    expect(
        &host(" third").round(&both),
        Verdict::Contraindicated,
        &[Code::PcrNotGolden],
    );
}
