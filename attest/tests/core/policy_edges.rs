//! Policies at their edges: what two files or two alternatives share, bounds, and what must be written together.

use std::fmt::Write;

use lazaret_attest::finding::Code;
use lazaret_attest::policy::{DigestForm, Policy, PolicyError, Reading};
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;

use crate::host::{Host, expect};

fn digit(digit: &str) -> String {
    digit.repeat(64)
}

fn parse(rest: &str, files: &[(&str, &str)]) -> Result<Policy, PolicyError> {
    let toml = format!("name = \"x\"\nversion = 1\n{rest}");
    Policy::parse(&toml, &mut |name| {
        let file = files.iter().find(|(known, _)| *known == name);
        file.map(|(_, text)| (*text).to_owned())
            .ok_or("not there".to_owned())
    })
}

fn refused(rest: &str, says: &str) {
    let error = parse(rest, &[]).unwrap_err().to_string();
    assert!(error.contains(says), "{rest:.200}\n{error}");
}

fn file(name: &str) -> String {
    let digest = Bank::Sha256.hash(&[name.as_bytes()]);
    format!("{}  /opt/{name}\n", hex::encode(digest))
}

#[test]
fn files_of_every_list_are_golden_and_a_list_named_twice_counts_once() {
    let mut host = Host::new();
    let base = host.captured().list;
    for name in ["a", "b"] {
        host.ima.measure(&format!("/opt/{name}"), name.as_bytes());
    }
    let files = [
        ("base", base.as_str()),
        ("a", &file("a")),
        ("b", &file("b")),
        ("again", &file("b")),
    ];
    let both = parse("[ima]\nlists = [\"base\", \"a\", \"b\", \"again\"]\n", &files).unwrap();
    expect(&host.round(&both), Verdict::Affirming, &[]);
    assert_eq!(both.ima().unwrap().lists().count(), 3);
    let one = parse("[ima]\nlists = [\"base\", \"a\"]\n", &files).unwrap();
    expect(
        &host.round(&one),
        Verdict::Contraindicated,
        &[Code::ImaFileUnknown],
    );
}

#[test]
fn a_list_that_is_valid_always_is_so_in_an_alternative_whose_time_is_over() {
    let mut host = Host::new();
    let base = host.captured().list;
    host.ima.measure("/opt/a", b"a");
    let files = [("base", base.as_str()), ("a", &file("a"))];
    let component = "[[component]]\nname = \"tool\"\n[[component.alternative]]\nname = \"1\"\nuntil = 2020-01-01\n\
                     lists = [\"a\"]\n";
    let always = parse(&format!("[ima]\nlists = [\"base\", \"a\"]\n{component}"), &files).unwrap();
    expect(&host.round(&always), Verdict::Affirming, &[]);
    let over = parse(&format!("[ima]\nlists = [\"base\"]\n{component}"), &files).unwrap();
    expect(&host.round(&over), Verdict::Warning, &[Code::GoldenValueExpired]);
}

#[test]
fn alternatives_may_share_what_components_may_not() {
    let alternative = |name: &str, digest: &str| {
        format!(
            "[[component.alternative]]\nname = \"{name}\"\nboot_log.sha256.4 = [\"{}\"]\n",
            digit(digest)
        )
    };
    let one = "[[component]]\nname = \"one\"\n";
    let shared = format!("{one}{}{}", alternative("1", "a"), alternative("2", "a"));
    assert!(parse(&shared, &[]).is_ok());
    let two = format!(
        "{one}{}[[component]]\nname = \"two\"\n{}",
        alternative("1", "a"),
        alternative("1", "a")
    );
    refused(&two, "components \"one\" and \"two\" both list the digest");
}

#[test]
fn a_host_of_a_model_needs_a_policy_that_has_models() {
    let reading = Reading {
        model: Some("r750"),
        ..Reading::default()
    };
    struct None_;
    impl lazaret_attest::policy::Files for None_ {
        fn bytes(&mut self, _: &str) -> Result<Vec<u8>, String> {
            Err("not there".to_owned())
        }
        fn list(
            &mut self,
            _: &str,
        ) -> Result<std::sync::Arc<lazaret_attest::policy::DigestList>, lazaret_attest::policy::FileError>
        {
            Err(lazaret_attest::policy::FileError {
                line: None,
                reason: "not there".to_owned(),
            })
        }
    }
    let toml = "name = \"x\"\nversion = 1\nsecure_boot = \"required\"\n";
    let error = Policy::read(toml, &reading, &mut None_).unwrap_err();
    assert!(
        error.reason.contains("the policy has no [model.\"..\"]"),
        "{error}"
    );
}

