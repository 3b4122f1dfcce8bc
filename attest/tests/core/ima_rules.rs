//! Rules of `[ima]`: signed files and their keys, protected paths, policy loads, lags; and lists that the kernel trimmed.

use lazaret_attest::claims::BootAggregate;
use lazaret_attest::finding::Code;
use lazaret_attest::ima::Keyring;
use lazaret_attest::policy::Policy;
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::ima::{Entry, FileSigner, Template, signer};

use crate::host::{Host, NOW, expect};

const DAY: i64 = 86_400;

/// A certificate of the signer's key, valid from a day of 2026-06 (counted from 1) for some days, as PEM and DER.
fn certificate(signer: &FileSigner, first_day: u8, days: u8) -> (String, Vec<u8>) {
    let key = rcgen::KeyPair::try_from(signer.pkcs8()).unwrap();
    let mut params = certificate_params(first_day, days);
    // As evmctl and openssl do it; rcgen's own default is SHA-256.
    params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(signer.key_digest());
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), certificate.der().to_vec())
}

fn certificate_params(first_day: u8, days: u8) -> rcgen::CertificateParams {
    let mut params = rcgen::CertificateParams::default();
    // Only then does rcgen write a key identifier.
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.not_before = rcgen::date_time_ymd(2026, 6, first_day);
    params.not_after = rcgen::date_time_ymd(2026, 6, first_day + days);
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "file signing");
    params
}

