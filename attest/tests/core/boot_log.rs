//! Boot log cases.

use lazaret_attest::boot_log::{BootLog as Parsed, BootLogError};
use lazaret_attest::claims::SecureBoot;
use lazaret_attest::finding::Code;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::data::{EFI_GLOBAL, efi_variable};
use lazaret_forge::bootlog::event::{Event, EventType, Measured};
use lazaret_forge::bootlog::{BootLog, LogForm, typical_server};

use crate::host::{Host, cases, expect, policy};

const HEADER_BYTES: usize = 8 + 20 + 4 + 16 + 8 + 4 + 2 * 4 + 1;

/// Where an event's record begins in the bytes of a crypto-agile log of two banks.
fn offset_of(boot: &BootLog, number: usize) -> usize {
    let record = |event: &Event| 4 + 4 + 4 + (2 + 20) + (2 + 32) + 4 + event.data.len();
    HEADER_BYTES + boot.events.iter().take(number).map(record).sum::<usize>()
}

fn find(boot: &BootLog, kind: EventType) -> usize {
    boot.events.iter().position(|event| event.kind == kind).unwrap()
}

/// The log with one event's type written otherwise.
fn retyped(boot: &BootLog, number: usize, kind: EventType) -> Vec<u8> {
    let mut bytes = boot.bytes();
    let at = offset_of(boot, number) + 4;
    bytes[at..at + 4].copy_from_slice(&kind.0.to_le_bytes());
    bytes
}

fn without_pcr(boot: &BootLog, pcr: u8) -> BootLog {
    let mut boot = boot.clone();
    boot.events.retain(|event| event.pcr != pcr);
    boot
}

cases! {
    an_unchanged_host_affirms: |host| () => Affirming [];
    case_37_an_event_dropped: |host| {
        let mut boot = host.boot.clone();
        boot.events.remove(5);
        host.boot_log = Some(boot.bytes());
    } => Contraindicated [BootLogReplayMismatch];
    case_37_events_swapped: |host| {
        let mut boot = host.boot.clone();
        let at = boot.events.windows(2).position(|pair| pair[0].pcr == pair[1].pcr && pair[0].data != pair[1].data).unwrap();
        boot.events.swap(at, at + 1);
        host.boot_log = Some(boot.bytes());
    } => Contraindicated [BootLogReplayMismatch];
    case_37_an_event_added: |host| {
        let mut boot = host.boot.clone();
        boot.measure(4, EventType::EFI_ACTION, b"never happened");
        host.boot_log = Some(boot.bytes());
    } => Contraindicated [BootLogReplayMismatch];
    case_37_a_digest_changed: |host| {
        let mut bytes = host.boot.bytes();
        bytes[HEADER_BYTES + 12 + 22 + 2] ^= 1;
        host.boot_log = Some(bytes);
    } => Contraindicated [BootLogReplayMismatch];
    case_38_a_pcr_that_the_policy_lists_has_no_event: |host| {
        let boot = without_pcr(&host.boot, 8);
        host.reboot(boot);
    } => Contraindicated [BootLogPcrWithoutEvents, PcrNotGolden];
    case_39_a_type_rewritten_to_no_action_is_not_extended: |host| {
        host.boot_log = Some(retyped(&host.boot, 3, EventType::NO_ACTION));
    } => Contraindicated [BootLogReplayMismatch];
    case_39_a_type_rewritten_to_another_decides_nothing: |host| {
        let at = find(&host.boot, EventType::EFI_VARIABLE_DRIVER_CONFIG);
        host.boot_log = Some(retyped(&host.boot, at, EventType::POST_CODE));
    } => Affirming [];
    case_40_data_other_than_measured: |host| {
        let at = find(&host.boot, EventType::EFI_ACTION);
        let mut bytes = host.boot.bytes();
        let data = offset_of(&host.boot, at) + 12 + 22 + 34 + 4;
        bytes[data] ^= 1;
        host.boot_log = Some(bytes);
    } => Warning [BootEventDataDiffers];
    case_43_an_unknown_type_is_extended_and_appraised: |host| {
        let mut boot = host.boot.clone();
        boot.measure(4, EventType(0x1234_5678), b"what is this");
        host.reboot(boot);
    } => Contraindicated [BootEventNotGolden, PcrNotGolden];
    case_44_a_startup_locality_forged: |host| {
        let mut boot = host.boot.clone();
        boot.startup_locality = Some(3);
        host.boot_log = Some(boot.bytes());
    } => Contraindicated [BootLogReplayMismatch];
    case_45_a_log_without_the_quoted_bank: |host| {
        let mut boot = host.boot.clone();
        boot.form = LogForm::Sha1Only;
        host.boot_log = Some(boot.bytes());
    } => Indeterminate [BootLogBankMissing];
    case_46_counts_and_sizes_beyond_the_bytes: |host| {
        let mut bytes = host.boot.bytes();
        bytes[HEADER_BYTES + 8..HEADER_BYTES + 12].copy_from_slice(&[0xff; 4]);
        host.boot_log = Some(bytes);
    } => Indeterminate [BootLogGarbled];
    case_49_another_command_line: |host| {
        let mut server = typical_server();
        server.ima.files = 12;
        server.command_line.push_str(" init=/bin/sh");
        host.reboot(server.boot());
    } => Contraindicated [BootEventNotGolden, PcrNotGolden];
    case_50_an_empty_log: |host| host.boot_log = Some(Vec::new()) => Indeterminate [BootLogMissing];
    case_50_a_log_stripped_to_its_header: |host| {
        let bytes = host.boot.bytes();
        host.boot_log = Some(bytes[..HEADER_BYTES].to_vec());
    } => Contraindicated [BootLogReplayMismatch];
    case_47_secure_boot_off: |host| {
        let mut server = typical_server();
        server.ima.files = 12;
        server.secure_boot = false;
        host.reboot(server.boot());
    } => Contraindicated [SecureBootOff, PcrNotGolden];
    case_34_boot_pcrs_all_zero: |host| host.reboot(BootLog::new(&[Bank::Sha1, Bank::Sha256]))
        => Contraindicated [BootPcrsUnextended, PcrNotGolden];
}

