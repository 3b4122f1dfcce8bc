//! The house rules that can be read off the source: who may know whom, and that the code map is true.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file at or below `place` that ships (tests do not), with its text.
fn sources(place: &str) -> Vec<(PathBuf, String)> {
    files(place, &|path| {
        path.file_stem()
            .is_some_and(|name| name == "tests" || name == "vectors")
    })
}

/// Every Rust file at or below `place` but those that are to be left out, with its text.
fn files(place: &str, left_out: &dyn Fn(&Path) -> bool) -> Vec<(PathBuf, String)> {
    fn walk(path: &Path, left_out: &dyn Fn(&Path) -> bool, found: &mut Vec<(PathBuf, String)>) {
        if left_out(path) {
            return;
        }
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
                walk(&entry.expect("a readable folder").path(), left_out, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push((
                path.to_owned(),
                fs::read_to_string(path).expect("a readable file"),
            ));
        }
    }
    let mut found = Vec::new();
    walk(&root().join(place), left_out, &mut found);
    assert!(!found.is_empty(), "{place} holds no Rust file");
    found
}

/// The code without comment lines and without its tests (by convention the last item of a file).
fn code(text: &str) -> String {
    text.split("\n#[cfg(test)]")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[track_caller]
fn nobody_says(place: &str, words: &[&str], why: &str) {
    for (path, text) in sources(place) {
        let code = code(&text);
        for word in words {
            assert!(!code.contains(word), "{}: `{word}` ({why})", path.display());
        }
    }
}

const ALL: [&str; 6] = [
    "src",
    "attest/src",
    "attest/wire/src",
    "attest/agent/src",
    "attest/forge/src",
    "attest/properties/src",
];

#[test]
fn the_core_has_no_io_clock_or_randomness() {
    let words = [
        "std::fs",
        "std::net",
        "SystemTime",
        "Instant::now",
        "SystemRandom",
        "tokio",
        "async fn",
        "std::env",
        "println!",
        "static mut",
    ];
    nobody_says("attest/src", &words, "bytes in, result out");
}

#[test]
fn only_the_agent_names_the_tss() {
    for place in ["src", "attest/src", "attest/wire/src", "attest/forge/src"] {
        nobody_says(place, &["tss_esapi", "tss2"], "the daemon does not link libtss2");
    }
}

#[test]
fn only_the_store_has_sql() {
    for (path, text) in sources("src") {
        if path.starts_with(root().join("src/store")) {
            continue;
        }
        let code = code(&text);
        for word in ["sqlx", "SELECT ", "INSERT INTO", "DELETE FROM"] {
            assert!(
                !code.contains(word),
                "{}: `{word}` belongs to src/store",
                path.display()
            );
        }
    }
}

#[test]
fn the_cloud_and_the_fence_know_neither_evidence_nor_database() {
    for place in ["src/openstack", "src/fence"] {
        let words = [
            "lazaret_attest",
            "crate::store",
            "crate::respond",
            "crate::verifier",
        ];
        nobody_says(place, &words, "they do what they are told");
    }
}

#[test]
fn only_the_lease_gives_leave_to_act() {
    for (path, text) in sources("src") {
        if path.ends_with("respond/leave.rs") {
            continue;
        }
        let code = code(&text);
        for word in ["Permits for ", "Permit::until("] {
            assert!(
                !code.contains(word),
                "{}: `{word}`: leave comes from the database, in respond/leave.rs",
                path.display()
            );
        }
    }
}

#[test]
fn what_decides_is_pure_and_synchronous() {
    let words = [
        "async ",
        ".await",
        "tokio",
        "std::fs",
        "SystemTime::now",
        "Utc::now",
        "reqwest",
        "Cloud",
        "Store",
    ];
    for room in [
        "respond/decide",
        "respond/guard",
        "respond/holddown",
        "respond/orphans",
        "respond/release",
        "respond/plan",
        "respond/saga",
        "respond/silence",
        "verifier/schedule",
    ] {
        let file = format!("src/{room}.rs");
        let place = if root().join(&file).is_file() {
            file
        } else {
            format!("src/{room}")
        };
        nobody_says(&place, &words, "a pure part");
    }
}

#[test]
fn nothing_is_unsafe_and_nothing_is_left_to_do() {
    for place in ALL {
        nobody_says(
            place,
            &["unsafe ", "todo!(", "unimplemented!(", "dbg!("],
            "not in what ships",
        );
    }
}

/// Every path in ARCHITECTURE.md's code map exists, and every room of the house is in the map.
#[test]
fn the_code_map_is_true() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mapped: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split('`').next())
        .map(|path| path.trim_end_matches('/'))
        .collect();
    assert!(mapped.len() > 20, "the code map has only {} rows", mapped.len());
    for path in &mapped {
        assert!(
            root().join(path).exists(),
            "ARCHITECTURE.md names {path}, which is not there"
        );
    }
    for folder in [
        "src",
        "attest/src",
        "attest",
        "src/respond",
        "src/verifier",
        "src/cli",
    ] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let furniture = [
                "target",
                "Cargo.toml",
                "lib.rs",
                "mod.rs",
                "main.rs",
                "src",
                "tests",
                "README.md",
            ];
            // `x/` beside `x.rs` is the same room.
            if furniture.contains(&name) || (path.is_dir() && path.with_extension("rs").exists()) {
                continue;
            }
            let room = format!("{folder}/{name}");
            let below = format!("{room}/");
            assert!(
                mapped
                    .iter()
                    .any(|path| *path == room || path.starts_with(&below)),
                "{room} is not in ARCHITECTURE.md's code map"
            );
        }
    }
}

/// The tests that docs/faults.md names are there, and no fault is without one.
#[test]
fn every_fault_has_its_test() {
    let text = fs::read_to_string(root().join("docs/faults.md")).expect("docs/faults.md");
    let tests: String = ["src", "tests"]
        .into_iter()
        .flat_map(|place| files(place, &|_| false))
        .map(|(_, text)| text)
        .collect();
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| |") && !line.starts_with("| ---"));
    let mut faults = 0;
    for row in rows {
        let names: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        assert!(
            names.iter().any(|name| name.len() > 10),
            "no test shows this: {row}"
        );
        for name in names.iter().filter(|name| name.contains('_')) {
            assert!(
                tests.contains(&format!("fn {name}(")),
                "there is no test {name}: {row}"
            );
        }
        faults += 1;
    }
    assert!(faults > 50, "docs/faults.md has only {faults} faults");
}

/// A file that has become two should be two.
#[test]
fn no_file_has_outgrown_its_room() {
    for place in ALL {
        for (path, text) in sources(place) {
            let lines = code(&text).lines().count();
            assert!(lines <= 500, "{} has {lines} lines of code", path.display());
        }
    }
}

/// Asked to stop in the middle of a fence, the daemon has time to see it through before systemd kills it.
#[test]
fn case_46_the_unit_waits_longer_than_a_fence_takes() {
    let number = |file: &str, before: &str| -> u64 {
        let text = fs::read_to_string(root().join(file)).expect("a readable file");
        let rest = text
            .split(before)
            .nth(1)
            .unwrap_or_else(|| panic!("{file} has no {before}"));
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits
            .parse()
            .unwrap_or_else(|_| panic!("{file}: no number after {before}"))
    };
    let off = number("systemd/lazaret.toml", "#off_deadline_s = ");
    let slack = number("src/cli/serve.rs", "DRAIN_SLACK: Duration = Duration::from_secs(");
    let unit = number("systemd/lazaret.service", "\nTimeoutStopSec=");
    assert!(unit > off + slack, "{unit} s for {off} s and {slack} s");
}
