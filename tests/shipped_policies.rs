//! The policies that are shipped are read as the program reads an operator's, and show every key there is.

use std::{fs, path::PathBuf};

use lazaret::verifier::policies::{Policies, PolicyText};
use lazaret_attest::policy::DigestForm;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("policies")
}

#[test]
fn every_shipped_policy_is_understood() {
    let mut seen = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let golden = Policies::default()
                .at(&path, None, 1_795_000_000)
                .unwrap_or_else(|error| panic!("{error}"));
            assert!(!golden.policy.name().is_empty());
            seen += 1;
        }
    }
    assert!(seen > 0, "no policy is shipped");
}

/// Each key taken away changes the policy's meaning or is missed; one that is misspelt is refused with its line.
#[test]
fn the_example_has_every_key_and_a_misspelt_one_is_refused() {
    let text = fs::read_to_string(folder().join("compute.toml")).unwrap();
    for key in [
        "name",
        "version",
        "secure_boot",
        "[pcrs.",
        "[boot_log.",
        "[ima]",
        "lists",
        "exclude",
        "[gravity]",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(key)),
            "{key} is not in the example"
        );
    }
    let list = fs::read_to_string(folder().join("compute.sha256")).unwrap();
    for (right, wrong) in [
        ("secure_boot", "secureboot"),
        ("[gravity]", "[gravtiy]"),
        ("exclude", "exclud"),
    ] {
        let misspelt = PolicyText {
            toml: text.replace(&format!("\n{right}"), &format!("\n{wrong}")),
            lists: [("compute.sha256".to_owned(), list.clone().into())].into(),
            model: None,
            signature: None,
        };
        let error = misspelt.parse(DigestForm::Files).unwrap_err().to_string();
        assert!(error.starts_with("line "), "{wrong}: {error}");
    }
}
