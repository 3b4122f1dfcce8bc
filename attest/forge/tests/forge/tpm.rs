//! The forge against real parts: swtpm ends with the same PCRs, and tpm2-tools agree with logs and quotes.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::{Description, Loader, typical_server};
use lazaret_forge::host::HonestHost;
use lazaret_forge::lab::{Lab, LabError};
use lazaret_forge::pcrs::Pcrs;
use lazaret_forge::softtpm::SoftTpm;
use lazaret_forge::swtpm::Swtpm;

use crate::read::{self, Replayed};

/// A swtpm of one test; ended with it.
struct Running {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(banks: &str) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        fs::create_dir(&state).unwrap();
        let setup = Command::new("swtpm_setup")
            .args(["--tpm2", "--pcr-banks", banks, "--logfile"])
            .arg(directory.path().join("setup.log"))
            .arg("--tpm-state")
            .arg(&state)
            .stdout(Stdio::null())
            .status()
            .expect("swtpm_setup is installed");
        assert!(setup.success());
        for port in (41_200..41_300).step_by(2) {
            if let Some(child) = Running::serve(&state, port) {
                return Running {
                    child,
                    port,
                    directory,
                };
            }
        }
        panic!("no free pair of ports from 41200 to 41299");
    }

    /// `None` when another process has the ports.
    fn serve(state: &Path, port: u16) -> Option<Child> {
        let pid = state.join(format!("pid-{port}"));
        let mut child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--server", &format!("type=tcp,port={port},bindaddr=127.0.0.1")])
            .args([
                "--ctrl",
                &format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1),
            ])
            .args(["--tpmstate", &format!("dir={}", state.display())])
            .args(["--pid", &format!("file={}", pid.display())])
            .stderr(Stdio::null())
            .spawn()
            .expect("swtpm is installed");
        let deadline = Instant::now() + Duration::from_secs(10);
        // swtpm binds its sockets before it writes its pid, and ends when it cannot bind.
        while !pid.exists() {
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "swtpm neither starts nor ends");
            std::thread::sleep(Duration::from_millis(2));
        }
        Some(child)
    }

    fn tpm(&self) -> Swtpm {
        Swtpm::at(&format!("127.0.0.1:{}", self.port)).unwrap()
    }

    fn lab(&self) -> Lab {
        Lab::new(&self.directory.path().join("host"), self.tpm())
    }
}

fn hexes(pcrs: &Pcrs) -> Vec<String> {
    pcrs.iter()
        .map(|(bank, index, value)| format!("{bank} {index} {}", hex::encode(value)))
        .collect()
}

/// The PCRs that a description leads to.
fn described(description: &Description) -> Pcrs {
    HonestHost::booted(SoftTpm::p256("any"), description.clone()).pcrs
}

/// The TPM's PCR 10 equals what the two lists on disk replay to.
fn assert_lists_explain_pcr10(lab: &Lab, tpm: &Swtpm) {
    let (mut binary, mut text) = (Replayed::new(), Replayed::new());
    read::ima_binary(&fs::read(lab.ima_binary()).unwrap(), &mut binary);
    read::ima_text(&fs::read(lab.ima_text()).unwrap(), &mut text);
    assert_eq!(binary, text);
    for bank in [Bank::Sha1, Bank::Sha256] {
        assert_eq!(tpm.read(bank, 10).unwrap(), binary[&(bank.id(), 10)], "{bank}");
    }
}

