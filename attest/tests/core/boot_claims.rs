//! What is claimed of a boot, whole: every field of an honest boot, and each fact where something like it is not one.

use lazaret_attest::boot_log::Inspection;
use lazaret_attest::claims::{BootLogClaims, Handover, SeparatorState};
use lazaret_attest::finding::Code;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::data::{
    EFI_GLOBAL, EFI_IMAGE_SECURITY, Out, SHIM_LOCK, efi_variable, load_option,
};
use lazaret_forge::bootlog::event::{Event, EventType, Measured};
use lazaret_forge::bootlog::modern::announce;
use lazaret_forge::bootlog::{BootLog, typical_server};
use lazaret_forge::pcrs::Pcrs;
use serde_json::json;

use crate::host::{Host, expect, policy};

const SEPARATOR: [u8; 4] = [0; 4];

fn inspected(boot: &BootLog) -> Inspection {
    Inspection::of(&boot.bytes()).unwrap()
}

fn claims(boot: &BootLog) -> BootLogClaims {
    inspected(boot).claims.claims
}

fn is_separator(pcr: u8) -> impl Fn(&Event) -> bool {
    move |event| event.pcr == pcr && event.data == SEPARATOR
}

fn measured_in(boot: &BootLog, pcr: u8) -> Vec<&Event> {
    boot.events.iter().filter(|event| event.pcr == pcr).collect()
}

#[test]
fn an_honest_boot_claims_what_was_measured_and_nothing_else() {
    let mut host = Host::new();
    let policy = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    let found = host.round(&policy).claims.boot_log.unwrap();
    let found = serde_json::to_value(&found).unwrap();
    let boot = &host.boot;
    let sha256 = |bytes: &[u8]| hex::encode(Bank::Sha256.hash(&[bytes]));
    let list = |pcr: u8, positions: &[usize], more: u64| {
        let events = measured_in(boot, pcr);
        let listed: Vec<_> = positions
            .iter()
            .map(|at| {
                let digest = hex::encode(&events[*at].digests(&[Bank::Sha256])[&Bank::Sha256]);
                json!({"position": at, "bank": "sha256", "digest": digest})
            })
            .collect();
        match more {
            0 => json!({"listed": listed}),
            more => json!({"listed": listed, "more": more}),
        }
    };
    let value = |at: usize| {
        let data = &measured_in(boot, 7)[at].data;
        let name = usize::from(data[16]) * 2;
        data[32 + name..].to_vec()
    };
    let store = |at: usize, certificates: u32, hashes: u32| json!({"sha256": sha256(&value(at)), "certificates": certificates, "hashes": hashes, "others": 0});
    // db's entries and shim's have their owner in front of the certificate.
    let authority = |name: &str, at: usize| json!({"variable": name, "sha256": sha256(&value(at)[16..])});
    let separators: Vec<_> = (0..=7).map(|pcr| json!({"pcr": pcr, "state": "once"})).collect();
    let grub = measured_in(boot, 8);
    assert_eq!(measured_in(boot, 9).len(), 4);
    assert_eq!(grub.len(), 15);
    let wanted = json!({
        "events": boot.events.len(),
        "secure_boot": "on",
        "deployed_mode": null,
        "audit_mode": null,
        "debug_mode": "off",
        "dma_protection": "on",
        "firmware": {"listed": ["2.19.1"]},
        "firmware_blobs": 3,
        "pk": store(1, 1, 0),
        "kek": store(2, 1, 0),
        "db": store(3, 2, 0),
        "dbx": store(4, 0, 2),
        "authorities": {"listed": [authority("db", 6), authority("MokListRT", 8)]},
        "sbat_level": "sbat,1,2025021800\nshim,4\ngrub,5\n",
        "boot_loaders": list(4, &[2, 3, 4], 0),
        "drivers": list(2, &[0, 1], 0),
        "kernel_command_lines": {"listed": [
            "/vmlinuz-6.1.0-56-amd64 root=/dev/mapper/vg0-root ro ima_policy=tcb ima_hash=sha256 quiet"
        ]},
        "grub_texts": grub.len(),
        "files": list(9, &[0, 1, 2, 3], 0),
        "machine_owner_keys": list(14, &[0, 1, 2], 0),
        "sections": {"listed": []},
        "phases": [],
        "boot_entries": {"listed": ["debian", "UEFI: PXE IPv4", "UEFI: Virtual CD"]},
        "disks": {"listed": [{"guid": "6b1c0a3e-11aa-4f7e-9b7e-0c6d4a1f0000", "partitions": 3}]},
        "actions": {"listed": [
            "Calling EFI Application from Boot Option",
            "Exit Boot Services Invocation",
            "Exit Boot Services Returned with Success",
        ]},
        "exit_boot_services": "succeeded",
        "separators": separators,
    });
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&found[key], value, "{key}");
    }
    assert_eq!(found, wanted);
}

