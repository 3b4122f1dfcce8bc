//! Forms of boot logs: what real firmware writes, what is passed over, and what is refused with its offset.

use lazaret_attest::boot_log::{BootLog as Parsed, BootLogError, EventType as Kind, Form, Inspection};
use lazaret_attest::claims::SecureBoot;
use lazaret_attest::finding::Code;
use lazaret_attest::pcr::HashAlg;
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::data::Out;
use lazaret_forge::bootlog::event::EventType;
use lazaret_forge::bootlog::modern::{PHASES, announce, sp800_155_event};
use lazaret_forge::bootlog::{BootLog, LogForm, typical_server};
use lazaret_forge::pcrs::Pcrs;

use crate::host::{Host, expect, policy};

const SECTIONS: [(&str, &[u8]); 3] = [
    (".osrel", b"ID=example"),
    (".linux", b"a kernel"),
    (".initrd", b"an initrd"),
];

#[test]
fn reference_manifests_and_other_events_that_are_not_extended_change_nothing() {
    for form in [LogForm::CryptoAgile, LogForm::Sha1Only] {
        let mut boot = typical_server().boot();
        boot.form = form;
        let plain = Inspection::of(&boot.bytes()).unwrap();
        boot.events.insert(0, sp800_155_event());
        boot.push(sp800_155_event());
        let with = Inspection::of(&boot.bytes()).unwrap();
        assert_eq!(
            (with.events, &with.pcrs),
            (plain.events + 2, &plain.pcrs),
            "{form:?}"
        );
    }
}

#[test]
fn a_log_of_nothing_but_a_startup_locality_starts_pcr_0_there() {
    let mut out = Out::new();
    out.sha1_record(0, EventType::NO_ACTION, &[0; 20], b"StartupLocality\0\x03");
    let found = Inspection::of(&out.into_bytes()).unwrap();
    assert_eq!(found.events, 1);
    let zeros_then_3 = format!("{}03", "00".repeat(19));
    assert_eq!(found.pcrs[&HashAlg::Sha1][&0], zeros_then_3);
    assert_eq!(found.pcrs[&HashAlg::Sha1].len(), 1);
}

/// A header with a bank that nobody here knows, and one event.
fn with_bank(alg: u16, size: u16, digest: &[u8]) -> Vec<u8> {
    let mut header = Out::new();
    header.raw(b"Spec ID Event03\0").u32(0).raw(&[0, 2, 0, 2]).u32(2);
    header.u16(alg).u16(size).u16(0x000B).u16(32).raw(&[0]);
    let mut out = Out::new();
    out.sha1_record(0, EventType::NO_ACTION, &[0; 20], &header.into_bytes());
    out.u32(7).u32(4).u32(2);
    out.u16(alg)
        .raw(digest)
        .u16(0x000B)
        .raw(&Bank::Sha256.hash(&[&[0; 4]]));
    out.len32(&[0; 4]).raw(&[0; 4]);
    out.into_bytes()
}

#[test]
fn banks_that_are_not_known_are_passed_over_by_the_size_that_the_header_declares() {
    // SM3_256, SHA3-256, SHA3-512, one that does not exist yet.
    for (alg, size) in [(0x0012, 32), (0x0027, 32), (0x0029, 64), (0x7777, 5)] {
        let log = with_bank(alg, size, &vec![0xAA; usize::from(size)]);
        let parsed = Parsed::parse(&log).unwrap();
        assert_eq!(parsed.form(), Form::CryptoAgile);
        assert_eq!(parsed.unknown_banks().collect::<Vec<_>>(), [alg]);
        let found = Inspection::of(&log).unwrap();
        assert_eq!(found.pcrs.keys().collect::<Vec<_>>(), [&HashAlg::Sha256]);
        assert!(found.pcrs[&HashAlg::Sha256].contains_key(&7));
        assert!(
            found
                .findings
                .iter()
                .any(|finding| finding.subject == format!("bank {alg:#06x}"))
        );
    }
    for (alg, size) in [(0x0012, 0), (0x0012, 65), (0x0004, 32), (0x000B, 32)] {
        let error = Parsed::parse(&with_bank(alg, size, &[])).unwrap_err();
        assert!(
            matches!(error, BootLogError::Bank { offset: 60 | 64, .. }),
            "{error}"
        );
    }
}

