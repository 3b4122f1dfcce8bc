//! Boot logs: they replay to the PCRs they claim, and each part of a description moves the PCRs it should.

use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::event::EventType;
use lazaret_forge::bootlog::{BootLog, Description, Loader, LogForm, data, typical_server};
use lazaret_forge::pcrs::Pcrs;

use crate::read;

fn assert_replays(description: &Description) {
    let log = description.boot();
    let (records, replayed) = read::boot_log(&log.bytes());
    assert!(records > log.events.len() || description.log_form == LogForm::Sha1Only);
    let start = Pcrs::at_startup(&log.banks, 0);
    for (bank, index, value) in log.pcrs().iter() {
        match replayed.get(&(bank.id(), index.into())) {
            Some(replayed) => assert_eq!(hex::encode(value), hex::encode(replayed), "{bank} PCR {index}"),
            None => assert_eq!(
                Some(value),
                start.value(bank, index),
                "{bank} PCR {index} was never extended"
            ),
        }
    }
}

#[test]
fn a_log_replays_to_the_pcrs_it_claims() {
    let usual = typical_server();
    assert_replays(&usual);
    assert_replays(&Description {
        banks: Bank::ALL.to_vec(),
        ..usual.clone()
    });
    assert_replays(&Description {
        banks: vec![Bank::Sha256],
        loader: Loader::Stub,
        ..usual.clone()
    });
    assert_replays(&Description {
        secure_boot: false,
        startup_locality: 3,
        ..usual.clone()
    });
    assert_replays(&Description {
        banks: vec![Bank::Sha1],
        log_form: LogForm::Sha1Only,
        ..usual
    });
}

#[test]
fn an_event_of_no_action_is_logged_and_extends_nothing() {
    let mut log = typical_server().boot();
    let before = log.pcrs();
    let records = read::boot_log(&log.bytes()).0;
    log.measure(0, EventType::NO_ACTION, b"SP800-155 Event\0");
    assert_eq!(read::boot_log(&log.bytes()).0, records + 1);
    assert_eq!(log.pcrs(), before);
    assert!(log.extends().len() < log.events.len());
}

#[test]
fn a_missing_log_hides_events_and_moves_the_same_pcrs() {
    let missing = Description {
        log_form: LogForm::Missing,
        ..typical_server()
    }
    .boot();
    assert!(missing.bytes().is_empty());
    assert_eq!(missing.pcrs(), typical_server().boot().pcrs());
}

/// The command line of a real boot, and the digest that its kernel's EFI stub logged.
#[test]
fn the_stub_measures_the_command_line_as_a_genuine_kernel() {
    let mut description = Description {
        loader: Loader::Stub,
        ..typical_server()
    };
    description.command_line =
        "console=ttyS0 rootfstype=ramfs ima_policy=tcb ima_hash=sha256 quiet initrd=initrd".to_owned();
    let log = description.boot();
    let event = log.events.iter().find(|event| event.pcr == 9).unwrap();
    assert_eq!(
        hex::encode(&event.data),
        "ed223b8f1a0000004c4f414445445f494d4147453a3a4c6f61644f7074696f6e7300"
    );
    assert_eq!(
        hex::encode(&event.digests(&log.banks)[&Bank::Sha256]),
        "e7d70c1e23ab4a4d21c4abfff9ef2f1c346e45a266bf286cbfa61a38db8d2bcd"
    );
}

/// A boot entry of a real boot: its firmware measured the value alone.
#[test]
fn a_boot_entry_is_measured_by_its_value_alone() {
    let log = typical_server().boot();
    let order = log
        .events
        .iter()
        .find(|event| event.kind == EventType::EFI_VARIABLE_BOOT)
        .unwrap();
    let value = [0, 0, 1, 0, 2, 0];
    assert_eq!(order.pcr, 1);
    assert!(order.data.ends_with(&value) && order.data.len() > value.len());
    assert_eq!(order.digests(&log.banks)[&Bank::Sha256], read::hash(0xB, &value));
}

