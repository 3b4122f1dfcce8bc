//! Secure Boot's keys, authorities and levels.

use super::*;

#[test]
fn case_48_a_dbx_older_than_required() {
    let hashes: Vec<Vec<u8>> = ["a", "b", "c"]
        .map(|text| Bank::Sha256.hash(&[text.as_bytes()]))
        .into();
    let boot = |known: usize| {
        let known: Vec<&[u8]> = hashes.iter().take(known).map(Vec::as_slice).collect();
        let mut boot = honest();
        let dbx = boot
            .events
            .iter_mut()
            .find(|event| is_variable(event, "dbx"))
            .unwrap();
        dbx.data = efi_variable(EFI_IMAGE_SECURITY, "dbx", &digest_list(OWNER, &known));
        boot
    };
    let rule = format!("dbx_contains = {}", list(hashes.iter().map(hex::encode)));
    expect(&judged(&boot(3), &rule), Verdict::Affirming, &[]);
    let old = judged(&boot(2), &rule);
    expect(&old, Verdict::Contraindicated, &[Code::BootDbxLacksHash]);
    assert_eq!(old.findings.len(), 1, "{:?}", old.findings);
    assert_eq!(old.findings[0].expected, Some(hex::encode(&hashes[2])));

    // Written into the log but not measured, measured twice, measured behind the separator: nothing is proven.
    let dbx = |boot: &BootLog| {
        boot.events
            .iter()
            .position(|event| is_variable(event, "dbx"))
            .unwrap()
    };
    let mut written = boot(2);
    let at = dbx(&written);
    written.events[at].measured = Measured::Content(written.events[at].data.clone());
    written.events[at].data = boot(3).events[at].data.clone();
    let mut doubled = boot(3);
    let first = doubled.events[dbx(&doubled)].clone();
    doubled.insert_before(first.clone(), is_first_separator(7));
    let mut late = boot(3);
    late.events.remove(at);
    late.push(first);
    for (boot, told) in [(written, "written"), (doubled, "doubled"), (late, "late")] {
        let result = judged(&boot, &rule);
        assert_eq!(
            result.verdict,
            Verdict::Indeterminate,
            "{told}: {:?}",
            result.findings
        );
        assert!(result.claims.boot_log.unwrap().dbx.is_none(), "{told}");
    }
}

#[test]
fn case_48_keys_and_authorities_other_than_listed() {
    let boot = honest();
    let rules = every_rule(&claims(&boot));
    let line = |key: &str| {
        rules
            .lines()
            .find(|line| line.starts_with(&format!("{key} =")))
            .unwrap()
            .to_owned()
    };
    for (name, key) in [("PK", "pk"), ("KEK", "kek"), ("db", "db"), ("dbx", "dbx")] {
        let mut boot = boot.clone();
        let event = boot
            .events
            .iter_mut()
            .find(|event| is_variable(event, name))
            .unwrap();
        *event.data.last_mut().unwrap() ^= 1;
        expect(
            &judged(&boot, &line(key)),
            Verdict::Contraindicated,
            &[Code::BootKeyNotAllowed],
        );
    }
    let mut other = boot.clone();
    other.old_shim_authority(&[0x30, 0x82, 1, 2, 3]);
    expect(
        &judged(&other, &line("authorities")),
        Verdict::Contraindicated,
        &[Code::BootAuthorityNotAllowed],
    );
    let known = claims(&other).authorities.listed.pop().unwrap();
    assert_eq!(known.variable, "Shim");
    assert_eq!(
        known.sha256,
        hex::encode(Bank::Sha256.hash(&[&[0x30, 0x82, 1, 2, 3]]))
    );
}

#[test]
fn case_48_an_sbat_level_that_is_too_low_missing_or_doubled() {
    let rule = "sbat_at_least = { shim = 4, \"grub.debian\" = 5 }";
    let mut boot = bare();
    expect(
        &judged(&boot, rule),
        Verdict::Indeterminate,
        &[Code::BootClaimUnproven],
    );
    let bare = boot.clone();
    boot.sbat_level("sbat,1,2025\nshim,4\ngrub,9\ngrub.debian,6\n");
    expect(&judged(&boot, rule), Verdict::Affirming, &[]);
    boot.sbat_level("sbat,1,2030\nshim,9\ngrub.debian,9\n");
    expect(
        &judged(&boot, rule),
        Verdict::Indeterminate,
        &[Code::BootClaimUnproven],
    );
    for level in [
        "sbat,1,2025\nshim,3\ngrub.debian,5\n",
        "sbat,1,2025\nshim,4\n",
        "sbat,1,2025\nshim,x\ngrub.debian,5\n",
    ] {
        let mut boot = bare.clone();
        boot.sbat_level(level);
        expect(
            &judged(&boot, rule),
            Verdict::Contraindicated,
            &[Code::BootSbatTooOld],
        );
    }
}

#[test]
fn case_48_an_sbat_level_that_was_measured_after_shim_had_started_something_proves_nothing() {
    // shim 15.2 knows no level; root of the host that it started extends PCR 7 by one and writes it into the log.
    let mut boot = bare();
    let data = efi_variable(SHIM_LOCK, "SbatLevel", b"sbat,1,2025\nshim,9\n");
    boot.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &data);
    expect(
        &judged(&boot, "sbat_at_least = { shim = 4 }"),
        Verdict::Indeterminate,
        &[Code::BootClaimUnproven],
    );
}

#[test]
fn case_40_a_last_byte_that_was_not_measured_is_not_read() {
    // Whoever measures one byte less than the structure says chooses the last digit afterwards.
    for last in [b'1', b'9'] {
        let mut boot = bare();
        let data = efi_variable(
            SHIM_LOCK,
            "SbatLevel",
            &[b"sbat,1,2025\nshim,", &[last][..]].concat(),
        );
        let event = Event {
            measured: Measured::Content(data[..data.len() - 1].to_vec()),
            ..Event::of(7, EventType::EFI_VARIABLE_AUTHORITY, &data)
        };
        boot.insert_before(event, |event| is_variable(event, "MokListRT"));
        let result = judged(&boot, "sbat_at_least = { shim = 4 }");
        expect(&result, Verdict::Indeterminate, &[Code::BootClaimUnproven]);
        assert_eq!(result.claims.boot_log.unwrap().sbat_level, None);
    }
}

#[test]
fn case_48_an_authority_behind_more_of_them_than_are_looked_at_does_not_pass() {
    let mut boot = honest();
    let known = claims(&boot).authorities.listed;
    let rule = format!(
        "authorities = {}",
        list(known.iter().map(|one| one.sha256.clone()))
    );
    expect(&judged(&boot, &rule), Verdict::Affirming, &[]);
    let again = boot
        .events
        .iter()
        .find(|event| is_variable(event, "MokListRT"))
        .unwrap()
        .clone();
    for _ in 0..300 {
        boot.push(again.clone());
    }
    boot.measure(
        7,
        EventType::EFI_VARIABLE_AUTHORITY,
        &efi_variable(SHIM_LOCK, "Shim", b"evil"),
    );
    expect(
        &judged(&boot, &rule),
        Verdict::Indeterminate,
        &[Code::BootClaimUnproven],
    );
}