#[test]
fn unused_log_memory_behind_the_events_is_passed_over_and_a_cut_event_is_not() {
    for form in [LogForm::CryptoAgile, LogForm::Sha1Only] {
        let mut boot = typical_server().boot();
        boot.form = form;
        let log = boot.bytes();
        let plain = Inspection::of(&log).unwrap();
        for fill in [0, 0xff] {
            for length in [16, 17, 4096] {
                let padded = [log.clone(), vec![fill; length]].concat();
                let parsed = Parsed::parse(&padded).unwrap();
                assert_eq!(parsed.padding(), length);
                let found = Inspection::of(&padded).unwrap();
                assert_eq!((found.events, &found.pcrs), (plain.events, &plain.pcrs));
            }
            for length in 1..16 {
                let cut = [log.clone(), vec![fill; length]].concat();
                let error = Parsed::parse(&cut).unwrap_err().to_string();
                assert!(error.contains("at byte "), "{error}");
            }
        }
        let mixed = [log, vec![0; 40], vec![1]].concat();
        assert!(Parsed::parse(&mixed).is_err());
    }
}

#[test]
fn case_45_a_bank_that_the_header_lists_and_an_event_lacks() {
    let mut host = Host::new();
    let mut out = Out::new();
    let bytes = host.boot.bytes();
    out.raw(&bytes);
    out.u32(0)
        .u32(5)
        .u32(1)
        .u16(0x0004)
        .raw(&Bank::Sha1.hash(&[b"x"]))
        .len32(b"x")
        .raw(b"x");
    host.boot_log = Some(out.into_bytes());
    host.selection = "sha256:0,7,10";
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    expect(
        &host.round(&any),
        Verdict::Indeterminate,
        &[Code::BootLogBankMissing],
    );
    // PCR 7 does not need that event.
    host.selection = "sha256:7,10";
    let codes = [Code::ImaBootAggregateUnproven];
    expect(&host.round(&any), Verdict::Warning, &codes);
}

#[test]
fn case_46_what_cannot_be_is_refused_where_it_stands() {
    let boot = typical_server().boot();
    let log = boot.bytes();
    let header = 8 + 20 + 4 + 16 + 8 + 4 + 2 * 4 + 1;
    let change = |at: usize, bytes: &[u8]| {
        let mut log = log.clone();
        log[at..at + bytes.len()].copy_from_slice(bytes);
        Parsed::parse(&log).unwrap_err().to_string()
    };
    for (error, told) in [
        (change(28, &[0xff; 4]), "at byte 28"),
        (change(32 + 24, &[0xff; 4]), "at byte 56"),
        (change(32 + 24, &[0; 4]), "at byte 65: 4 bytes follow"),
        (
            change(header, &[24, 0, 0, 0]),
            &format!("at byte {header}: expected a PCR index of 0 to 23, not 24"),
        ),
        (
            change(header + 8, &[3, 0, 0, 0]),
            &format!("at byte {}", header + 8),
        ),
        (change(header + 12, &[0xB, 0]), "expected"),
        (
            change(header + 12 + 22 + 34, &[0xff, 0xff, 0xff, 0x7f]),
            &format!("at byte {}", header + 12 + 22 + 34),
        ),
    ] {
        assert!(error.contains(told), "{error} lacks {told}");
    }
    assert!(Parsed::parse(&[]).unwrap_err().to_string().contains("at byte 0"));
}

fn booted(boot: &BootLog, phases: &[&str], selection: &'static str, rules: &str) -> AttestationResult {
    let mut host = Host::new();
    host.reboot(boot.clone());
    let mut pcrs: Pcrs = host.pcrs();
    announce(phases, &mut pcrs);
    for bank in [Bank::Sha1, Bank::Sha256] {
        host.force
            .push((bank, 11, pcrs.value(bank, 11).unwrap().to_vec()));
    }
    host.selection = selection;
    host.round(&policy(
        &format!("name = \"x\"\nversion = 1\n[boot]\n{rules}\n"),
        "",
    ))
}