/// The PCR of each type of event, as the PC Client Platform Firmware Profile has it.
#[test]
fn every_event_is_in_its_pcr() {
    for event in typical_server().boot().events {
        let allowed: &[u8] = match event.kind {
            EventType::S_CRTM_VERSION | EventType::EFI_PLATFORM_FIRMWARE_BLOB | EventType::POST_CODE => &[0],
            EventType::EFI_HANDOFF_TABLES
            | EventType::PLATFORM_CONFIG_FLAGS
            | EventType::EFI_VARIABLE_BOOT => &[1],
            EventType::EFI_BOOT_SERVICES_DRIVER => &[2],
            EventType::EFI_BOOT_SERVICES_APPLICATION => &[4],
            EventType::EFI_ACTION => &[4, 5],
            EventType::EFI_GPT_EVENT => &[5],
            EventType::EFI_VARIABLE_DRIVER_CONFIG | EventType::EFI_VARIABLE_AUTHORITY => &[7],
            EventType::SEPARATOR => &[0, 1, 2, 3, 4, 5, 6, 7],
            EventType::IPL => &[8, 9, 14],
            other => panic!("{other:?} is in no preset"),
        };
        assert!(allowed.contains(&event.pcr), "{event:?}");
    }
}

#[test]
fn a_typical_server_logs_about_sixty_events() {
    let (records, _) = read::boot_log(&typical_server().boot().bytes());
    assert!((50..=70).contains(&records), "{records} records");
}

/// The PCRs of the SHA-256 bank that differ between two boots.
fn moved(change: impl FnOnce(&mut Description)) -> Vec<u8> {
    let (before, mut after) = (typical_server(), typical_server());
    change(&mut after);
    let (before, after) = (before.boot().pcrs(), after.boot().pcrs());
    (0..24)
        .filter(|&index| before.value(Bank::Sha256, index) != after.value(Bank::Sha256, index))
        .collect()
}

#[test]
fn each_part_of_a_description_moves_its_pcrs() {
    assert_eq!(moved(|_| ()), []);
    assert_eq!(moved(|d| d.firmware = "2.20.0".to_owned()), [0]);
    assert_eq!(moved(|d| d.startup_locality = 3), [0]);
    assert_eq!(moved(|d| d.secure_boot = false), [7]);
    assert_eq!(moved(|d| d.command_line.push_str(" init=/bin/sh")), [8, 9]);
    assert_eq!(moved(|d| d.kernel = "6.1.0-57-amd64".to_owned()), [4, 8, 9]);
}

/// Digests that OVMF logged for the same data on a real boot.
#[test]
fn event_data_has_the_digest_of_a_genuine_boot() {
    let mut log = BootLog::new(&[Bank::Sha1, Bank::Sha256]);
    let secure_boot = data::efi_variable(data::EFI_GLOBAL, "SecureBoot", &[1]);
    log.measure(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &secure_boot);
    let sbat = b"sbat,1,2025021800\nshim,4\ngrub,5\n";
    log.measure(
        7,
        EventType::EFI_VARIABLE_AUTHORITY,
        &data::efi_variable(data::SHIM_LOCK, "SbatLevel", sbat),
    );
    log.measure(
        4,
        EventType::EFI_ACTION,
        b"Calling EFI Application from Boot Option",
    );
    log.measure(0, EventType::SEPARATOR, &[0; 4]);
    let digests: Vec<String> = log
        .extends()
        .iter()
        .map(|(_, digests)| hex::encode(&digests[&Bank::Sha256]))
        .collect();
    assert_eq!(
        digests,
        [
            "ccfc4bb32888a345bc8aeadaba552b627d99348c767681ab3141f5b01e40a40e",
            "ef611239b24f977f968379a9c9547b8da480557b8e0b2a83c66b3cea6034b330",
            "3d6772b4f84ed47595d72a2c4c5ffd15f5bb72c7507fe26f2aaee2c69d5633ba",
            "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119",
        ]
    );
    assert_eq!(log.events[1].data.len(), 82);
}

#[test]
fn the_shipped_description_is_the_default() {
    let shipped: Description = toml::from_str(include_str!("../../server.toml")).unwrap();
    let default = Description {
        banks: Vec::new(),
        ..typical_server()
    };
    assert_eq!(
        toml::to_string(&shipped).unwrap(),
        toml::to_string(&default).unwrap()
    );
}

#[test]
fn every_key_of_the_shipped_description_is_written_in_it() {
    let shipped: toml::Table = toml::from_str(include_str!("../../server.toml")).unwrap();
    let default: toml::Table = toml::from_str(&toml::to_string(&typical_server()).unwrap()).unwrap();
    assert_eq!(
        shipped.keys().collect::<Vec<_>>(),
        default.keys().collect::<Vec<_>>()
    );
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let error = toml::from_str::<Description>("kernell = '6.1'").unwrap_err();
    assert!(error.to_string().contains("kernell"), "{error}");
}