#[test]
fn events_of_registers_that_were_not_quoted_are_not_counted() {
    let mut host = Host::new();
    host.selection = "sha256:7,10";
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    let found = host.round(&any).claims.boot_log.unwrap();
    let of_7 = u64::try_from(measured_in(&host.boot, 7).len()).unwrap();
    assert_eq!(found.events, of_7);
    assert_eq!(found.exit_boot_services, Handover::Unproven);
    assert_eq!((found.firmware_blobs, found.grub_texts), (0, 0));
    assert!(found.actions.listed.is_empty() && found.disks.listed.is_empty());
    assert_eq!(found.separators.len(), 1);
}

#[test]
fn a_mode_of_secure_boot_is_one_variable_under_its_name_before_the_separator() {
    let modes = |boot: &BootLog| {
        let claims = claims(boot);
        (claims.deployed_mode, claims.audit_mode)
    };
    let variable = |guid: &str, name: &str, value: &[u8]| {
        Event::of(
            1,
            EventType::EFI_VARIABLE_DRIVER_CONFIG,
            &efi_variable(guid, name, value),
        )
    };
    let with = |pcr: u8, event: Event| {
        let mut boot = typical_server().boot();
        boot.insert_before(Event { pcr, ..event }, is_separator(pcr));
        boot
    };
    let on = variable(EFI_GLOBAL, "DeployedMode", &[1]);
    for pcr in [1, 7] {
        assert_eq!(modes(&with(pcr, on.clone())), (Some(true), None), "PCR {pcr}");
        let off = variable(EFI_GLOBAL, "AuditMode", &[0]);
        assert_eq!(modes(&with(pcr, off)), (None, Some(false)), "PCR {pcr}");
    }
    for (told, other) in [
        ("another's", variable(SHIM_LOCK, "DeployedMode", &[1])),
        ("other name", variable(EFI_GLOBAL, "DeployedMod", &[1])),
        ("no Boolean", variable(EFI_GLOBAL, "DeployedMode", &[2])),
        ("two bytes", variable(EFI_GLOBAL, "DeployedMode", &[1, 0])),
        (
            "not measured",
            Event {
                measured: Measured::Content(b"something else".to_vec()),
                ..on.clone()
            },
        ),
    ] {
        assert_eq!(modes(&with(1, other)), (None, None), "{told}");
    }
    let mut twice = with(1, on.clone());
    twice.insert_before(Event { pcr: 7, ..on.clone() }, is_separator(7));
    assert_eq!(modes(&twice), (None, None), "twice");
    let mut late = typical_server().boot();
    late.push(on);
    assert_eq!(modes(&late), (None, None), "behind the separator");
}

#[test]
fn exit_boot_services_went_as_its_last_attempt() {
    let (invoked, failed, succeeded) = (
        "Exit Boot Services Invocation",
        "Exit Boot Services Returned with Failure",
        "Exit Boot Services Returned with Success",
    );
    for (words, wanted) in [
        (&[][..], Handover::NotSeen),
        (&[invoked], Handover::Invoked),
        (&[invoked, failed], Handover::Failed),
        (&[invoked, failed, invoked], Handover::Failed),
        (
            &[invoked, failed, invoked, succeeded, "more"],
            Handover::Succeeded,
        ),
        (&[succeeded, failed], Handover::Succeeded),
    ] {
        let mut boot = typical_server().boot();
        boot.events
            .retain(|event| event.pcr != 5 || event.kind != EventType::EFI_ACTION);
        for word in words {
            boot.measure(5, EventType::EFI_ACTION, word.as_bytes());
        }
        assert_eq!(claims(&boot).exit_boot_services, wanted, "{words:?}");
    }
}