#[test]
fn a_unified_kernel_is_proven_up_to_the_phases_that_systemd_announced() {
    let mut boot = typical_server().boot();
    boot.events.retain(|event| event.pcr != 8);
    boot.unified_kernel("root=/dev/vda1 ro", &SECTIONS);
    let all = "sha1:7,11,12+sha256:0,1,2,3,4,5,6,7,8,9,10,11,12";
    let rule = "command_lines = [\"root=/dev/vda1 ro\"]";
    let ends: Vec<Vec<&str>> = (0..=PHASES.len())
        .map(|count| PHASES[..count].to_vec())
        .chain([vec!["sysinit"], vec!["sysinit", "ready"]])
        .collect();
    for phases in ends {
        let result = booted(&boot, &phases, all, rule);
        expect(&result, Verdict::Affirming, &[]);
        let log = result.claims.boot_log.unwrap();
        assert_eq!(log.phases, phases);
        let names: Vec<&str> = log
            .sections
            .listed
            .iter()
            .map(|section| section.name.as_str())
            .collect();
        assert_eq!(names, [".osrel", ".linux", ".initrd"]);
        assert_eq!(
            log.sections.listed[1].content.digest,
            hex::encode(Bank::Sha256.hash(&[b"a kernel"]))
        );
        assert_eq!(log.kernel_command_lines.listed, ["root=/dev/vda1 ro"]);
    }
    // Phases in another order, a phase that does not exist, or a PCR that was not quoted: nothing is said of it, and
    // nothing is held against the host.
    for (phases, selection) in [
        (&["ready", "sysinit"][..], all),
        (&["ready for attack"], all),
        (&[], "sha256:0,1,2,3,4,5,6,7,8,9,10,12"),
    ] {
        let result = booted(&boot, phases, selection, rule);
        expect(&result, Verdict::Affirming, &[]);
        let log = result.claims.boot_log.unwrap();
        assert_eq!((log.sections.count(), log.phases.len()), (0, 0), "{phases:?}");
    }
    // PCR 12 is not quoted, and no other holds a command line.
    let result = booted(&boot, &[], "sha256:0,1,2,3,4,5,6,7,8,9,10,11", rule);
    expect(&result, Verdict::Indeterminate, &[Code::BootClaimUnproven]);
}

