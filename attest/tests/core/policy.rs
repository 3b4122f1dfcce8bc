//! Policy files: models, bases, pins, dates, and whatever bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use lazaret_attest::policy::{DigestList, FileError, Files, Policy, PolicyError, Reading};
use proptest::prelude::*;

/// Files of a test by name.
#[derive(Default)]
struct Beside(BTreeMap<&'static str, String>);

impl Files for Beside {
    fn bytes(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let text = self.0.get(name).ok_or("not there")?;
        Ok(text.clone().into_bytes())
    }

    fn list(&mut self, name: &str) -> Result<Arc<DigestList>, FileError> {
        let text = self
            .bytes(name)
            .map_err(|reason| FileError { line: None, reason })?;
        Ok(Arc::new(DigestList::parse(text)?))
    }
}

fn digit(digit: &str) -> String {
    digit.repeat(64)
}

pub fn read(
    toml: &str,
    reading: &Reading<'_>,
    files: &[(&'static str, &str)],
) -> Result<Policy, PolicyError> {
    let files = files
        .iter()
        .map(|(name, text)| (*name, (*text).to_owned()))
        .collect();
    Policy::read(toml, reading, &mut Beside(files))
}

fn for_model(model: &str) -> Reading<'_> {
    Reading {
        model: Some(model),
        ..Reading::default()
    }
}

#[test]
fn a_model_adds_values_and_none_can_be_left_out() {
    let toml = format!(
        "name = \"x\"\nversion = 1\nsecure_boot = \"required\"\n[pcrs.sha256]\n7 = [\"{}\"]\n\
         [model.\"r750\"]\npcrs.sha256.0 = [\"{}\"]\n[model.\"r650\"]\npcrs.sha256.0 = [\"{}\"]\n",
        digit("7"),
        digit("a"),
        digit("b")
    );
    let pcrs = |policy: &Policy| policy.compared_pcrs().map(|(_, index)| index).collect::<Vec<_>>();
    let one = read(&toml, &for_model("r750"), &[]).unwrap();
    let two = read(&toml, &for_model("r650"), &[]).unwrap();
    assert_eq!((pcrs(&one), pcrs(&two)), (vec![0, 7], vec![0, 7]));
    assert_eq!((one.model(), two.model()), (Some("r750"), Some("r650")));
    assert_ne!(one.digest(), two.digest(), "each model is a policy of its own");
    assert_eq!(one.content_digest(), two.content_digest());
    assert_eq!(one.models().collect::<Vec<_>>(), ["r650", "r750"]);
    let error = read(&toml, &Reading::default(), &[]).unwrap_err();
    assert_eq!(error.line, 8, "{error}");
    assert!(error.to_string().contains("without model"), "{error}");
    let error = read(&toml, &for_model("r999"), &[]).unwrap_err();
    assert!(error.to_string().contains("r650, r750"), "{error}");
    // A model that only adds alternatives to what is compared anyway may be left out.
    let lenient = toml.replace("pcrs.sha256.0", "pcrs.sha256.7");
    assert_eq!(pcrs(&read(&lenient, &Reading::default(), &[]).unwrap()), [7]);
}

#[test]
fn case_77_a_signed_policy_is_one_version_for_hosts_of_all_models() {
    let lists = ["one", "two", "three"].map(|name| format!("{}  /{name}\n", digit("a")));
    let named = |file: &str, list: &str| {
        let pin = hex::encode(DigestList::parse(list.into()).unwrap().digest());
        format!("lists = [{{ file = \"{file}\", sha256 = \"{pin}\" }}]\n")
    };
    let alternative =
        "[[model.r650.component]]\nname = \"fw\"\n[[model.r650.component.alternative]]\nname = \"1\"\n";
    let toml = format!(
        "name = \"x\"\nversion = 1\n[ima]\n{}[model.r750]\n{}[model.r650]\n{alternative}{}",
        named("all", &lists[0]),
        named("r750", &lists[1]),
        named("r650", &lists[2]),
    );
    let files = [
        ("all", lists[0].as_str()),
        ("r750", &lists[1]),
        ("r650", &lists[2]),
    ];
    let of = |model| {
        let reading = Reading {
            model,
            signed: true,
            ..Reading::default()
        };
        read(&toml, &reading, &files).unwrap()
    };
    let all = [None, Some("r650"), Some("r750")].map(of);
    for policy in &all {
        assert_eq!(policy.content_digest(), all[0].content_digest());
    }
    let digests: std::collections::BTreeSet<_> = all.iter().map(Policy::digest).collect();
    assert_eq!(digests.len(), 3, "each model is a policy of its own");
    // What a model's list says is in the digest of its policy, pinned or not.
    let loose = toml.replace(&named("r750", &lists[1]), "lists = [\"r750\"]\n");
    let other = [files[0], ("r750", &lists[2]), files[2]];
    let digest = |files: &[(&'static str, &str)]| read(&loose, &for_model("r750"), files).unwrap().digest();
    assert_ne!(digest(&files), digest(&other));
}

#[test]
fn a_models_alternatives_join_their_component() {
    let toml = format!(
        "name = \"x\"\nversion = 1\n[[component]]\nname = \"fw\"\n[[component.alternative]]\nname = \"1\"\n\
         pcrs.sha256.0 = [\"{}\"]\n[[model.m.component]]\nname = \"fw\"\n[[model.m.component.alternative]]\n\
         name = \"2\"\nuntil = 2030-01-01\npcrs.sha256.0 = [\"{}\"]\n",
        digit("a"),
        digit("b")
    );
    let count = |reading: &Reading<'_>| {
        read(&toml, reading, &[]).unwrap().components()[0]
            .alternatives()
            .len()
    };
    assert_eq!((count(&Reading::default()), count(&for_model("m"))), (1, 2));
}

#[test]
fn a_policy_adds_to_the_one_that_it_extends() {
    let base = format!(
        "name = \"debian\"\nversion = 4\nbase = true\nsecure_boot = \"required\"\n\
         [ima]\nexclude = [\"/var/lib/nova/\"]\n[gravity]\nima-violation = \"contraindicated\"\n[pcrs.sha256]\n7 = [\"{}\"]\n",
        digit("7")
    );
    let list = format!("{}  /a\n", digit("a"));
    let top = format!(
        "name = \"site\"\nversion = 1\nextends = \"bases/debian.toml\"\n[ima]\nlists = [\"l\"]\nexclude = [\"/etc/x\"]\n\
         [pcrs.sha256]\n0 = [\"{}\"]\n[gravity]\nima-lag = \"contraindicated\"\n",
        digit("a")
    );
    let files = [("bases/debian.toml", base.as_str()), ("l", list.as_str())];
    let policy = read(&top, &Reading::default(), &files).unwrap();
    assert_eq!(
        (policy.name(), policy.version(), policy.secure_boot_required()),
        ("site", 1, true)
    );
    assert_eq!(
        policy.compared_pcrs().map(|(_, index)| index).collect::<Vec<_>>(),
        [0, 7]
    );
    let excluded: Vec<_> = policy
        .ima()
        .unwrap()
        .exclude()
        .iter()
        .map(|pattern| pattern.as_str())
        .collect();
    assert_eq!(excluded, ["/var/lib/nova/", "/etc/x"]);
    assert_eq!(policy.gravities().count(), 2);
    let lighter = read(
        &top.replace("version = 1", "version = 1\nsecure_boot = \"any\""),
        &Reading::default(),
        &files,
    );
    assert!(
        !lighter.unwrap().secure_boot_required(),
        "the nearer file decides"
    );

    let changed = base.replace("version = 4", "version = 5");
    let other = read(
        &top,
        &Reading::default(),
        &[("bases/debian.toml", &changed), files[1]],
    )
    .unwrap();
    assert_ne!(other.digest(), policy.digest(), "the digest covers the base");

    // A mistake in the base is told in the base; what it names lies beside it.
    let wrong = base.replace("[gravity]", "lists = [\"gone\"]\n[gravity]");
    let error = read(
        &top,
        &Reading::default(),
        &[("bases/debian.toml", &wrong), files[1]],
    )
    .unwrap_err();
    assert_eq!(
        (error.file.as_deref(), error.line),
        (Some("bases/debian.toml"), 7),
        "{error}"
    );
    assert!(error.to_string().contains("bases/gone"), "{error}");

    let error = read(&base, &Reading::default(), &[]).unwrap_err();
    assert!(error.to_string().contains("base = true"), "{error}");
    let looked_at = Reading {
        base: true,
        ..Reading::default()
    };
    assert!(read(&base, &looked_at, &[]).unwrap().is_base());
}

#[test]
fn what_a_base_demands_is_never_demanded_less() {
    let base = "name = \"b\"\nversion = 1\nbase = true\n[boot]\nsbat_at_least = { shim = 4, grub = 3 }\n\
                command_line_forbids = [\"init=*\"]\n";
    let top = "name = \"x\"\nversion = 1\nextends = \"b\"\n[boot]\nsbat_at_least = { shim = 1, grub = 5, mok = 1 }\n\
               command_line_forbids = [\"single\"]\n";
    let policy = read(top, &Reading::default(), &[("b", base)]).unwrap();
    let least: Vec<_> = policy
        .boot()
        .sbat_at_least
        .iter()
        .map(|(name, least)| (name.as_str(), *least))
        .collect();
    assert_eq!(least, [("grub", 5), ("mok", 1), ("shim", 4)]);
    assert_eq!(
        policy
            .boot()
            .command_line_forbids
            .as_ref()
            .unwrap()
            .iter()
            .count(),
        2
    );
}

#[test]
fn a_host_without_model_is_not_spared_what_a_model_demands_of_the_boot() {
    let toml = "name = \"x\"\nversion = 1\nsecure_boot = \"required\"\n[model.m.boot]\ndma_protection = \"required\"\n\
                [model.n]\nboot.dma_protection = \"any\"\n";
    let error = read(toml, &Reading::default(), &[]).unwrap_err();
    assert_eq!(error.line, 4, "{error}");
    assert!(error.reason.contains("boot.dma_protection"), "{error}");
    for model in ["m", "n"] {
        read(toml, &for_model(model), &[]).expect(model);
    }
    let told = toml.replace(
        "[model.m.boot]",
        "[boot]\ndma_protection = \"any\"\n[model.m.boot]",
    );
    read(&told, &Reading::default(), &[]).unwrap();
}

#[test]
fn models_are_bounded_and_cost_their_own_length() {
    let of = |models: usize| {
        let models: String = (0..models)
            .map(|i| format!("[model.m{i}.boot]\ndebug_mode = \"forbidden\"\n"))
            .collect();
        let toml = format!(
            "name = \"x\"\nversion = 1\nsecure_boot = \"required\"\n[boot]\ndebug_mode = \"any\"\n{models}"
        );
        read(&toml, &Reading::default(), &[])
    };
    assert_eq!(of(256).unwrap().models().count(), 256);
    let error = of(257).unwrap_err();
    assert!(error.reason.contains("256 models"), "{error}");
}

#[test]
fn policies_that_extend_each_other_end() {
    let extending =
        |name: &str| format!("name = \"x\"\nversion = 1\nsecure_boot = \"required\"\nextends = \"{name}\"\n");
    let (a, b) = (extending("b"), extending("a"));
    let error = read(&a, &Reading::default(), &[("a", &a), ("b", &b)]).unwrap_err();
    assert!(error.to_string().contains("extends itself"), "{error}");
    let chain: Vec<(&'static str, String)> = ["1", "2", "3", "4", "5"]
        .into_iter()
        .zip(["2", "3", "4", "5", "6"].map(extending))
        .collect();
    let chain: Vec<(&'static str, &str)> = chain.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let error = read(&extending("1"), &Reading::default(), &chain).unwrap_err();
    assert!(error.to_string().contains("at most 4"), "{error}");
    let three = read(
        &extending("1"),
        &Reading::default(),
        &[chain[0], chain[1], ("3", "name = \"y\"\nversion = 1\n")],
    );
    assert!(three.is_ok(), "{three:?}");
}

#[test]
fn a_pinned_file_is_the_one_that_is_meant_and_a_signed_policy_pins_all() {
    let list = format!("{}  /a\n", digit("a"));
    let pin = hex::encode(DigestList::parse(list.clone().into_bytes()).unwrap().digest());
    let toml = |lists: &str| format!("name = \"x\"\nversion = 1\n[ima]\nlists = [{lists}]\n");
    let pinned = toml(&format!("{{ file = \"l\", sha256 = \"{pin}\" }}"));
    let signed = Reading {
        signed: true,
        ..Reading::default()
    };
    for reading in [&Reading::default(), &signed] {
        assert!(read(&pinned, reading, &[("l", &list)]).is_ok());
        let error = read(&pinned, reading, &[("l", &format!("{list}#\n"))]).unwrap_err();
        assert!(error.line == 4 && error.to_string().contains(&pin), "{error}");
    }
    assert!(read(&toml("\"l\""), &Reading::default(), &[("l", &list)]).is_ok());
    let error = read(&toml("\"l\""), &signed, &[("l", &list)]).unwrap_err();
    assert!(
        error.line == 4 && error.to_string().contains(&pin),
        "it says what to write: {error}"
    );
    let base = "name = \"y\"\nversion = 1\n";
    let extends = "name = \"x\"\nversion = 1\nsecure_boot = \"required\"\nextends = \"b\"\n";
    assert!(
        read(extends, &signed, &[("b", base)])
            .unwrap_err()
            .to_string()
            .contains("sha256 =")
    );
}

#[test]
fn mistakes_in_components_are_told_with_their_line() {
    let (a, b) = (digit("a"), digit("b"));
    let head = "name = \"x\"\nversion = 1\n[[component]]\nname = \"k\"\n";
    let one = format!("[[component.alternative]]\nname = \"1\"\npcrs.sha256.4 = [\"{a}\"]\n");
    let table = [
        (head.to_owned(), 4, "no [[component.alternative]]"),
        (
            format!("{head}[[component.alternative]]\nname = \"1\"\n"),
            6,
            "no values",
        ),
        (format!("{head}{one}{one}"), 9, "already"),
        (
            format!("{head}{}", one.replace("name = \"1\"", "name = \"\"")),
            6,
            "empty",
        ),
        (format!("{head}{one}until = 2026-13-01\n"), 8, ""),
        (format!("{head}{one}until = \"2026-12-01\"\n"), 8, ""),
        (format!("{head}{one}until = 2026-12-01T10:00:00\n"), 8, "offset"),
        (
            format!("{head}{one}from = 2026-12-02\nuntil = 2026-12-01\n"),
            9,
            "never valid",
        ),
        (format!("{head}{one}form = 2026-12-02\n"), 8, "form"),
        (
            format!("{head}{one}[[component.alternative]]\nname = \"2\"\nboot_log.sha256.4 = [\"{b}\"]\n"),
            4,
            "no value for PCR sha256:4",
        ),
        (
            format!("{head}{one}[[component]]\nname = \"j\"\n{one}"),
            9,
            "both have values of PCR sha256:4",
        ),
        (
            format!(
                "{head}{0}[[component]]\nname = \"j\"\n{0}",
                one.replace("pcrs", "boot_log")
            ),
            9,
            "both list the digest",
        ),
        (
            format!("{head}{one}[[component.alternative]]\nname = \"2\"\npcrs.sha256.10 = [\"{a}\"]\n"),
            10,
            "PCR 10",
        ),
        (
            "name = \"x\"\nversion = 1\nname = \"y\"\n".to_owned(),
            3,
            "duplicate",
        ),
        ("name = \"x\"\nversion = -1\n".to_owned(), 2, ""),
        ("name = \"x\\u001b\"\nversion = 1\n".to_owned(), 1, "control"),
        (format!("name = \"{}\"\nversion = 1\n", "x".repeat(201)), 1, "200"),
        (
            "name = \"x\"\nversion = 1\n[ima]\nlists = [{ fil = \"l\" }]\n".to_owned(),
            4,
            "fil",
        ),
        (
            "name = \"x\"\nversion = 1\n[ima]\nlists = [7]\n".to_owned(),
            4,
            "file's name",
        ),
    ];
    for (toml, line, says) in table {
        let error = read(&toml, &Reading::default(), &[]).expect_err(&toml);
        assert_eq!(error.line, line, "{toml}\n{error}");
        assert!(error.to_string().contains(says), "{toml}\n{error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        if let Err(error) = read(&text, &Reading::default(), &[]) {
            prop_assert!(error.line >= 1 && error.line <= text.lines().count() + 1, "{}", error);
            prop_assert!(!error.reason.is_empty());
        }
    }

    /// Whole lines of a policy, in any order and number, some of them broken.
    #[test]
    fn no_mixture_of_lines_makes_the_reader_panic(
        lines in proptest::collection::vec(proptest::sample::select(vec![
            "name = \"x\"", "version = 1", "base = true", "extends = \"b\"", "secure_boot = \"required\"",
            "[[component]]", "[[component.alternative]]", "[[model.m.component]]", "[model.m]", "[ima]", "[gravity]",
            "[pcrs.sha256]", "[boot_log.sha256]", "lists = [\"l\"]", "lists = [{ file = \"l\", sha256 = \"00\" }]",
            "exclude = [\"/a/**/b*\"]", "until = 2026-12-31", "from = 2026-12-31T00:00:00Z", "until = 12:00:00",
            "pcrs.sha256.7 = [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]",
            "7 = [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]",
            "ima-lag = \"contraindicated\"", "\"", "= 1", "[",
        ]), 0..14),
        signed in any::<bool>(),
        model in proptest::option::of(Just("m")),
    ) {
        let text = lines.join("\n");
        let reading = Reading { signed, model, ..Reading::default() };
        if let Err(error) = read(&text, &reading, &[("l", ""), ("b", "name = \"y\"\nversion = 1\n")]) {
            prop_assert!(error.line >= 1 && error.line <= lines.len() + 1, "{}", error);
            prop_assert!(!error.reason.is_empty());
        }
    }
}