#[test]
fn a_word_may_have_a_zero_that_was_not_measured_and_must_not_be_empty() {
    let mut boot = BootLog::new(&[Bank::Sha1, Bank::Sha256]);
    boot.measure_as(6, EventType::EFI_ACTION, b"with a zero\0", b"with a zero");
    boot.measure(6, EventType::EFI_ACTION, b"whole\0");
    boot.measure(6, EventType::EFI_ACTION, b"\0");
    boot.measure(6, EventType::EFI_ACTION, b"");
    boot.measure_as(6, EventType::EFI_ACTION, b"never measured\0", b"never");
    boot.measure(6, EventType::EFI_ACTION, "a".repeat(512).as_bytes());
    boot.measure(6, EventType::EFI_ACTION, "b".repeat(513).as_bytes());
    let actions = claims(&boot).actions.listed;
    assert_eq!(actions, ["with a zero", "whole", &"a".repeat(512)]);
}

#[test]
fn a_boot_entry_counts_by_its_value_or_whole_and_a_partition_table_whole() {
    let mut boot = typical_server().boot();
    let entry = boot
        .events
        .iter()
        .position(|event| event.kind == EventType::EFI_VARIABLE_BOOT && event.data.len() > 60)
        .unwrap();
    let entries = |boot: &BootLog| claims(boot).boot_entries.listed.len();
    assert_eq!(entries(&boot), 3);
    boot.events[entry].measured = Measured::Data;
    assert_eq!(entries(&boot), 3);
    boot.events[entry].measured = Measured::Content(b"something else".to_vec());
    assert_eq!(entries(&boot), 2);
    let table = boot
        .events
        .iter()
        .position(|event| event.kind == EventType::EFI_GPT_EVENT)
        .unwrap();
    boot.events[table].measured = Measured::Content(b"something else".to_vec());
    assert!(claims(&boot).disks.listed.is_empty());
}

#[test]
fn an_error_is_told_as_one_but_for_the_boot_order_that_looks_like_it() {
    let state = |pcr: u8, data: Vec<u8>, measured: &[u8]| {
        let mut boot = BootLog::new(&[Bank::Sha256]);
        boot.measure_as(pcr, EventType::SEPARATOR, &data, measured);
        let claims = claims(&boot);
        claims.separators.iter().find(|one| one.pcr == pcr).unwrap().state
    };
    let order = |name: &str, value: &[u8]| efi_variable(EFI_GLOBAL, name, value);
    let one = [1, 0, 0, 0];
    use SeparatorState::{Error, Missing, Once};
    assert_eq!(state(1, order("BootOrder", &one), &one), Missing, "a boot order");
    assert_eq!(state(1, order("BootOther", &one), &one), Error);
    assert_eq!(state(1, order("BootOrder", &[1, 0]), &one), Error);
    assert_eq!(state(2, order("BootOrder", &one), &one), Error);
    assert_eq!(state(1, one.to_vec(), &one), Error);
    assert_eq!(state(1, order("BootOrder", &[0; 4]), &[0; 4]), Once);
}

#[test]
fn what_a_digest_is_of_must_stand_beside_it_where_that_is_known() {
    let told = |pcr: u8, data: &[u8], measured: &[u8]| {
        let mut boot = typical_server().boot();
        boot.measure_as(pcr, EventType::POST_CODE, data, measured);
        let found = inspected(&boot).findings;
        let differs = found
            .iter()
            .filter(|finding| finding.code == Code::BootEventDataDiffers);
        differs.map(|finding| finding.subject.clone()).collect::<Vec<_>>()
    };
    let action = b"Exit Boot Services Invocation";
    for pcr in [0, 3, 6] {
        for honest in [&[0; 4], &[0xff; 4]] {
            assert!(told(pcr, honest, honest).is_empty());
        }
        assert!(told(pcr, b"a blob", b"its content").is_empty());
        let separator = told(pcr, b"no separator", &SEPARATOR);
        // Four zero bytes may be what a part of the firmware holds.
        assert_eq!(separator.len(), usize::from(pcr != 0), "PCR {pcr}: {separator:?}");
        // Only PCR 4 and 5 have actions with known words.
        assert!(told(pcr, b"something", action).is_empty());
    }
    for pcr in [4, 5] {
        let subjects = told(pcr, b"EV_EFI_ACTION", action);
        assert_eq!(subjects.len(), 1, "{subjects:?}");
        assert!(
            subjects[0].contains(&format!("PCR {pcr}: EV_POST_CODE EV_EFI_ACTION")),
            "{subjects:?}"
        );
        assert!(told(pcr, action, action).is_empty());
    }
}

