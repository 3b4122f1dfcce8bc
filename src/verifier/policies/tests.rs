//! Policies read again, shared, signed, and refused.

use super::*;

/// 2026-06-01, Unix seconds.
const NOW: i64 = 1_780_272_000;

#[test]
fn a_list_outside_the_policys_folder_is_refused() {
    for name in ["../secret", "/etc/shadow", "a/../../b", ""] {
        assert!(beside(Path::new("/etc/lazaret/golden"), name).is_err(), "{name}");
    }
    assert_eq!(
        beside(Path::new("/g"), "lists/a.sha256"),
        Ok(PathBuf::from("/g/lists/a.sha256"))
    );
}

#[test]
fn a_policy_that_changes_within_a_tick_of_its_clock_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cmp-1.toml");
    let write = |digit: &str| {
        let text = format!(
            "name = \"x\"\nversion = 1\n[pcrs.sha256]\n0 = [\"{}\"]\n",
            digit.repeat(64)
        );
        fs::write(&path, text).unwrap();
        // As two writings within one tick have it.
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(1))
            .unwrap();
    };
    let policies = Policies::default();
    write("a");
    let first = policies.at(&path, None, NOW).unwrap().policy.digest();
    write("b");
    assert_ne!(policies.at(&path, None, NOW).unwrap().policy.digest(), first);

    let old = SystemTime::now() - SETTLED - Duration::from_secs(60);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(old)
        .unwrap();
    let kept = policies.at(&path, None, NOW).unwrap();
    assert!(
        Arc::ptr_eq(&kept, &policies.at(&path, None, NOW).unwrap()),
        "read once when it has settled"
    );
}

#[test]
fn a_policy_that_is_replaced_while_it_is_read_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let list = format!("{}  /a\n", "ab".repeat(32));
    // As `mv` leaves it: the file was written long ago.
    let put = |name: &str, text: &str| {
        fs::write(at("new"), text).unwrap();
        let file = fs::File::options().write(true).open(at("new")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
        fs::rename(at("new"), at(name)).unwrap();
    };
    let policy = |name: &str| format!("name = \"{name}\"\nversion = 1\n[ima]\nlists = [\"l.sha256\"]\n");
    put("p.toml", &policy("old"));
    let made = std::process::Command::new("mkfifo").arg(at("l.sha256")).status();
    assert!(made.unwrap().success());
    let policies = Policies::default();
    let name = || {
        policies
            .at(&at("p.toml"), None, NOW)
            .unwrap()
            .policy
            .name()
            .to_owned()
    };
    std::thread::scope(|threads| {
        let first = threads.spawn(name);
        // Opens when the policy was read and its list is being read.
        let mut pipe = fs::File::options().write(true).open(at("l.sha256")).unwrap();
        put("p.toml", &policy("new"));
        put("l.sha256", &list);
        std::io::Write::write_all(&mut pipe, list.as_bytes()).unwrap();
        drop(pipe);
        assert_eq!(first.join().unwrap(), "old");
    });
    assert_eq!(name(), "new");
}

#[test]
fn a_policy_of_other_bytes_than_text_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.toml");
    fs::write(&path, b"name = \"x\"\nversion = \xff\n").unwrap();
    let error = Policies::default().at(&path, None, NOW).unwrap_err();
    assert!(
        matches!(&error, PolicyFileError::Wrong { source, .. } if source.line == 2),
        "{error}"
    );
}

#[test]
fn a_missing_policy_says_how_to_make_one() {
    let error = Policies::default()
        .at(Path::new("/nonexistent/cmp-1.toml"), None, NOW)
        .unwrap_err();
    assert!(error.to_string().contains("golden capture"), "{error}");
}

/// Made by OpenSSH with throwaway keys; see the core's tests.
const SIGNED: &str = include_str!("../../../attest/tests/signatures/policy.toml");
const SIGNATURE: &str = include_str!("../../../attest/tests/signatures/ed25519.sig");
const OTHER: &str = include_str!("../../../attest/tests/signatures/ecdsa256.sig");
const KEY: &str = include_str!("../../../attest/tests/signatures/ed25519.pub");

#[test]
fn where_signers_are_named_only_a_signed_policy_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let (path, signers) = (folder.path().join("p.toml"), folder.path().join("signers"));
    let policies = Policies::new(Some(signers.clone()));
    fs::write(&path, SIGNED).unwrap();
    let refused = |policies: &Policies, says: &str| {
        let error = policies.at(&path, None, NOW).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(&policies, "signers");
    fs::write(&signers, format!("ops {KEY}")).unwrap();
    refused(&policies, "ssh-keygen -Y sign -n lazaret-policy");
    fs::write(signature_of(&path), OTHER).unwrap();
    refused(&policies, "not among the allowed signers");
    fs::write(signature_of(&path), SIGNATURE).unwrap();
    let golden = policies.at(&path, None, NOW).unwrap();
    assert!(golden.is_signed());
    assert_eq!(golden.text.signature.as_deref(), Some(SIGNATURE));
    fs::write(&path, format!("{SIGNED}# changed\n")).unwrap();
    refused(&policies, "not made over this text");
    assert!(!Policies::default().at(&path, None, NOW).unwrap().is_signed());
    fs::write(&path, SIGNED).unwrap();
    fs::write(&signers, format!("ops no-such-option {KEY}")).unwrap();
    refused(&policies, "line 1");
}

#[test]
fn a_signers_time_ends_though_no_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (path, signers) = (folder.path().join("p.toml"), folder.path().join("signers"));
    let files = [
        (&path, SIGNED.to_owned()),
        (&signature_of(&path), SIGNATURE.to_owned()),
        (&signers, format!("ops valid-before=\"20260601000010Z\" {KEY}")),
    ];
    for (path, text) in files {
        fs::write(path, text).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
    }
    let policies = Policies::new(Some(signers));
    let golden = policies.at(&path, None, NOW).unwrap();
    assert!(
        Arc::ptr_eq(&golden, &policies.at(&path, None, NOW + 9).unwrap()),
        "kept"
    );
    let error = policies.at(&path, None, NOW + 10).unwrap_err().to_string();
    assert!(error.contains("until 2026-06-01T00:00:10Z only"), "{error}");
}

#[test]
fn policies_share_their_digest_lists_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}  /a\n", "ab".repeat(32));
    let policies = Policies::default();
    let mut golden = Vec::new();
    for name in ["a", "b"] {
        let list = folder.path().join(format!("{name}.sha256"));
        fs::write(&list, &text).unwrap();
        let path = folder.path().join(format!("{name}.toml"));
        let toml = format!("name = \"{name}\"\nversion = 1\n[ima]\nlists = [\"{name}.sha256\"]\n");
        fs::write(&path, toml).unwrap();
        golden.push(policies.at(&path, None, NOW).unwrap());
    }
    let lists: Vec<_> = golden
        .iter()
        .flat_map(|golden| golden.policy.ima().unwrap().lists())
        .collect();
    assert!(Arc::ptr_eq(lists[0], lists[1]));
    // The text that a bundle carries is the same memory.
    let FileText::List(carried) = &golden[0].text.lists["a.sha256"] else {
        panic!("a list")
    };
    assert!(Arc::ptr_eq(carried, lists[0]));
}