/// A policy over the host's honest files, with more rules and one keyring.
fn rules(host: &Host, more: &str, keyring: &str) -> Policy {
    let toml = format!("name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]\n{more}\n");
    let list = host.ima.digest_list();
    let read = |name: &str| {
        Ok(match name {
            "k.pem" => keyring.to_owned(),
            _ => list.clone(),
        })
    };
    let mut read = read;
    Policy::parse(&toml, &mut read).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

const SIGNED: &str = "keyrings = [\"k.pem\"]\nsigned = [\"/usr/**\"]";

fn signed_file(template: Template, path: &str, content: &[u8], signature: Vec<u8>) -> Entry {
    Entry {
        attachment: signature,
        ..Entry::new(template, Bank::Sha256, path, Bank::Sha256.hash(&[content]))
    }
}

#[track_caller]
fn refused(result: &AttestationResult, reason: &str) {
    expect(result, Verdict::Contraindicated, &[Code::ImaSignatureRefused]);
    let found = result.findings[0].found.clone().unwrap();
    assert!(found.contains(reason), "{found}");
}

#[test]
fn a_file_signed_by_a_key_of_the_keyring_is_golden_without_a_digest_in_any_list() {
    for signer in [FileSigner::p256().unwrap(), FileSigner::rsa2048().unwrap()] {
        let (pem, _) = certificate(&signer, 1, 10);
        for text in [false, true] {
            let mut host = Host::new();
            host.text = text;
            host.now = NOW + DAY;
            let policy = rules(&host, SIGNED, &pem);
            let signature = signer.file(Bank::Sha256, b"new");
            host.ima
                .push(signed_file(Template::ImaSig, "/usr/bin/new", b"new", signature));
            let typed = signer.typed(signer::KIND_FILE, Bank::Sha256, &Bank::Sha256.hash(&[b"v3"]));
            host.ima
                .push(signed_file(Template::ImaSigv2, "/usr/bin/v3", b"v3", typed));
            let result = host.round(&policy);
            expect(&result, Verdict::Affirming, &[]);
            assert_eq!(result.claims.ima.unwrap().signed_files, 2);
        }
    }
}

#[test]
fn case_65_a_signature_outside_its_paths_keyring_or_time_is_refused() {
    let signer = FileSigner::p256().unwrap();
    let other = FileSigner::p256().unwrap();
    let (pem, _) = certificate(&signer, 2, 2);
    let run = |path: &str, content: &[u8], signature: Vec<u8>, now: i64| {
        let mut host = Host::new();
        host.now = now;
        let policy = rules(&host, SIGNED, &pem);
        host.ima
            .push(signed_file(Template::ImaSig, path, content, signature));
        host.round(&policy)
    };
    let good = || signer.file(Bank::Sha256, b"x");
    let in_time = NOW + DAY + DAY / 2;
    expect(&run("/usr/bin/x", b"x", good(), in_time), Verdict::Affirming, &[]);
    refused(&run("/usr/bin/x", b"x", good(), NOW), "not valid yet");
    refused(&run("/usr/bin/x", b"x", good(), NOW + 4 * DAY), "expired");
    refused(&run("/usr/bin/x", b"y", good(), in_time), "did not sign");
    refused(
        &run("/usr/bin/x", b"x", other.file(Bank::Sha256, b"x"), in_time),
        "no key",
    );
    refused(&run("/usr/bin/x", b"x", Vec::new(), in_time), "no signature");
    refused(&run("/usr/bin/x", b"x", vec![3, 2, 4], in_time), "cannot be read");
    // Another's signature under the name of a known key.
    let mut posing = other.clone();
    posing.key_id = signer.key_id;
    refused(
        &run("/usr/bin/x", b"x", posing.file(Bank::Sha256, b"x"), in_time),
        "did not sign",
    );
    // EVM's portable signature is over other things.
    let evm = signer.attribute(signer::KIND_EVM, 2, Bank::Sha256, b"x");
    refused(&run("/usr/bin/x", b"x", evm, in_time), "metadata");
    // SHA-1 proves nothing, whoever signed.
    let weak = signer.attribute(signer::KIND_FILE, 2, Bank::Sha1, b"x");
    refused(&run("/usr/bin/x", b"x", weak, in_time), "algorithm");
    // Elsewhere signatures are not asked for.
    let elsewhere = run("/opt/x", b"x", good(), in_time);
    expect(&elsewhere, Verdict::Contraindicated, &[Code::ImaFileUnknown]);
}

#[test]
fn case_64_a_verity_digest_posing_as_a_file_digest_is_refused() {
    let signer = FileSigner::p256().unwrap();
    let (pem, _) = certificate(&signer, 1, 10);
    let digest = Bank::Sha256.hash(&[b"x"]);
    let run = |verity: bool, path: &str, signature: Vec<u8>| {
        let mut host = Host::new();
        host.now = NOW + DAY;
        host.ima.measure("/opt/known", b"x");
        let policy = rules(&host, SIGNED, &pem);
        host.ima.push(Entry {
            verity,
            attachment: signature,
            ..Entry::new(Template::ImaSigv2, Bank::Sha256, path, digest.clone())
        });
        host.round(&policy)
    };
    // The bytes of a golden digest, labelled as another kind: not compared.
    expect(
        &run(true, "/opt/known", Vec::new()),
        Verdict::Indeterminate,
        &[Code::ImaDigestKind],
    );
    expect(
        &run(true, "/opt/foreign", Vec::new()),
        Verdict::Contraindicated,
        &[Code::ImaFileUnknown],
    );
    // A signature of one kind beside a digest of the other.
    let of_tree = || signer.typed(signer::KIND_VERITY, Bank::Sha256, &digest);
    let of_file = || signer.file(Bank::Sha256, b"x");
    expect(&run(true, "/usr/bin/x", of_tree()), Verdict::Affirming, &[]);
    refused(&run(false, "/usr/bin/x", of_tree()), "another kind");
    refused(&run(true, "/usr/bin/x", of_file()), "another kind");
    refused(
        &run(
            true,
            "/usr/bin/x",
            signer.typed(signer::KIND_FILE, Bank::Sha256, &digest),
        ),
        "another kind",
    );
    // Version 2 says nothing of the kind, whatever its first byte is.
    refused(
        &run(
            true,
            "/usr/bin/x",
            signer.attribute(signer::KIND_VERITY, 2, Bank::Sha256, b"x"),
        ),
        "another kind",
    );
    refused(
        &run(
            false,
            "/usr/bin/x",
            signer.attribute(signer::KIND_FILE, 3, Bank::Sha256, b"x"),
        ),
        "did not sign",
    );
}

#[test]
fn case_66_a_key_learned_after_its_use_is_told_over_rounds_as_well() {
    let signer = FileSigner::p256().unwrap();
    let (pem, der) = certificate(&signer, 1, 10);
    let file = || {
        signed_file(
            Template::ImaSig,
            "/usr/bin/x",
            b"x",
            signer.file(Bank::Sha256, b"x"),
        )
    };
    let key = |keyring: &str| Entry::buffer(Bank::Sha256, keyring, &der);
    let run = |entries: Vec<Entry>| {
        let mut host = Host::new();
        host.now = NOW + DAY;
        let policy = rules(&host, SIGNED, &pem);
        for entry in entries {
            host.ima.push(entry);
        }
        host.round(&policy)
    };
    expect(
        &run(vec![key(".ima"), file(), key(".machine")]),
        Verdict::Affirming,
        &[],
    );
    let late = run(vec![file(), key(".ima")]);
    expect(&late, Verdict::Warning, &[Code::ImaKeyAfterUse]);
    let events = late.claims.ima.unwrap().events;
    assert_eq!(
        (events[0].subject.as_str(), events[0].name.as_str()),
        ("key", ".ima")
    );
    assert!(events[0].keys.iter().any(|id| id.0 == signer.key_id));

    let mut host = Host::new();
    host.now = NOW + DAY;
    let policy = rules(&host, SIGNED, &pem);
    host.ima.push(file());
    let history = host.round(&policy).history.unwrap();
    host.ima.push(key(".ima"));
    let first = history.ima.as_ref().unwrap().entries;
    let next = host.round_from(&policy, Some(&history), first);
    expect(&next, Verdict::Warning, &[Code::ImaKeyAfterUse]);
}

#[test]
fn certificates_that_call_a_known_key_by_ever_new_ids_leave_nothing_behind() {
    let signer = FileSigner::p256().unwrap();
    let (pem, _) = certificate(&signer, 1, 10);
    let mut host = Host::new();
    host.now = NOW + DAY;
    let policy = rules(&host, SIGNED, &pem);
    for number in 0..20 {
        let mut other = certificate_params(1, 10);
        other.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![number; 20]);
        let der = other
            .self_signed(&rcgen::KeyPair::try_from(signer.pkcs8()).unwrap())
            .unwrap();
        host.ima.push(Entry::buffer(Bank::Sha256, ".machine", der.der()));
    }
    let result = host.round(&policy);
    expect(&result, Verdict::Affirming, &[]);
    let keys = result.history.unwrap().ima.unwrap().keys;
    let learned: Vec<[u8; 4]> = keys.learned.iter().map(|id| id.0).collect();
    assert_eq!(learned, [signer.key_id]);
}

