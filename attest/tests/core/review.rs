//! A policy looked over as a whole: what it holds, and what its author may not have meant.

use lazaret_attest::finding::Code;
use lazaret_attest::pcr::HashAlg;
use lazaret_attest::policy::{DigestList, Policy, Review, ReviewStanding};
use lazaret_attest::verdict::Verdict;

use crate::host::NOW;

const DAY: i64 = 86_400;

fn digit(digit: &str) -> String {
    digit.repeat(64)
}

fn policy(toml: &str, list: &str) -> Policy {
    let toml = format!("name = \"x\"\nversion = 3\n{toml}");
    Policy::parse(&toml, &mut |_| Ok(list.to_owned())).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

fn review(toml: &str, list: &str) -> Review {
    policy(toml, list).review(NOW)
}

fn list() -> String {
    format!("{}  /a\n{}  /b\n", digit("a"), digit("b"))
}

/// Every PCR that a review asks for.
fn all_pcrs() -> String {
    let lines: Vec<String> = (0..=9)
        .chain([14])
        .map(|pcr| format!("{pcr} = [\"{}\"]", digit("7")))
        .collect();
    format!("[pcrs.sha256]\n{}\n", lines.join("\n"))
}

#[test]
fn a_policy_without_anything_odd_is_reviewed_in_numbers() {
    let toml = format!(
        "{}[boot_log.sha256]\n4 = [\"{}\", \"{}\"]\n[ima]\nlists = [\"l\"]\nexclude = [\"/var/lib/nova/\"]\n",
        all_pcrs(),
        digit("1"),
        digit("2")
    );
    let policy = policy(&toml, &list());
    let found = policy.review(NOW);
    assert_eq!(found.notes, Vec::<String>::new());
    assert_eq!((found.name.as_str(), found.version, found.base), ("x", 3, false));
    assert_eq!(
        (
            found.pcr_values,
            found.boot_digests,
            found.file_digests,
            found.lists,
            found.excluded
        ),
        (11, 2, 2, 1, 1)
    );
    assert!(found.components.is_empty() && found.models.is_empty());
    assert_eq!(found.digest, hex::encode(policy.content_digest()));
    assert_ne!(policy.content_digest(), [0; 32]);
    assert_ne!(
        policy.content_digest(),
        crate::host::policy(&format!("name = \"x\"\nversion = 3\n{toml}"), "").content_digest(),
        "lists are part of it"
    );
    let events: Vec<_> = policy.compared_events().collect();
    assert_eq!(events, [(HashAlg::Sha256, 4)]);
    let ima = policy.ima().unwrap();
    assert!(!ima.is_empty());
    let texts: Vec<&[u8]> = ima.lists().map(|list| list.text()).collect();
    assert_eq!(texts, [list().as_bytes()]);
}

#[test]
fn what_its_author_may_not_have_meant_is_noted_and_nothing_else() {
    let pcrs = all_pcrs();
    let ima = "[ima]\nlists = [\"l\"]\n";
    let notes = |toml: String, list: &str| review(&toml, list).notes;
    assert_eq!(
        notes(pcrs.clone(), ""),
        ["there is no [ima]: which files run is not looked at"]
    );
    let some = format!(
        "[pcrs.sha256]\n0 = [\"{0}\"]\n[boot_log.sha256]\n4 = [\"{0}\"]\n{ima}",
        digit("7")
    );
    assert_eq!(
        notes(some, &list()),
        [
            "PCR 1, 2, 3, 5, 6, 7, 8, 9, 14: nothing is compared with golden values; rules under [boot] may still look at them"
        ]
    );
    let empty = DigestList::parse("# nothing\n".into()).unwrap();
    assert!(empty.is_empty() && !DigestList::parse(list().into()).unwrap().is_empty());
    assert_eq!(
        notes(format!("{pcrs}{ima}"), "# nothing\n"),
        [format!(
            "the list with SHA-256 {} holds no digest; it is of no use",
            hex::encode(empty.digest())
        )]
    );
    let relative = format!("{}  a\n{}  ./b\n{}  /c\n", digit("a"), digit("b"), digit("c"));
    let told = notes(format!("{pcrs}{ima}"), &relative);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(": 2 paths do not begin with /"), "{told:?}");
    // Lighter than its own gravity is told; graver, or as it is, is not.
    let gravity = |gravity: &str, list: &str| notes(format!("{pcrs}{ima}[gravity]\n{gravity}\n"), list);
    assert_eq!(
        gravity("ima-file-unknown = \"warning\"", &list()),
        ["gravity: ima-file-unknown is taken as warning, lighter than contraindicated"]
    );
    assert_eq!(
        gravity("ima-file-unknown = \"contraindicated\"", &list()),
        Vec::<String>::new()
    );
    assert_eq!(
        gravity("ima-violation = \"contraindicated\"", &list()),
        Vec::<String>::new()
    );
    // No list holds anything, and what is in none is no more than a warning: nothing is compared at all.
    let told = gravity("ima-file-unknown = \"warning\"", "# nothing\n");
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(
        told[2],
        "no file has a golden digest, and unknown files are no more than a warning"
    );
    assert_eq!(
        gravity("ima-file-unknown = \"indeterminate\"", "# nothing\n").len(),
        2
    );
}

