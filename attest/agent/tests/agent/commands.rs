//! `pin`, `check`, and exit codes.

use std::process::Output;

use crate::lab::{Agent, Swtpm};

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn check_passes_where_the_agent_would_work_and_names_what_is_missing() {
    let mut swtpm = Swtpm::start();
    let agent = Agent::new(&swtpm, "");
    std::fs::write(
        agent.directory.path().join("ima_log"),
        b"10 00 ima-ng x boot_aggregate\n",
    )
    .unwrap();
    let output = agent.command("check").output().unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(text.matches("PASS").count(), 6, "{text}");
    assert!(text.contains("rsa-2048, ecc-p384"), "{text}");
    assert!(
        !agent.directory.path().join("state/ak.cbor").exists(),
        "check made a key"
    );

    std::fs::write(agent.directory.path().join("boot_log"), b"").unwrap();
    std::fs::remove_file(agent.directory.path().join("ima_log")).unwrap();
    swtpm.power_off();
    let output = agent.command("check").output().unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(69), "{text}");
    for failed in [
        "FAIL  tpm",
        "FAIL  boot log",
        "FAIL  ima list",
        "EFI stub",
        "cannot reach the TPM",
    ] {
        assert!(text.contains(failed), "{failed}: {text}");
    }
}

#[test]
fn exit_codes_are_those_of_sysexits() {
    let swtpm = Swtpm::start();
    let agent = Agent::new(&swtpm, "");
    let code = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_lazaret-agent"))
            .args(args)
            .output()
            .unwrap();
        (output.status.code(), told(&output))
    };
    assert_eq!(code(&["--help"]).0, Some(0));
    assert_eq!(code(&["frobnicate"]).0, Some(64));
    let (status, text) = code(&["run", "--config", "/nonexistent"]);
    assert!(status == Some(78) && text.contains("/nonexistent"), "{text}");
    let config = agent.configuration();
    std::fs::write(
        &config,
        std::fs::read_to_string(&config).unwrap() + "frobnicate = 1\n",
    )
    .unwrap();
    for command in ["run", "pin", "check"] {
        let (status, text) = code(&[command, "--config", config.to_str().unwrap()]);
        assert!(
            status == Some(78) && text.contains("line") && text.contains("frobnicate"),
            "{command}: {text}"
        );
    }
}

#[test]
fn an_exposed_tls_key_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let swtpm = Swtpm::start();
    let agent = Agent::new(&swtpm, "");
    agent.pin();
    let key = agent.directory.path().join("state/tls.pem");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&key), mode(key.parent().unwrap())), (0o600, 0o700));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let output = agent.command("pin").output().unwrap();
    assert!(
        output.status.code() == Some(78) && told(&output).contains("chmod 600"),
        "{}",
        told(&output)
    );
}