#[test]
fn case_37_sections_of_a_unified_kernel_written_otherwise_are_not_claimed() {
    let mut boot = typical_server().boot();
    boot.unified_kernel("root=/dev/vda1 ro", &SECTIONS);
    let name = boot.events.iter().position(|event| event.pcr == 11).unwrap();
    let sections = |boot: &BootLog| {
        let result = booted(boot, &[], "sha256:0,7,10,11", "debug_mode = \"forbidden\"");
        let sections = result.claims.boot_log.unwrap().sections.listed;
        sections
            .into_iter()
            .map(|section| section.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(sections(&boot), [".osrel", ".linux", ".initrd"]);
    // Another name in the log than the one that was measured.
    let shown = boot.events[name + 2].data.clone();
    boot.events[name].measured = lazaret_forge::bootlog::event::Measured::Content(b".osrel\0".to_vec());
    boot.events[name].data = shown;
    assert_eq!(sections(&boot), [".linux", ".initrd"]);
}

/// Every event, as every type that the profile names and one that it does not: no claim changes, and no verdict.
#[test]
fn case_39_no_type_of_any_event_changes_a_claim_or_a_verdict() {
    let mut host = Host::new();
    host.boot.unified_kernel("root=/dev/vda1 ro", &SECTIONS);
    host.boot.events.insert(0, sp800_155_event());
    let boot = host.boot.clone();
    host.reboot(boot);
    let golden = host.policy();
    let strict = policy(
        "name = \"x\"\nversion = 1\nsecure_boot = \"required\"\n[boot]\noption_roms = \"none\"\nseparators = [0, 7]\n\
         debug_mode = \"forbidden\"\ncommand_line_requires = [\"lockdown=integrity\"]\n",
        "",
    );
    for policy in [&golden, &strict] {
        let honest = host.clone().round(policy);
        assert_eq!(
            honest.claims.boot_log.as_ref().unwrap().secure_boot,
            SecureBoot::On
        );
        let codes = |result: &AttestationResult| {
            result
                .findings
                .iter()
                .map(|finding| finding.code)
                .collect::<Vec<_>>()
        };
        for number in 0..host.boot.events.len() {
            if host.boot.events[number].kind == EventType::NO_ACTION {
                continue;
            }
            for kind in (0..=0x13).chain(0x8000_0001..=0x8000_0010).chain([
                0x8000_00E0,
                0x8000_00E1,
                0x8000_00E2,
                0x1234_5678,
            ]) {
                let mut changed = host.clone();
                changed.boot.events[number].kind = EventType(kind);
                // What the TPM holds is what was measured, whatever the log calls it.
                let bytes = retyped(&host, number, kind);
                changed.boot = host.boot.clone();
                changed.boot_log = Some(bytes);
                let result = changed.round(policy);
                let quoted = !matches!(host.boot.events[number].pcr, 11 | 12);
                if Kind(kind) == Kind::NO_ACTION && quoted {
                    assert_eq!(result.verdict, Verdict::Contraindicated, "event {number}");
                    continue;
                }
                assert_eq!(result.verdict, honest.verdict, "event {number} as {kind:#x}");
                assert_eq!(result.claims, honest.claims, "event {number} as {kind:#x}");
                assert_eq!(codes(&result), codes(&honest), "event {number} as {kind:#x}");
            }
        }
    }
}

fn retyped(host: &Host, number: usize, kind: u32) -> Vec<u8> {
    let mut boot = host.boot.clone();
    // Digests stay those of the honest event: the forge would give EV_NO_ACTION zeros.
    let event = &mut boot.events[number];
    event.measured =
        lazaret_forge::bootlog::event::Measured::Given(event.digests(&[Bank::Sha1, Bank::Sha256]));
    let plain = boot.bytes();
    let mut bytes = plain.clone();
    let record =
        |event: &lazaret_forge::bootlog::event::Event| 4 + 4 + 4 + (2 + 20) + (2 + 32) + 4 + event.data.len();
    let header = 8 + 20 + 4 + 16 + 8 + 4 + 2 * 4 + 1;
    let at = header + boot.events.iter().take(number).map(record).sum::<usize>() + 4;
    bytes[at..at + 4].copy_from_slice(&kind.to_le_bytes());
    bytes
}

/// What is stored for a host stays small, whatever its log holds.
#[test]
fn claims_that_are_stored_stay_small() {
    let mut host = Host::new();
    let mut boot = BootLog::new(&[Bank::Sha1, Bank::Sha256]);
    for number in 0..1500_u32 {
        let long = format!("{number} {}", "\u{7e}".repeat(400));
        boot.measure(0, EventType::S_CRTM_VERSION, long.as_bytes());
        for pcr in [2, 4, 9, 14] {
            boot.measure_as(pcr, EventType::IPL, b"x", &number.to_le_bytes());
        }
        boot.measure(5, EventType::EFI_ACTION, long.as_bytes());
        let line = format!("/vmlinuz {long}{long}{long}{long}");
        boot.measure(8, EventType::IPL, line.as_bytes());
    }
    boot.measure(7, EventType::SEPARATOR, &[0; 4]);
    boot.sbat_level(&format!("sbat,1,2025\n{}", "component,1\n".repeat(4000)));
    host.reboot(boot);
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    let log = host.round(&any).claims.boot_log.unwrap();
    assert!(log.boot_loaders.count() > 1400 && log.kernel_command_lines.count() > 1400);
    let stored = serde_json::to_vec(&log).unwrap().len();
    assert!(stored <= 14 * 1024, "{stored} bytes");
}
