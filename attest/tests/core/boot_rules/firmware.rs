//! What the firmware says of itself: its version, its actions, its separators, and its banks.

use super::*;

#[test]
fn case_47_debug_mode_and_dma_protection_are_findings_of_their_own() {
    for (action, rule, code) in [
        (
            "UEFI Debug Mode",
            "debug_mode = \"forbidden\"",
            Code::BootDebugMode,
        ),
        (
            "DMA Protection Disabled",
            "dma_protection = \"required\"",
            Code::BootDmaProtectionOff,
        ),
    ] {
        for zero in [false, true] {
            let mut data = action.as_bytes().to_vec();
            data.extend(zero.then_some(0));
            let mut boot = honest();
            expect(&judged(&boot, rule), Verdict::Affirming, &[]);
            let kind = EventType::EFI_ACTION;
            boot.insert_before(Event::of(7, kind, &data), is_first_separator(7));
            expect(&judged(&boot, rule), Verdict::Contraindicated, &[code]);
            // Its text written otherwise hides nothing.
            let at = boot.events.iter().position(|event| event.data == data).unwrap();
            boot.events[at].measured = Measured::Content(data.clone());
            boot.events[at].data = b"Nothing to see here".to_vec();
            let result = judged(&boot, rule);
            expect(
                &result,
                Verdict::Indeterminate,
                &[Code::BootClaimUnproven, Code::BootEventDataDiffers],
            );
            let log = result.claims.boot_log.unwrap();
            assert_eq!(
                (log.debug_mode, log.dma_protection),
                (Fact::Unproven, Fact::Unproven)
            );
        }
    }
}

#[test]
fn case_42_a_separator_missing_doubled_or_telling_of_an_error() {
    for pcr in 0..=7_u8 {
        let rule = format!("separators = [{pcr}]");
        let found = |change: &dyn Fn(&mut BootLog)| {
            let mut boot = honest();
            change(&mut boot);
            judged(&boot, &rule)
        };
        let at = |boot: &BootLog| boot.events.iter().position(is_first_separator(pcr)).unwrap();
        expect(&found(&|_| ()), Verdict::Affirming, &[]);
        let changes: [&dyn Fn(&mut BootLog); 4] = [
            &|boot| drop(boot.events.remove(at(boot))),
            &|boot| {
                boot.measure(pcr, EventType::SEPARATOR, &SEPARATOR);
            },
            &|boot| {
                boot.measure(pcr, EventType::SEPARATOR, &[0xff; 4]);
            },
            // An error: its data may hold what went wrong, its digest is that of 1.
            &|boot| {
                let at = at(boot);
                boot.events[at].data = b"what went wrong".to_vec();
                boot.events[at].measured = Measured::Content(vec![1, 0, 0, 0]);
            },
        ];
        for change in changes {
            expect(
                &found(change),
                Verdict::Contraindicated,
                &[Code::BootSeparatorWrong],
            );
        }
        // A separator in one bank only.
        let torn = found(&|boot| {
            let at = at(boot);
            let sha1 = Bank::Sha1.hash(&[b"something else"]);
            let sha256 = Bank::Sha256.hash(&[&SEPARATOR]);
            boot.events[at].measured = Measured::Given([(Bank::Sha1, sha1), (Bank::Sha256, sha256)].into());
        });
        expect(&torn, Verdict::Contraindicated, &[Code::BootSeparatorWrong]);
    }
}

/// Both banks must cover the same bytes: an event that says one thing in SHA-1 and another in SHA-256 says nothing.
#[test]
fn case_40_an_event_whose_banks_cover_different_things_claims_nothing() {
    let other = b"something else".to_vec();
    for covered in [Bank::Sha1, Bank::Sha256] {
        let mut boot = honest();
        for event in &mut boot.events {
            let digests = [Bank::Sha1, Bank::Sha256].map(|bank| {
                let bytes = if bank == covered { &event.data } else { &other };
                (bank, bank.hash(&[bytes]))
            });
            let is_text = matches!(event.kind, EventType::S_CRTM_VERSION | EventType::IPL);
            if is_variable(event, "SecureBoot") || is_variable(event, "dbx") || is_text {
                event.measured = Measured::Given(digests.into());
            }
        }
        let log = claims(&boot);
        assert_eq!(
            log.secure_boot,
            lazaret_attest::claims::SecureBoot::Unproven,
            "{covered}"
        );
        assert!(log.dbx.is_none() && log.firmware.listed.is_empty(), "{covered}");
        assert!(log.kernel_command_lines.listed.is_empty(), "{covered}");
    }
}

#[test]
fn the_boot_order_one_then_zero_is_no_error_of_the_firmware() {
    let mut boot = honest();
    let order = boot
        .events
        .iter_mut()
        .find(|event| event.pcr == 1 && event.kind == EventType::EFI_VARIABLE_BOOT)
        .unwrap();
    order.data = efi_variable(
        lazaret_forge::bootlog::data::EFI_GLOBAL,
        "BootOrder",
        &[1, 0, 0, 0],
    );
    order.measured = Measured::Content(vec![1, 0, 0, 0]);
    expect(&judged(&boot, "separators = [1]"), Verdict::Affirming, &[]);
}

#[test]
fn a_firmware_version_counts_only_where_the_firmware_measured_it() {
    let rule = |version: &str| format!("firmware_versions = [\"{version}\"]");
    let boot = honest();
    expect(&judged(&boot, &rule("2.19.1")), Verdict::Affirming, &[]);
    let other = judged(&boot, &rule("2.20.0"));
    expect(
        &other,
        Verdict::Contraindicated,
        &[Code::BootFirmwareVersionNotAllowed],
    );
    // Later code says it in the firmware's PCR, behind the separator.
    let mut late = boot.clone();
    late.measure(0, EventType::S_CRTM_VERSION, b"2.20.0");
    expect(
        &judged(&late, &rule("2.20.0")),
        Verdict::Contraindicated,
        &[Code::BootFirmwareVersionNotAllowed],
    );
    // The log says it, and another was measured.
    let mut written = boot.clone();
    let at = written
        .events
        .iter()
        .position(|event| event.kind == EventType::S_CRTM_VERSION)
        .unwrap();
    written.events[at].measured = Measured::Content(written.events[at].data.clone());
    written.events[at].data = b"2.20.0".to_vec();
    expect(
        &judged(&written, &rule("2.20.0")),
        Verdict::Indeterminate,
        &[Code::BootClaimUnproven],
    );
}