#[test]
fn a_key_that_is_in_no_keyring_of_the_policy_is_told_and_can_be_listed() {
    let signer = FileSigner::p256().unwrap();
    let (_, der) = certificate(&signer, 1, 10);
    for listed in [false, true] {
        let mut host = Host::new();
        if listed {
            host.ima.push(Entry::buffer(Bank::Sha256, ".ima", &der));
        }
        let policy = rules(&host, "", "");
        host.ima.push(Entry::buffer(Bank::Sha256, ".ima", &der));
        let result = host.round(&policy);
        if listed {
            expect(&result, Verdict::Affirming, &[]);
        } else {
            expect(&result, Verdict::Warning, &[Code::ImaKeyNotGolden]);
        }
    }
}

#[test]
fn a_keyring_holds_certificates_and_keys_that_may_sign_and_says_which_line_is_none() {
    let signer = FileSigner::p256().unwrap();
    let (pem, _) = certificate(&signer, 1, 10);
    let good = Keyring::parse("k", &format!("words before\n{pem}\n{pem}")).unwrap();
    assert_eq!(good.keys().len(), 2);
    assert!(good.keys()[0].subject().contains("file signing"));
    assert_eq!(
        good.keys()[0].ids().iter().map(|id| id.0).collect::<Vec<_>>(),
        [signer.key_id]
    );

    let lines = pem.lines().count();
    let broken = pem.replacen("MI", "!!", 1);
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let cases = [
        (String::new(), 1, "no PEM block"),
        (format!("{pem}{private}"), lines + 1, "CERTIFICATE and PUBLIC KEY"),
        (format!("{pem}{broken}"), lines + 1, "base64"),
        (pem.replace("-----END CERTIFICATE-----", ""), 1, "no end"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            1,
            "cannot be read",
        ),
    ];
    for (text, line, reason) in cases {
        let error = Keyring::parse("k", &text).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.reason.contains(reason), "{error}");
    }
    let mut params = rcgen::CertificateParams::default();
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let authority = params
        .self_signed(&rcgen::KeyPair::try_from(signer.pkcs8()).unwrap())
        .unwrap();
    let error = Keyring::parse("k", &authority.pem()).unwrap_err();
    assert!(error.reason.contains("digital signatures"), "{error}");
}