#[test]
fn files_need_a_list_or_a_signature_and_keyrings_need_paths() {
    let no_list = "[ima]\nlists = []\n";
    refused(no_list, "lists names no file");
    let component = |lists: &str| {
        format!(
            "{no_list}[[component]]\nname = \"c\"\n[[component.alternative]]\nname = \"1\"\n{lists}\
             boot_log.sha256.4 = [\"{}\"]\n",
            digit("a")
        )
    };
    refused(&component(""), "lists names no file");
    assert!(parse(&component("lists = [\"a\"]\n"), &[("a", &file("a"))]).is_ok());

    let key = rcgen::KeyPair::generate().unwrap().public_key_pem();
    let files = [("k.pem", key.as_str()), ("a", &file("a"))];
    let with = |rest: &str| parse(&format!("[ima]\nlists = [\"a\"]\n{rest}\n"), &files);
    for half in ["keyrings = [\"k.pem\"]", "signed = [\"/usr/**\"]"] {
        let error = with(half).unwrap_err();
        assert!(error.reason.contains("write both or neither"), "{error}");
    }
    assert!(with("keyrings = [\"k.pem\"]\nsigned = [\"/usr/**\"]").is_ok());
}

#[test]
fn files_are_asked_for_by_ima_or_by_the_lists_of_a_component() {
    let key = rcgen::KeyPair::generate().unwrap().public_key_pem();
    let files = [("k.pem", key.as_str()), ("a", &file("a"))];
    let signed = parse("[ima]\nkeyrings = [\"k.pem\"]\nsigned = [\"/usr/**\"]\n", &files).unwrap();
    assert!(signed.ima().is_some_and(|ima| ima.is_empty()));
    let listed = "[[component]]\nname = \"c\"\n[[component.alternative]]\nname = \"1\"\nlists = [\"a\"]\n";
    for policy in [signed, parse(listed, &files).unwrap()] {
        let mut host = Host::new();
        expect(
            &host.round(&policy),
            Verdict::Contraindicated,
            &[Code::ImaFileUnknown],
        );
    }
}

#[test]
fn a_policy_has_bounds_and_may_reach_them() {
    let rule = "secure_boot = \"required\"\n";
    // With the two lines before it exactly eight MiB.
    let fill = |length: usize| {
        let head = "name = \"x\"\nversion = 1\n".len() + rule.len();
        format!("{rule}#{}\n", "x".repeat(length - head - 2))
    };
    let most = 8 * 1024 * 1024;
    assert!(parse(&fill(most), &[]).is_ok());
    refused(&fill(most + 1), "larger than 8388608 bytes");

    let components = |count: usize| {
        (0..count).fold(String::new(), |mut toml, at| {
            let _ = writeln!(
                toml,
                "[[component]]\nname = \"c{at}\"\n[[component.alternative]]\nname = \"1\"\n\
                 boot_log.sha256.4 = [\"{at:064x}\"]"
            );
            toml
        })
    };
    assert!(parse(&components(64), &[]).is_ok());
    refused(&components(65), "at most 64 components");

    let name = |length: usize| {
        let toml = format!("name = \"{}\"\nversion = 1\n{rule}", "n".repeat(length));
        Policy::parse(&toml, &mut |_| Err(String::new())).map(|policy| policy.name().len())
    };
    assert_eq!(name(200), Ok(200));
    assert!(name(201).unwrap_err().reason.contains("at most 200 bytes"));

    let pattern = |length: usize| {
        let text = format!("/{}", "p".repeat(length - 1));
        parse(
            &format!("[ima]\nlists = [\"a\"]\nexclude = [\"{text}\"]\n"),
            &[("a", &file("a"))],
        )
    };
    assert!(pattern(1024).is_ok());
    assert!(pattern(1025).unwrap_err().reason.contains("at most 1024 bytes"));

    let line = |length: usize| {
        parse(
            &format!("[boot]\ncommand_lines = [\"{}\"]\n", "l".repeat(length)),
            &[],
        )
    };
    assert!(line(16 * 1024).is_ok());
    assert!(
        line(16 * 1024 + 1)
            .unwrap_err()
            .reason
            .contains("at most 16384 bytes")
    );
}

#[test]
fn a_proof_may_be_taken_as_grave_as_it_is() {
    let gravity = |line: &str| parse(&format!("secure_boot = \"required\"\n[gravity]\n{line}\n"), &[]);
    assert!(gravity("boot-log-missing = \"indeterminate\"").is_ok());
    assert!(gravity("ima-replay-mismatch = \"contraindicated\"").is_ok());
    assert!(gravity("boot-log-missing = \"warning\"").is_err());
    // And it is taken so, also where the finding was made before it was weighed.
    let policy = gravity("boot-log-missing = \"contraindicated\"").unwrap();
    let mut host = Host::new();
    host.boot_log = Some(Vec::new());
    let result = host.round(&policy);
    expect(&result, Verdict::Contraindicated, &[Code::BootLogMissing]);
    let missing = &result.findings[0];
    assert_eq!(
        (missing.code, missing.gravity),
        (Code::BootLogMissing, Verdict::Contraindicated)
    );
}

