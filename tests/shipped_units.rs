//! The shipped systemd files: every line that restricts says why, and systemd itself takes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn shipped(endings: &[&str]) -> Vec<(PathBuf, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted))
    });
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

#[test]
fn every_sandbox_line_says_why() {
    let units = shipped(&["service"]);
    assert!(units.iter().any(|(path, _)| path.ends_with("lazaret.service")));
    for (path, text) in units {
        let mut explained = false;
        let mut service = false;
        for line in text.lines() {
            if line.starts_with('[') {
                service = line == "[Service]";
            } else if line.is_empty() {
                explained = false;
            } else if line.starts_with("# ") {
                explained = true;
            } else if service && !line.starts_with('#') {
                let plain = ["Type=", "ExecStart="].iter().any(|key| line.starts_with(key));
                assert!(explained || plain, "{}: nothing says why: {line}", path.display());
            }
        }
    }
}

#[test]
fn the_daemon_is_confined() {
    let (_, unit) = shipped(&["service"])
        .into_iter()
        .find(|(path, _)| path.ends_with("lazaret.service"))
        .unwrap();
    for line in [
        "Type=notify",
        "User=lazaret",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
        "StateDirectory=lazaret",
        "PrivateDevices=yes",
    ] {
        assert!(unit.lines().any(|found| found == line), "no line {line}");
    }
}

#[test]
fn every_directory_and_account_says_what_it_is_for() {
    let files = shipped(&["tmpfiles", "sysusers"]);
    assert!(files.len() >= 2);
    for (path, text) in files {
        let mut before = "";
        for line in text.lines() {
            let explained =
                before.starts_with('#') || path.extension().is_some_and(|ending| ending == "sysusers");
            assert!(
                line.starts_with('#') || explained,
                "{}: nothing says why: {line}",
                path.display()
            );
            before = line;
        }
        assert!(text.starts_with("# "), "{}", path.display());
    }
}

/// What the sample configuration's defaults need is made by tmpfiles or by the unit.
#[test]
fn every_default_directory_is_made() {
    let (_, tmpfiles) = shipped(&["tmpfiles"])
        .into_iter()
        .find(|(path, _)| path.ends_with("lazaret.tmpfiles"))
        .unwrap();
    let made: Vec<_> = tmpfiles
        .lines()
        .filter_map(|line| line.strip_prefix("d ")?.split(' ').next())
        .collect();
    let config = lazaret::config::Config::parse("", Path::new("/etc/lazaret/lazaret.toml")).unwrap();
    for needed in [
        config.path.parent(),
        config.store.path.parent(),
        config.identity.directory.parent(),
        Some(config.enrolment.roots.as_path()),
        Path::new(&config.appraisal.policy_template).parent(),
    ] {
        let needed = needed.unwrap().to_str().unwrap();
        assert!(made.contains(&needed), "{needed} is not among {made:?}");
    }
}

/// Where systemd is there to ask.
#[test]
fn systemd_takes_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    for (path, text) in shipped(&["service"]) {
        // The programs are not installed where tests run; what is asked about is the rest.
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join(path.file_name().unwrap());
        let installed: String = text
            .lines()
            .map(|line| {
                if line.starts_with("ExecStart=") {
                    "ExecStart=/bin/true\n".to_owned()
                } else {
                    format!("{line}\n")
                }
            })
            .collect();
        fs::write(&copy, installed).unwrap();
        let answer = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&copy)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&answer.stderr);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let about_it: Vec<_> = said.lines().filter(|line| line.contains(&name)).collect();
        assert!(about_it.is_empty(), "{about_it:#?}");
    }
}