#[test]
fn a_unified_kernels_register_is_claimed_only_where_every_quoted_bank_agrees() {
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    let run = |phases: [&[&str]; 2]| {
        let mut host = Host::new();
        let mut boot = typical_server().boot();
        boot.unified_kernel("root=/dev/vda1", &[(".linux", b"a kernel")]);
        host.reboot(boot);
        host.selection = "sha1:7,11+sha256:7,10,11";
        for (bank, words) in [Bank::Sha1, Bank::Sha256].into_iter().zip(phases) {
            let mut pcrs: Pcrs = host.pcrs();
            announce(words, &mut pcrs);
            host.force
                .push((bank, 11, pcrs.value(bank, 11).unwrap().to_vec()));
        }
        let result = host.round(&any);
        let log = result.claims.boot_log.unwrap();
        (log.sections.count(), log.phases)
    };
    let (one, two) = (&["sysinit"][..], &["sysinit", "ready"][..]);
    assert_eq!(
        run([two, two]),
        (1, vec!["sysinit".to_owned(), "ready".to_owned()])
    );
    assert_eq!(run([one, two]), (0, vec![]), "the banks tell of different phases");
    assert_eq!(run([&["evil"], two]), (0, vec![]), "one bank leads nowhere");
    assert_eq!(run([two, &["evil"]]), (0, vec![]), "the other bank leads nowhere");
}

#[test]
fn an_event_with_two_digests_of_one_bank_is_no_event() {
    let mut boot = BootLog::new(&[Bank::Sha1, Bank::Sha256]);
    boot.measure(6, EventType::POST_CODE, b"x");
    let mut bytes = boot.bytes();
    // The last event's two digests, SHA-1 made SHA-256's number and length.
    let at = bytes.len() - 1 - 4 - 34 - 22;
    let twice: Vec<u8> = [bytes[at + 22..at + 56].to_vec(), bytes[at + 22..].to_vec()].concat();
    bytes.truncate(at);
    bytes.extend(twice);
    let error = Inspection::of(&bytes).unwrap_err().to_string();
    assert!(error.contains(&format!("at byte {}", at + 34)), "{error}");
}

#[test]
fn settings_and_revocation_levels_of_shim_are_no_authorities() {
    let mut boot = typical_server().boot();
    let plain = claims(&boot);
    for name in ["MokListTrusted", "MokSBState", "HSIStatus"] {
        let data = efi_variable(SHIM_LOCK, name, &[1]);
        boot.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &data);
    }
    assert_eq!(claims(&boot).authorities, plain.authorities);
    // Another's variable of that name is one.
    let data = efi_variable(EFI_GLOBAL, "MokSBState", &[1]);
    boot.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &data);
    assert_eq!(claims(&boot).authorities.count(), plain.authorities.count() + 1);
}

#[test]
fn a_text_behind_the_separator_says_nothing_of_secure_boot() {
    let mut boot = typical_server().boot();
    let data = efi_variable(EFI_GLOBAL, "SecureBoot", &[1]);
    boot.measure(7, EventType::SEPARATOR, &SEPARATOR);
    boot.measure(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &data);
    let mut host = Host::new();
    host.reboot(boot);
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    expect(&host.round(&any), Verdict::Affirming, &[]);
    // A PCR that an error closes is not closed: what stands before it is the firmware's, and nobody says that all is.
    let mut boot = typical_server().boot();
    let at = boot.events.iter().position(is_separator(7)).unwrap();
    boot.events[at].measured = Measured::Content(vec![1, 0, 0, 0]);
    boot.measure(7, EventType::SEPARATOR, &SEPARATOR);
    let found = claims(&boot);
    assert_eq!(found.secure_boot, lazaret_attest::claims::SecureBoot::Unproven);
    assert!(found.db.is_none() && found.pk.is_none());
}

#[test]
fn an_authority_is_the_certificate_or_the_digest_without_its_owner() {
    let owner = [0x11; 16];
    let der = [&[0x30, 0x82][..], &[0x22; 40]].concat();
    let twice = [&[0x30, 0x82][..], &[0x22; 14], &der].concat();
    let hash = [0x33; 32].to_vec();
    let with_owner = |entry: &[u8]| [&owner[..], entry].concat();
    for (guid, name, value, content) in [
        (EFI_IMAGE_SECURITY, "db", with_owner(&der), &der),
        (EFI_IMAGE_SECURITY, "db", with_owner(&hash), &hash),
        (SHIM_LOCK, "MokListRT", with_owner(&der), &der),
        (SHIM_LOCK, "Shim", der.clone(), &der),
        (SHIM_LOCK, "Shim", twice.clone(), &twice),
        (SHIM_LOCK, "Shim", hash.clone(), &hash),
        (SHIM_LOCK, "Shim", vec![0x44; 5], &vec![0x44; 5]),
    ] {
        let mut boot = typical_server().boot();
        let data = efi_variable(guid, name, &value);
        boot.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &data);
        let found = claims(&boot).authorities.listed.pop().unwrap();
        assert_eq!(found.variable, name);
        assert_eq!(
            found.sha256,
            hex::encode(Bank::Sha256.hash(&[content])),
            "{name} {value:?}"
        );
    }
}