#[test]
fn an_alternative_is_described_with_both_ends_of_its_time() {
    let mut host = Host::new();
    let base = host.captured().list;
    host.ima.measure("/opt/a", b"a");
    let told = |window: &str| {
        let policy = parse(
            &format!(
                "[ima]\nlists = [\"base\"]\n[[component]]\nname = \"tool\"\n[[component.alternative]]\nname = \"1\"\n\
                 {window}\nlists = [\"a\"]\n"
            ),
            &[("base", &base), ("a", &file("a"))],
        );
        let result = host.clone().round(&policy.unwrap());
        assert_eq!(result.findings.len(), 1, "{:?}", result.findings);
        result.findings[0].found.clone().unwrap()
    };
    assert_eq!(
        told("until = 2020-01-01"),
        "1 (until 2020-01-02T00:00:00Z), by /opt/a"
    );
    assert_eq!(
        told("from = 2030-01-01"),
        "1 (from 2030-01-01T00:00:00Z), by /opt/a"
    );
    assert_eq!(
        told("from = 2019-01-01\nuntil = 2020-01-01"),
        "1 (from 2019-01-01T00:00:00Z until 2020-01-02T00:00:00Z), by /opt/a"
    );
}

#[test]
fn files_are_judged_where_any_part_of_a_policy_says_how() {
    let key = rcgen::KeyPair::generate().unwrap().public_key_pem();
    let files = [("k.pem", key.as_str()), ("a", &file("a"))];
    let component = |values: &str| {
        format!("[[component]]\nname = \"kernel\"\n[[component.alternative]]\nname = \"1\"\n{values}\n")
    };
    let values = component(&format!("boot_log.sha256.4 = [\"{}\"]", digit("a")));
    let lists = component("lists = [\"a\"]");
    let signed = "[ima]\nkeyrings = [\"k.pem\"]\nsigned = [\"/usr/**\"]\n";
    for (rest, entries) in [
        (values.as_str(), None),
        (&lists, Some(1)),
        ("[ima]\nlists = [\"a\"]\n", Some(1)),
        (signed, Some(0)),
        (&format!("{signed}{lists}"), Some(1)),
    ] {
        let policy = parse(rest, &files).unwrap();
        let ima = policy.ima();
        assert_eq!(ima.map(|ima| ima.len()), entries, "{rest}");
        assert_eq!(
            ima.map(|ima| ima.is_empty()),
            entries.map(|entries| entries == 0),
            "{rest}"
        );
    }
}

#[test]
fn a_base_may_leave_half_to_the_policy_over_it() {
    let key = rcgen::KeyPair::generate().unwrap().public_key_pem();
    for half in [
        "keyrings = [\"k.pem\"]",
        "signed = [\"/usr/**\"]",
        "exclude = [\"/a\"]",
    ] {
        let base = format!("name = \"b\"\nversion = 1\nbase = true\n[ima]\n{half}\n");
        let looked_at = Reading {
            base: true,
            ..Reading::default()
        };
        let found = crate::policy::read(&base, &looked_at, &[("k.pem", &key)]);
        assert!(found.unwrap().is_base(), "{half}");
    }
}

#[test]
fn an_alternative_may_be_a_list_without_a_digest() {
    let toml = "[[component]]\nname = \"kernel\"\n[[component.alternative]]\nname = \"1\"\nlists = [\"a\"]\n";
    for (text, entries) in [("# none\n", 0), (&*file("a"), 1)] {
        let policy = parse(toml, &[("a", text)]).unwrap();
        let alternative = &policy.components()[0].alternatives()[0];
        assert_eq!(
            (alternative.len(), alternative.is_empty()),
            (entries, entries == 0)
        );
    }
}

#[test]
fn what_two_files_demand_of_the_boot_must_agree() {
    let base = "name = \"b\"\nversion = 1\nbase = true\n[boot]\noption_roms = \"none\"\n";
    let top = format!("extends = \"b\"\n[boot]\ndrivers = [\"{}\"]\n", digit("a"));
    let error = parse(&top, &[("b", base)]).unwrap_err();
    assert_eq!(error.line, 4, "{error}");
    assert!(
        error.reason.contains("option_roms = \"none\" forbids all"),
        "{error}"
    );
}

#[test]
fn the_first_form_of_a_digest_is_over_every_text_behind_its_length() {
    let toml = "name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\", \"m\"]\n";
    let texts = [file("a"), file("b")];
    let files = [("l", texts[0].as_str()), ("m", texts[1].as_str())];
    let digest = |form: DigestForm| {
        let reading = Reading {
            form,
            ..Reading::default()
        };
        crate::policy::read(toml, &reading, &files).unwrap().digest()
    };
    let parts: Vec<Vec<u8>> = [toml, "l", &texts[0], "m", &texts[1]]
        .iter()
        .map(|part| [&(part.len() as u64).to_be_bytes(), part.as_bytes()].concat())
        .collect();
    assert_eq!(
        digest(DigestForm::Texts)[..],
        Bank::Sha256.hash(&[&parts.concat()])[..]
    );
    assert_ne!(digest(DigestForm::Texts), digest(DigestForm::Files));
}