#[test]
fn a_booted_tpm_has_the_described_pcrs() {
    let running = Running::start("sha1,sha256");
    let (lab, tpm) = (running.lab(), running.tpm());
    let banks = tpm.banks().unwrap();
    assert_eq!(banks, [Bank::Sha1, Bank::Sha256]);
    let usual = typical_server();
    let stub = Description {
        loader: Loader::Stub,
        secure_boot: false,
        ..usual.clone()
    };
    let locality = Description {
        startup_locality: 3,
        ..usual.clone()
    };
    for description in [usual, stub, locality] {
        let started = Instant::now();
        let booted = lab.boot(&description).unwrap();
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{booted:?} took {:?}",
            started.elapsed()
        );
        assert_eq!(booted.entries, 301);
        assert_eq!(hexes(&tpm.pcrs(&banks).unwrap()), hexes(&described(&description)));
        assert_eq!(fs::read(lab.boot_log()).unwrap(), description.boot().bytes());
        assert_lists_explain_pcr10(&lab, &tpm);
    }
}

#[test]
fn lists_and_tpm_move_together_and_a_reboot_forgets() {
    let running = Running::start("sha1,sha256");
    let (lab, tpm) = (running.lab(), running.tpm());
    let description = Description {
        banks: Vec::new(),
        ..typical_server()
    };
    lab.boot(&description).unwrap();
    let at_boot = tpm.read(Bank::Sha256, 10).unwrap();

    assert!(lab.measure("/usr/bin/foreign", b"content").unwrap());
    assert_lists_explain_pcr10(&lab, &tpm);
    assert!(lab.violate("/var/log/wtmp").unwrap());
    assert!(lab.violate("/var/log/wtmp").unwrap());
    assert_lists_explain_pcr10(&lab, &tpm);
    let moved = tpm.read(Bank::Sha256, 10).unwrap();
    assert!(!lab.measure("/usr/bin/foreign", b"content").unwrap());
    assert_eq!(tpm.read(Bank::Sha256, 10).unwrap(), moved);

    let kept = lazaret_forge::lab::read_description(&lab.description()).unwrap();
    lab.boot(&kept).unwrap();
    assert_eq!(tpm.read(Bank::Sha256, 10).unwrap(), at_boot);
    assert_lists_explain_pcr10(&lab, &tpm);
}

#[test]
fn a_description_that_leaves_a_bank_out_is_refused_before_anything_moves() {
    let running = Running::start("sha1,sha256");
    let lab = running.lab();
    let description = Description {
        banks: vec![Bank::Sha256],
        ..typical_server()
    };
    let error = lab.boot(&description).unwrap_err();
    assert!(matches!(error, LabError::Banks { .. }), "{error}");
    assert!(!lab.boot_log().exists());
    assert_eq!(running.tpm().read(Bank::Sha256, 0).unwrap(), [0; 32]);
}

#[test]
fn a_dead_tpm_leaves_the_lists_alone() {
    let running = Running::start("sha256");
    let lab = running.lab();
    lab.boot(&Description {
        banks: Vec::new(),
        ..typical_server()
    })
    .unwrap();
    let list = lab.ima_binary();
    let before = fs::read(&list).unwrap();
    let host = running.directory.path().join("host");
    let nobody = Swtpm::at("127.0.0.1:1").unwrap();
    let error = Lab::new(&host, nobody)
        .measure("/usr/bin/x", b"content")
        .unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert_eq!(fs::read(&list).unwrap(), before);
}