#[test]
fn alternatives_are_reviewed_by_their_dates() {
    let toml = |until: &str, more: &str| {
        format!(
            "{}[ima]\nlists = [\"l\"]\n[[component]]\nname = \"kernel\"\n[[component.alternative]]\nname = \"1\"\n\
             from = 2026-01-01\nuntil = {until}\npcrs.sha256.4 = [\"{}\"]\nboot_log.sha256.4 = [\"{}\", \"{}\"]\n{more}",
            all_pcrs(),
            digit("1"),
            digit("2"),
            digit("3")
        ) + &format!("[boot_log.sha256]\n4 = [\"{}\"]\n", digit("5"))
    };
    // NOW is 2026-06-01; what ends within thirty days is told.
    for (until, standing, soon) in [
        ("2026-06-30T23:59:59Z", ReviewStanding::Valid, true),
        ("2026-07-01", ReviewStanding::Valid, false),
        ("2026-06-01T00:00:01Z", ReviewStanding::Valid, true),
        ("2026-06-01T00:00:00Z", ReviewStanding::Expired, false),
    ] {
        let found = review(&toml(until, ""), &list());
        let alternative = &found.components[0].alternatives[0];
        assert_eq!(
            (alternative.standing, alternative.ends_soon),
            (standing, soon),
            "{until}"
        );
        assert_eq!(found.components[0].name, "kernel");
        assert_eq!((alternative.name.as_str(), alternative.values), ("1", 3));
        assert_eq!(alternative.from.as_deref(), Some("2026-01-01T00:00:00Z"));
        let none =
            "component kernel: no alternative is valid now, so no host can be affirming by it".to_owned();
        let ended =
            "component kernel: alternative 1 ended 2026-06-01T00:00:00Z; remove it when no host runs it"
                .to_owned();
        let wanted = match standing {
            ReviewStanding::Expired => vec![none, ended],
            _ => Vec::new(),
        };
        assert_eq!(found.notes, wanted, "{until}");
    }
    let early = policy(&toml("2027-01-01", ""), &list());
    let found = early.review(NOW - 200 * DAY);
    assert_eq!(
        found.components[0].alternatives[0].standing,
        ReviewStanding::NotYetValid
    );
    assert!(!found.components[0].alternatives[0].ends_soon);
    let alternative = &early.components()[0].alternatives()[0];
    assert_eq!(
        (alternative.name(), alternative.len(), alternative.is_empty()),
        ("1", 3, false)
    );
    assert_eq!(alternative.window().from, Some(1_767_225_600));
    // The same list under [ima] and in an alternative, and a value that is valid always as well.
    let both = review(&toml("2027-01-01", "lists = [\"l\"]\n"), &list());
    assert_eq!(both.components[0].alternatives[0].values, 5);
    assert_eq!(both.notes.len(), 1, "{:?}", both.notes);
    assert!(both.notes[0].contains("stands under [ima] and in an alternative"));
    for (twice, pcr, event) in [("pcrs", "7", "6"), ("boot_log", "6", "5")] {
        let toml = toml(
            "2027-01-01",
            &format!(
                "[[component.alternative]]\nname = \"2\"\npcrs.sha256.4 = [\"{}\"]\nboot_log.sha256.4 = [\"{}\"]\n",
                digit(pcr),
                digit(event)
            ),
        );
        let notes = review(&toml, &list()).notes;
        assert_eq!(
            notes,
            [
                "component kernel: some of its values stand under [pcrs] or [boot_log] too, where they are valid always"
            ],
            "{twice}"
        );
    }
}

#[test]
fn a_policy_tells_what_was_written() {
    let toml = format!(
        "{}[gravity]\nima-violation = \"contraindicated\"\n[model.\"r650\"]\npcrs.sha256.0 = [\"{}\"]\n",
        all_pcrs(),
        digit("8")
    );
    let plain = policy(&toml, "");
    assert_eq!(
        (plain.name(), plain.version(), plain.is_base(), plain.model()),
        ("x", 3, false, None)
    );
    let gravities: Vec<_> = plain.gravities().collect();
    assert_eq!(gravities, [(Code::ImaViolation, Verdict::Contraindicated)]);
    assert!(plain.ima().is_none() && plain.compared_events().next().is_none());
}