#[test]
fn a_key_store_is_a_list_of_whole_entries_of_the_right_size() {
    // EFI_CERT_SHA256_GUID and EFI_CERT_X509_GUID.
    let (sha256, x509) = (
        "c1c41626-504c-4092-aca9-41f936934328",
        "a5c059a1-94e4-4aa7-87b5-ab155c2bf072",
    );
    let list = |kind: &str, entry: u32, bytes: u32| {
        let mut out = Out::new();
        out.guid(kind).u32(28 + bytes).u32(0).u32(entry);
        out.raw(&vec![7; usize::try_from(bytes).unwrap()]);
        out.into_bytes()
    };
    for (value, counted) in [
        (list(sha256, 48, 96), (0, 2, 0)),
        (list(x509, 50, 50), (1, 0, 0)),
        (list(OTHER, 20, 60), (0, 0, 3)),
        ([list(sha256, 48, 48), list(x509, 17, 17)].concat(), (1, 1, 0)),
        (Vec::new(), (0, 0, 0)),
        // Not a digest's size, less than an owner, half an entry.
        (list(sha256, 40, 80), (0, 0, 0)),
        (list(x509, 8, 16), (0, 0, 0)),
        (list(x509, 20, 30), (0, 0, 0)),
    ] {
        let mut boot = typical_server().boot();
        let dbx = boot
            .events
            .iter()
            .position(|event| event.pcr == 7 && event.data.get(32..37) == Some(b"d\0b\0x"))
            .unwrap();
        boot.events[dbx].data = efi_variable(EFI_IMAGE_SECURITY, "dbx", &value);
        let dbx = claims(&boot).dbx.unwrap();
        assert_eq!((dbx.certificates, dbx.hashes, dbx.others), counted, "{value:?}");
        assert_eq!(dbx.image_digests.len(), usize::try_from(counted.1).unwrap());
    }
}

/// A kind of entry that nobody knows.
const OTHER: &str = "12345678-1234-1234-1234-123456789abc";

#[test]
fn a_boot_entry_has_a_description_and_a_device_path() {
    let entries = |value: &[u8]| {
        let mut boot = BootLog::new(&[Bank::Sha256]);
        boot.measure(
            1,
            EventType::EFI_VARIABLE_BOOT,
            &efi_variable(EFI_GLOBAL, "Boot0000", value),
        );
        claims(&boot).boot_entries.listed
    };
    let path = [4, 4, 4, 0];
    let whole = load_option("debian", &path);
    assert_eq!(entries(&whole), ["debian"]);
    assert_eq!(
        entries(&[whole.clone(), vec![1, 2]].concat()),
        ["debian"],
        "and optional data"
    );
    let none: [&str; 0] = [];
    assert_eq!(entries(&whole[..whole.len() - 1]), none, "a path that is cut");
    assert_eq!(entries(&load_option("", &path)), none);
    assert_eq!(entries(&load_option("debian", &[])), none);
}

#[test]
fn what_is_measured_whole_explains_itself_in_pcr_7() {
    let off = lazaret_attest::claims::Fact::Off;
    let debug = |boot: &BootLog| claims(boot).debug_mode;
    let mut boot = typical_server().boot();
    boot.insert_before(
        Event::of(7, EventType::POST_CODE, &[1, 2, 0xff, 3]),
        is_separator(7),
    );
    assert_eq!(debug(&boot), off, "bytes of the firmware's own");
    let word = Event {
        measured: Measured::Content(b"UEFI Debug Mode".to_vec()),
        ..Event::of(7, EventType::EFI_ACTION, b"UEFI Debug Mode\0")
    };
    boot.insert_before(word, is_separator(7));
    assert_eq!(debug(&boot), lazaret_attest::claims::Fact::On);
}

