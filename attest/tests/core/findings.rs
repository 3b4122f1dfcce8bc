//! Every finding code is in the manual, in the words of the code itself.

use std::path::Path;

use lazaret_attest::finding::{Bounds, Code};

fn markdown() -> String {
    let mut text = String::from(
        "# Findings\n\n\
        What a verdict rests on. Codes are stable: scripts and policies may name them. A policy changes the gravity of a code \
        under `[gravity]`, within the bounds in the last column: *fixed* (nothing is proven by it, so nothing may be \
        concluded), *graver only* (a proof failed or evidence is missing), *free* (a proven fact; but never affirming).\n\n\
        This file is kept by a test: `LAZARET_WRITE_DOCS=1 cargo test -p lazaret-attest --test core findings` writes it anew.\n",
    );
    for code in Code::ALL {
        let bounds = match code.bounds() {
            Bounds::Fixed => "fixed",
            Bounds::RaiseOnly => "graver only",
            Bounds::Free => "free",
        };
        text.push_str(&format!(
            "\n## {code}\n\n{}\n\n*What to do:* {}\n\n*Gravity:* {} ({bounds})\n",
            code.meaning(),
            code.remedy(),
            code.gravity()
        ));
    }
    text
}

#[test]
fn the_manual_has_every_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/findings.md");
    if std::env::var_os("LAZARET_WRITE_DOCS").is_some() {
        std::fs::write(&path, markdown()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        written,
        markdown(),
        "docs/findings.md is not what the codes say; its own text tells how to write it anew"
    );
}

#[test]
fn codes_are_unique_and_say_something() {
    for (at, code) in Code::ALL.iter().enumerate() {
        assert!(
            Code::ALL
                .iter()
                .take(at)
                .all(|other| other.as_str() != code.as_str()),
            "{code}"
        );
        assert_eq!(code.as_str().parse(), Ok(*code));
        assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
        for text in [code.meaning(), code.remedy()] {
            assert!(text.len() > 20 && text.ends_with('.'), "{code}: {text}");
        }
    }
}