#[test]
fn case_34_unextended_boot_pcrs_never_affirm_even_if_the_policy_compares_none() {
    let files_only = policy(
        "name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]",
        &Host::new().ima.digest_list(),
    );
    for fill in [0, 0xff] {
        let mut host = Host::new();
        host.reboot(BootLog::new(&[Bank::Sha1, Bank::Sha256]));
        for index in 0..8 {
            for bank in [Bank::Sha1, Bank::Sha256] {
                host.force.push((bank, index, vec![fill; bank.digest_len()]));
            }
        }
        let result = host.round(&files_only);
        assert!(
            result
                .findings
                .iter()
                .any(|finding| finding.code == Code::BootPcrsUnextended),
            "{fill}"
        );
        assert_ne!(result.verdict, Verdict::Affirming);
    }
}

#[test]
fn case_35_an_active_bank_that_nobody_extends() {
    let mut server = typical_server();
    server.banks = vec![Bank::Sha256];
    let mut host = Host::booting(&server);
    host.selection = "sha256:0,1,2,3,4,5,6,7,8,9,10,14";
    let policy = host.policy();
    expect(&host.round(&policy), Verdict::Affirming, &[]);
    host.selection = crate::host::SELECTION;
    expect(
        &host.round(&policy),
        Verdict::Indeterminate,
        &[Code::BootPcrsUnextended, Code::BootLogBankMissing],
    );
}

#[test]
fn a_genuine_startup_locality_is_where_pcr_0_starts() {
    let mut server = typical_server();
    server.startup_locality = 3;
    let mut host = Host::booting(&server);
    let policy = host.policy();
    expect(&host.round(&policy), Verdict::Affirming, &[]);
}