#[test]
fn case_61_a_violation_on_a_protected_path_is_graver_than_elsewhere() {
    for (path, code, verdict) in [
        (
            "/usr/bin/kmod",
            Code::ImaViolationProtected,
            Verdict::Indeterminate,
        ),
        ("/var/log/x", Code::ImaViolation, Verdict::Warning),
        ("/usrlocal/x", Code::ImaViolation, Verdict::Warning),
    ] {
        for text in [false, true] {
            let mut host = Host::new();
            host.text = text;
            let policy = rules(&host, "protected = [\"/usr/**\", \"/etc/**\"]", "");
            host.ima.violation(path);
            expect(&host.round(&policy), verdict, &[code]);
        }
    }
}

#[test]
fn case_69_an_ima_policy_that_was_loaded_is_told_unless_it_is_allowed() {
    let rules_text = b"measure func=BPRM_CHECK\n";
    let allowed: String = Bank::Sha256
        .hash(&[rules_text])
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let file = |content: &[u8]| {
        let digest = Bank::Sha256.hash(&[content]);
        Entry::new(Template::ImaSig, Bank::Sha256, "/etc/ima/ima-policy", digest)
    };
    let run = |entry: Entry, allow: bool| {
        let mut host = Host::new();
        let more = if allow {
            format!("policies = [\"{allowed}\"]")
        } else {
            String::new()
        };
        let policy = rules(&host, &more, "");
        host.ima.push(entry);
        host.round(&policy)
    };
    for event in ["ima_policy_loaded", "ima_policy_written"] {
        expect(
            &run(Entry::buffer(Bank::Sha256, event, rules_text), true),
            Verdict::Affirming,
            &[],
        );
        expect(
            &run(Entry::buffer(Bank::Sha256, event, b"dont_measure\n"), true),
            Verdict::Indeterminate,
            &[Code::ImaPolicyLoaded],
        );
        expect(
            &run(Entry::buffer(Bank::Sha256, event, rules_text), false),
            Verdict::Indeterminate,
            &[Code::ImaPolicyLoaded],
        );
    }
    expect(&run(file(rules_text), true), Verdict::Affirming, &[]);
    expect(
        &run(file(b"dont_measure\n"), true),
        Verdict::Indeterminate,
        &[Code::ImaPolicyLoaded],
    );
    let told = run(file(rules_text), false);
    expect(&told, Verdict::Indeterminate, &[Code::ImaPolicyLoaded]);
    assert_eq!(told.claims.ima.unwrap().events[0].subject, "ima-policy");
}

#[test]
fn case_57_a_kernel_that_was_loaded_for_kexec_is_told() {
    for event in ["kexec-cmdline", "kexec_load", "kexec_execute"] {
        let mut host = Host::new();
        let policy = rules(&host, "", "");
        host.ima
            .push(Entry::buffer(Bank::Sha256, event, b"root=/dev/evil"));
        let result = host.round(&policy);
        expect(&result, Verdict::Indeterminate, &[Code::ImaKexec]);
        assert!(
            result.findings[0]
                .found
                .as_ref()
                .unwrap()
                .contains("root=/dev/evil")
        );
    }
}