#[test]
fn more_authorities_than_are_looked_at_leave_nothing_told_of_what_is_missing() {
    let mut boot = typical_server().boot();
    let off = lazaret_attest::claims::Fact::Off;
    let data = efi_variable(SHIM_LOCK, "Shim", &[0x44; 5]);
    for _ in 0..254 {
        boot.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &data);
    }
    assert_eq!(
        (claims(&boot).debug_mode, claims(&boot).authorities.count()),
        (off, 256)
    );
    boot.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &data);
    let unproven = lazaret_attest::claims::Fact::Unproven;
    assert_eq!(
        (claims(&boot).debug_mode, claims(&boot).authorities.count()),
        (unproven, 256)
    );
}

#[test]
fn secure_boot_that_is_off_is_so_only_where_the_register_was_closed() {
    let mut server = typical_server();
    server.secure_boot = false;
    let mut boot = server.boot();
    use lazaret_attest::claims::SecureBoot::{Off, Unproven};
    assert_eq!(claims(&boot).secure_boot, Off);
    boot.events
        .retain(|event| event.pcr != 7 || event.data != SEPARATOR);
    assert_eq!(claims(&boot).secure_boot, Unproven);
}

#[test]
fn an_sbat_level_is_a_plain_text_that_begins_as_one() {
    let level = |text: &str| {
        let mut boot = typical_server().boot();
        let at = boot
            .events
            .iter()
            .position(|event| {
                event.pcr == 7 && String::from_utf8_lossy(&event.data).contains("S\0b\0a\0t\0L\0")
            })
            .unwrap();
        boot.events[at].data = efi_variable(SHIM_LOCK, "SbatLevel", text.as_bytes());
        claims(&boot).sbat_level
    };
    for good in ["sbat,1,2025\nshim,4\n", "sbat,1,A Name\nshim,4\n"] {
        assert_eq!(level(good).as_deref(), Some(good));
    }
    assert_eq!(level("sbat,1\0").as_deref(), Some("sbat,1"));
    for bad in ["sbat,1\tshim,4", "shim,4\n", "sbat,1\u{1b}[2J", "", "sbat"] {
        assert_eq!(level(bad), None, "{bad:?}");
    }
}

#[test]
fn a_stored_text_is_cut_behind_its_bound_and_at_a_character() {
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    let mut host = Host::new();
    let mut boot = typical_server().boot();
    let (whole, longer) = ("w".repeat(128), "l".repeat(129));
    boot.measure(6, EventType::EFI_ACTION, whole.as_bytes());
    boot.measure(6, EventType::EFI_ACTION, longer.as_bytes());
    host.reboot(boot);
    let actions = host.round(&any).claims.boot_log.unwrap().actions.listed;
    assert_eq!(actions[3..], [whole, format!("{}...", "l".repeat(128))]);
}

#[test]
fn a_log_of_one_bank_leads_nowhere_in_another_and_nothing_is_missing() {
    let mut boot = typical_server().boot();
    boot.form = lazaret_forge::bootlog::LogForm::Sha1Only;
    let found = inspected(&boot);
    assert_eq!(
        found.pcrs.keys().copied().collect::<Vec<_>>(),
        [lazaret_attest::pcr::HashAlg::Sha1]
    );
    assert!(found.findings.is_empty(), "{:?}", found.findings);
}

#[test]
fn digests_for_the_events_of_a_register_that_was_not_quoted_are_missing_evidence() {
    let mut host = Host::new();
    let digests: Vec<String> = measured_in(&host.boot, 3)
        .iter()
        .map(|event| hex::encode(&event.digests(&[Bank::Sha256])[&Bank::Sha256]))
        .collect();
    let golden = policy(
        &format!("name = \"x\"\nversion = 1\n[boot_log.sha256]\n3 = {digests:?}\n"),
        "",
    );
    expect(&host.round(&golden), Verdict::Affirming, &[]);
    host.selection = "sha256:7,10";
    let result = host.round(&golden);
    expect(&result, Verdict::Indeterminate, &[Code::PcrNotQuoted]);
    assert_eq!(result.findings[0].subject, "PCR sha256:3");
}

#[test]
fn the_last_register_is_one_and_what_is_no_unused_memory_is_an_event() {
    let mut boot = typical_server().boot();
    boot.measure(23, EventType::POST_CODE, b"x");
    let log = boot.bytes();
    assert!(inspected(&boot).pcrs[&lazaret_attest::pcr::HashAlg::Sha256].contains_key(&23));
    for fill in [0x41, 1, 0xfe] {
        let padded = [log.clone(), vec![fill; 64]].concat();
        assert!(Inspection::of(&padded).is_err(), "{fill:#x}");
    }
}
