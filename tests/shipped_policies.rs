//! The policies that are shipped are read as the program reads an operator's, and show every key there is.

use std::{fs, path::PathBuf};

use lazaret::verifier::policies::{Policies, PolicyText, Wanted};
use lazaret_attest::policy::{Policy, ReviewStanding};

/// 2027-03-01, Unix seconds.
const NOW: i64 = 1_803_859_200;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

#[test]
fn every_shipped_policy_is_understood() {
    let mut seen = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let wanted = Wanted {
                base: true,
                ..Wanted::default()
            };
            let (_, policy) = PolicyText::read(&path, &wanted).unwrap_or_else(|error| panic!("{error}"));
            assert!(!policy.name().is_empty());
            // A base is used by extending it, never by itself.
            let error = Policies::default().at(&path, None, NOW).unwrap_err().to_string();
            assert!(
                error.contains(if policy.is_base() { "base = true" } else { "model" }),
                "{error}"
            );
            seen.push((path.file_name().unwrap().to_owned(), policy.is_base()));
        }
    }
    seen.sort();
    let expected = [
        ("compute.toml", false),
        ("debian.toml", true),
        ("rhel.toml", true),
    ];
    assert_eq!(seen, expected.map(|(name, base)| (name.into(), base)));
}

/// What a base is for: a captured policy with one line more.
#[test]
fn a_policy_with_one_line_more_has_all_that_a_base_asks() {
    for (base, more) in [("debian.toml", ""), ("rhel.toml", "keyrings = [\"key.pem\"]\n")] {
        let scratch = tempfile::tempdir().unwrap();
        fs::copy(folder().join(base), scratch.path().join(base)).unwrap();
        fs::write(
            scratch.path().join("l.sha256"),
            format!("{}  /a\n", "ab".repeat(32)),
        )
        .unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(scratch.path().join("key.pem"), key.public_key_pem()).unwrap();
        let path = scratch.path().join("p.toml");
        let toml =
            format!("name = \"x\"\nversion = 1\nextends = \"{base}\"\n[ima]\nlists = [\"l.sha256\"]\n{more}");
        fs::write(&path, toml).unwrap();
        let golden = Policies::default().at(&path, None, NOW).unwrap();
        let policy: &Policy = &golden.policy;
        assert!(policy.secure_boot_required() && !policy.boot().is_empty());
        let ima = policy.ima().unwrap();
        assert!(ima.exclude().len() > 20 && ima.protected(b"/usr/bin/env"));
        let covered = |path: &str| {
            ima.exclude()
                .iter()
                .any(|pattern| pattern.covers(path.as_bytes()))
        };
        assert!(covered("/var/lib/nova/instances/1/disk") && covered("/etc/adjtime"));
        for attested in [
            "/usr/bin/env",
            "/etc/passwd",
            "/tmp/x",
            "/var/tmp/x",
            "/var/lib/novax",
            "/opt/x",
            "/root/x",
        ] {
            assert!(!covered(attested), "{base}: {attested}");
        }
        assert_eq!(ima.signed(b"/usr/bin/env"), base == "rhel.toml");
    }
}

/// Each key is there, and one that is misspelt is refused with its line.
#[test]
fn the_example_has_every_key_and_a_misspelt_one_is_refused() {
    let example = text("compute.toml");
    let manual = fs::read_to_string(folder().join("../docs/policies.md")).unwrap();
    for key in [
        "name",
        "version",
        "base",
        "extends",
        "secure_boot",
        "[pcrs.",
        "[boot_log.",
        "[[component]]",
        "[[component.alternative]]",
        "until",
        "from",
        "[model.",
        "boot.",
        "[boot]",
        "[ima]",
        "lists",
        "exclude",
        "#keyrings",
        "#signed",
        "protected",
        "policies",
        "lag_limit_s",
        "[gravity]",
    ] {
        assert!(
            example.lines().any(|line| line.starts_with(key)),
            "{key} is not in the example"
        );
        let bare = key.trim_start_matches(['#', '[']).trim_end_matches(['.', ']']);
        assert!(manual.contains(bare), "{bare} is not in docs/policies.md");
    }
    let scratch = tempfile::tempdir().unwrap();
    for name in ["debian.toml", "compute.sha256", "kernel-31.sha256"] {
        fs::copy(folder().join(name), scratch.path().join(name)).unwrap();
    }
    let path = scratch.path().join("compute.toml");
    let wanted = Wanted {
        model: Some("dell-r750"),
        ..Wanted::default()
    };
    fs::write(&path, &example).unwrap();
    assert!(PolicyText::read(&path, &wanted).is_ok());
    for (right, wrong) in [
        ("secure_boot", "secureboot"),
        ("[gravity]", "[gravtiy]"),
        ("exclude", "exclud"),
        ("until", "untill"),
        ("boot.firmware_versions", "boot.firmware_version"),
        ("[[component.alternative]]", "[[component.alternatives]]"),
        ("command_line_requires", "command_line_require"),
    ] {
        fs::write(
            &path,
            example.replacen(&format!("\n{right}"), &format!("\n{wrong}"), 1),
        )
        .unwrap();
        let error = PolicyText::read(&path, &wanted).unwrap_err().to_string();
        let line = 1
            + example
                .split(&format!("\n{right}"))
                .next()
                .unwrap()
                .matches('\n')
                .count()
            + 1;
        assert!(error.contains(": line "), "{wrong}: {error}");
        let told: usize = error
            .split(": line ")
            .nth(1)
            .unwrap()
            .split(':')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(told.abs_diff(line) <= 2, "{wrong}, line {line}: {error}");
    }
}

#[test]
fn the_example_is_reviewed() {
    let wanted = Wanted {
        model: Some("dell-r750"),
        ..Wanted::default()
    };
    let (_, policy) = PolicyText::read(&folder().join("compute.toml"), &wanted).unwrap();
    let standing = |now: i64| {
        let review = policy.review(now);
        let kernel = review
            .components
            .iter()
            .find(|component| component.name == "kernel");
        let each = kernel.unwrap().alternatives.iter();
        let each: Vec<_> = each
            .map(|alternative| (alternative.standing, alternative.ends_soon))
            .collect();
        (each, review.notes.join("\n"))
    };
    use ReviewStanding::{Expired, NotYetValid, Valid};
    const DAY: i64 = 86_400;
    assert_eq!(standing(NOW - 40 * DAY).0, [(Valid, false), (NotYetValid, false)]);
    assert_eq!(
        standing(NOW).0,
        [(Valid, false), (Valid, false)],
        "31 days before its end"
    );
    assert_eq!(standing(NOW + 2 * DAY).0, [(Valid, true), (Valid, false)]);
    let (after, notes) = standing(NOW + 31 * DAY);
    assert_eq!(after, [(Expired, false), (Valid, false)]);
    assert!(notes.contains("alternative 6.1.0-28 ended 2027-04-01"), "{notes}");
}