#[test]
fn critical_data_is_compared_by_its_name_and_a_digest_that_is_not_its_own_is_none() {
    let run = |data: &[u8], digest: Option<Vec<u8>>| {
        let mut host = Host::new();
        host.ima
            .push(Entry::buffer(Bank::Sha256, "kernel_version", b"6.1.0"));
        let policy = rules(&host, "", "");
        host.ima.entries.pop();
        let mut entry = Entry::buffer(Bank::Sha256, "kernel_version", data);
        if let Some(digest) = digest {
            entry.file_digest = digest;
        }
        host.ima.entries.push(entry);
        host.round(&policy)
    };
    expect(&run(b"6.1.0", None), Verdict::Affirming, &[]);
    expect(&run(b"6.1.1", None), Verdict::Warning, &[Code::ImaDataNotGolden]);
    let golden = Bank::Sha256.hash(&[b"6.1.0"]);
    expect(
        &run(b"6.1.1", Some(golden)),
        Verdict::Warning,
        &[Code::ImaDataNotGolden],
    );
}

#[test]
fn case_71_what_ran_from_memory_is_told_as_a_blind_spot() {
    for path in ["memfd:payload", "/memfd:payload", "/dev/shm/x", "/run/x"] {
        let mut host = Host::new();
        let policy = rules(&host, "", "");
        host.ima.measure(path, b"payload");
        expect(
            &host.round(&policy),
            Verdict::Contraindicated,
            &[Code::ImaBlindSpot, Code::ImaFileUnknown],
        );
    }
    let mut host = Host::new();
    let policy = rules(&host, "", "");
    host.ima.measure("/opt/x", b"payload");
    let result = host.round(&policy);
    assert!(
        result
            .findings
            .iter()
            .all(|finding| finding.code != Code::ImaBlindSpot)
    );
}

#[test]
fn a_list_proven_by_sha1_alone_is_told() {
    let mut host = Host::new();
    let policy = rules(&host, "", "");
    host.padded = true;
    expect(&host.round(&policy), Verdict::Warning, &[Code::ImaSha1Only]);
    host.padded = false;
    expect(&host.round(&policy), Verdict::Affirming, &[]);
    host.selection = "sha1:10+sha256:0,1,2,3,4,5,6,7,8,9";
    let result = host.round(&policy);
    expect(&result, Verdict::Warning, &[Code::ImaSha1Only]);
    assert!(result.claims.ima.unwrap().by_sha1_alone);
}

#[test]
fn case_58_boot_aggregate_is_compared_by_the_old_formula_as_well() {
    let mut host = Host::new();
    let policy = rules(&host, "", "");
    let pcrs = host.boot.pcrs();
    let old: Vec<&[u8]> = (0..8)
        .map(|index| pcrs.value(Bank::Sha256, index).unwrap())
        .collect();
    host.ima.entries[0].file_digest = Bank::Sha256.hash(&old);
    let result = host.round(&policy);
    expect(&result, Verdict::Affirming, &[]);
    assert_eq!(result.claims.ima.unwrap().boot_aggregate, BootAggregate::Matches);
    // PCR 8 and 9 are not quoted: a digest that is not the old formula's may be the new one's.
    host.selection = "sha256:0,1,2,3,4,5,6,7,10";
    expect(&host.round(&policy), Verdict::Affirming, &[]);
    host.ima.entries[0].file_digest[0] ^= 1;
    expect(
        &host.round(&policy),
        Verdict::Warning,
        &[Code::ImaBootAggregateUnproven],
    );
    host.selection = "sha256:0,1,2,3,4,5,6,7,8,9,10";
    expect(
        &host.round(&policy),
        Verdict::Contraindicated,
        &[Code::ImaBootAggregateDiffers],
    );
}