#[test]
fn case_46_more_events_than_any_firmware_logs_are_refused() {
    let mut boot = BootLog::new(&[Bank::Sha1, Bank::Sha256]);
    for _ in 0..17_000 {
        boot.push(Event {
            pcr: 1,
            kind: EventType::ACTION,
            measured: Measured::Data,
            data: Vec::new(),
        });
    }
    assert_eq!(Parsed::parse(&boot.bytes()), Err(BootLogError::TooManyEvents));
}

#[test]
fn case_41_42_secure_boot_doubled_late_or_without_separator_is_unproven() {
    let variable = |value: u8| efi_variable(EFI_GLOBAL, "SecureBoot", &[value]);
    let secure_boot = |events: &[(EventType, Vec<u8>)]| {
        let mut boot = BootLog::new(&[Bank::Sha1, Bank::Sha256]);
        boot.measure(0, EventType::S_CRTM_VERSION, b"1");
        for (kind, data) in events {
            boot.measure(7, *kind, data);
        }
        let mut host = Host::new();
        host.reboot(boot);
        let bare = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
        let result = host.round(&bare);
        (result.claims.boot_log.unwrap().secure_boot, result.verdict)
    };
    let (config, separator) = (
        EventType::EFI_VARIABLE_DRIVER_CONFIG,
        (EventType::SEPARATOR, vec![0; 4]),
    );
    let (on, off) = ((config, variable(1)), (config, variable(0)));
    let table = [
        (
            vec![on.clone(), separator.clone()],
            SecureBoot::On,
            Verdict::Affirming,
        ),
        (
            vec![off.clone(), separator.clone()],
            SecureBoot::Off,
            Verdict::Contraindicated,
        ),
        (
            vec![off.clone(), separator.clone(), on.clone()],
            SecureBoot::Off,
            Verdict::Contraindicated,
        ),
        (
            vec![separator.clone(), on.clone()],
            SecureBoot::Unproven,
            Verdict::Indeterminate,
        ),
        (
            vec![on.clone(), off, separator.clone()],
            SecureBoot::Unproven,
            Verdict::Indeterminate,
        ),
        (
            vec![on.clone(), on.clone(), separator.clone()],
            SecureBoot::Unproven,
            Verdict::Indeterminate,
        ),
        (vec![on], SecureBoot::Unproven, Verdict::Indeterminate),
        (
            vec![(config, variable(2)), separator.clone()],
            SecureBoot::Unproven,
            Verdict::Indeterminate,
        ),
        (vec![separator], SecureBoot::Unproven, Verdict::Indeterminate),
    ];
    for (row, (events, state, verdict)) in table.into_iter().enumerate() {
        assert_eq!(secure_boot(&events), (state, verdict), "row {row}");
    }
}

#[test]
fn case_39_retyping_the_secure_boot_events_changes_no_claim() {
    let mut host = Host::new();
    let policy = host.policy();
    for number in 0..host.boot.events.len() {
        host.boot_log = Some(retyped(&host.boot, number, EventType::POST_CODE));
        let result = host.round(&policy);
        assert_eq!(
            result.claims.boot_log.unwrap().secure_boot,
            SecureBoot::On,
            "event {number}"
        );
    }
}

#[test]
fn case_47_secure_boot_written_on_over_a_measurement_of_off_is_unproven() {
    let mut server = typical_server();
    server.ima.files = 12;
    server.secure_boot = false;
    let mut host = Host::booting(&server);
    let required = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    expect(
        &host.round(&required),
        Verdict::Contraindicated,
        &[Code::SecureBootOff],
    );
    let off = efi_variable(EFI_GLOBAL, "SecureBoot", &[0]);
    let mut bytes = host.boot.bytes();
    let at = bytes.windows(off.len()).position(|window| window == off).unwrap();
    bytes[at + off.len() - 1] = 1;
    host.boot_log = Some(bytes);
    let codes = [Code::SecureBootUnproven, Code::BootEventDataDiffers];
    expect(&host.round(&required), Verdict::Indeterminate, &codes);
}