/// Runs the binary on a host; what it printed, or the complaint.
fn forge(running: &Running, words: &[&str]) -> Result<String, String> {
    let (verb, rest) = words.split_first().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lazaret-forge"))
        .args([
            verb,
            "--swtpm",
            format!("127.0.0.1:{}", running.port).as_str(),
            "--dir",
        ])
        .arg(running.directory.path().join("host"))
        .args(rest)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

#[test]
fn the_binary_boots_measures_and_reboots_as_it_booted() {
    let running = Running::start("sha1,sha256");
    let (lab, tpm) = (running.lab(), running.tpm());
    let complaint = forge(&running, &["measure", "--path", "/usr/bin/x"]).unwrap_err();
    assert!(
        complaint.contains("description.toml") && complaint.lines().count() == 1,
        "{complaint}"
    );

    forge(&running, &["boot", "--reboot", "--cmdline", "quiet single"]).unwrap();
    let expected = described(&Description {
        command_line: "quiet single".to_owned(),
        ..typical_server()
    });
    assert_eq!(hexes(&tpm.pcrs(&tpm.banks().unwrap()).unwrap()), hexes(&expected));

    assert!(
        forge(&running, &["measure", "--path", "/usr/bin/x", "--text", "one"])
            .unwrap()
            .contains("measured")
    );
    assert!(
        forge(&running, &["measure", "--path", "/usr/bin/x", "--text", "one"])
            .unwrap()
            .contains("already")
    );
    assert!(
        forge(&running, &["measure", "--path", "/usr/bin/x"])
            .unwrap()
            .contains("measured")
    );
    forge(&running, &["violate", "--path", "/usr/bin/x"]).unwrap();
    assert_lists_explain_pcr10(&lab, &tpm);
    assert_eq!(
        read::ima_binary(&fs::read(lab.ima_binary()).unwrap(), &mut Replayed::new()).len(),
        304
    );

    forge(&running, &["boot", "--reboot"]).unwrap();
    assert_eq!(hexes(&tpm.pcrs(&tpm.banks().unwrap()).unwrap()), hexes(&expected));
}

/// The values that tpm2_eventlog replays, as "bank index digest".
fn tpm2_eventlog(log: &Path) -> Vec<String> {
    let output = Command::new("tpm2_eventlog")
        .arg(log)
        .output()
        .expect("tpm2-tools are installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "no complaint about any digest"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, values) = text.split_once("\npcrs:\n").unwrap();
    let mut bank = "";
    let mut replayed = Vec::new();
    for line in values.lines() {
        match line.split_once(" : 0x") {
            Some((index, digest)) => replayed.push(format!("{bank} {} {digest}", index.trim())),
            None => bank = line.trim().trim_end_matches(':'),
        }
    }
    replayed
}

#[test]
fn tpm2_eventlog_replays_our_logs_to_the_same_pcrs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    let usual = typical_server();
    let stub = Description {
        loader: Loader::Stub,
        secure_boot: false,
        ..usual.clone()
    };
    for (description, count) in [(usual, 22), (stub, 18)] {
        fs::write(&file, description.boot().bytes()).unwrap();
        let replayed = tpm2_eventlog(&file);
        assert_eq!(replayed.len(), count, "{replayed:?}");
        let ours = hexes(&description.boot().pcrs());
        for value in replayed {
            assert!(ours.contains(&value), "{value}");
        }
    }
}

#[test]
fn tpm2_checkquote_accepts_our_quotes_and_no_other() {
    for tpm in [SoftTpm::p256("tools"), SoftTpm::rsa2048().unwrap()] {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let evidence = HonestHost::booted(tpm, typical_server())
            .usual_evidence(b"0123456789")
            .unwrap();
        let accepts = |message: &[u8], nonce: &[u8]| {
            fs::write(file("public"), &evidence.ak_public).unwrap();
            fs::write(file("message"), message).unwrap();
            fs::write(file("signature"), &evidence.signature).unwrap();
            let mut command = Command::new("tpm2_checkquote");
            command
                .env("TPM2TOOLS_TCTI", "none")
                .env("TSS2_LOG", "all+none")
                .stdout(Stdio::null());
            for (option, name) in [("-u", "public"), ("-m", "message"), ("-s", "signature")] {
                command.arg(option).arg(file(name));
            }
            let output = command
                .arg("-q")
                .arg(hex::encode(nonce))
                .output()
                .expect("tpm2-tools are installed");
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
        };
        let (accepted, complaint) = accepts(&evidence.quote, b"0123456789");
        assert!(accepted, "{complaint}");
        assert!(!accepts(&evidence.quote, b"0123456780").0);
        let mut changed = evidence.quote.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(!accepts(&changed, b"0123456789").0);
    }
}