/// A kernel that trims its list: what we covered may be gone, nothing else.
#[test]
fn case_56_a_trimmed_list_passes_only_where_a_checkpoint_covers_its_head() {
    for text in [false, true] {
        let mut host = Host::new();
        host.text = text;
        let policy = rules(&host, "", "");
        let history = host.round(&policy).history.unwrap();
        let covered = usize::try_from(history.ima.as_ref().unwrap().entries).unwrap();
        host.ima.measure("/usr/bin/later", b"later");
        host.ima.measure("/usr/bin/last", b"last");
        let policy_knows = { rules(&host, "", "") };
        let history = lazaret_attest::result::History {
            policy_digest: policy_knows.digest_at(host.now),
            ..history
        };
        let list = |first: usize| {
            if text {
                host.ima.text_from(first)
            } else {
                host.ima.binary_from(first)
            }
        };
        for first in [covered, covered - 1, 3, 1] {
            let challenge = host.challenge(0);
            for told in [0, u64::try_from(first).unwrap()] {
                let mut evidence = host.clone().answer(&challenge);
                evidence.ima_log = list(first);
                evidence.ima_first = told;
                let with = host.judge(&evidence, &challenge, &policy_knows, Some(&history));
                expect(&with, Verdict::Affirming, &[]);
                let ima = with.claims.ima.unwrap();
                assert_eq!((ima.first, ima.covered), (covered as u64, covered as u64 + 2));
                let without = host.judge(&evidence, &challenge, &policy_knows, None);
                expect(&without, Verdict::Indeterminate, &[Code::ImaListTrimmed]);
            }
        }
        // Trimmed behind our checkpoint: what lies between was never appraised.
        let challenge = host.challenge(0);
        let mut evidence = host.clone().answer(&challenge);
        evidence.ima_log = list(covered + 1);
        let behind = host.judge(&evidence, &challenge, &policy_knows, Some(&history));
        expect(&behind, Verdict::Indeterminate, &[Code::ImaListTrimmed]);
        assert_eq!(
            behind.history.unwrap().ima,
            history.ima,
            "the checkpoint is not lost"
        );
        // A list with its head whose entries were changed is not trimmed but wrong, checkpoint or not.
        let mut forged = host.clone();
        forged.ima.entries.remove(2);
        evidence.ima_log = if text {
            forged.ima.text()
        } else {
            forged.ima.binary()
        };
        let wrong = host.judge(&evidence, &challenge, &policy_knows, Some(&history));
        expect(&wrong, Verdict::Contraindicated, &[Code::ImaReplayMismatch]);
    }
}

/// The kernel's own time between listing and extending is short; a policy may give it some, and no longer.
#[test]
fn case_54_a_lag_lasts_as_long_as_the_policy_allows() {
    let mut host = Host::new();
    let policy = rules(&host, "lag_limit_s = 600", "");
    host.covered = Some(host.ima.entries.len());
    host.ima.measure("/usr/bin/evil", b"evil");
    let mut history = host.round(&policy).history.unwrap();
    for (seconds, lags) in [
        (10, false),
        (599, false),
        (600, true),
        (100_000, true),
        (-5, true),
    ] {
        host.now = NOW + seconds;
        let result = host.round_from(&policy, Some(&history), 0);
        if lags {
            expect(&result, Verdict::Indeterminate, &[Code::ImaLag]);
        } else {
            expect(&result, Verdict::Affirming, &[]);
            history = result.history.unwrap();
        }
    }
    // It catches up, and a new tail has its own time.
    host.now = NOW + 700;
    host.covered = None;
    let caught = host.round_from(&policy, Some(&history), 0);
    assert!(caught.findings.iter().all(|finding| finding.code != Code::ImaLag));
    let history = caught.history.unwrap();
    host.covered = Some(host.ima.entries.len());
    host.ima.measure("/usr/bin/more", b"more");
    let history = host.round_from(&policy, Some(&history), 0).history.unwrap();
    assert_eq!(history.ima_listed_at, NOW + 700);
}
