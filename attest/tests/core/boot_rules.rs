//! The rules of `[boot]`, each with a boot that it refuses, one that it lets pass, and one that it cannot judge.

use lazaret_attest::claims::{BootLogClaims, Fact};
use lazaret_attest::finding::Code;
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::data::{EFI_IMAGE_SECURITY, SHIM_LOCK, digest_list, efi_variable};
use lazaret_forge::bootlog::event::{Event, EventType, Measured};
use lazaret_forge::bootlog::{BootLog, typical_server};

use crate::host::{Host, expect, policy};

const OWNER: &str = "77fa9abd-0359-4d32-bd60-28f4e78f784b";
const SEPARATOR: [u8; 4] = [0; 4];

fn judged(boot: &BootLog, rules: &str) -> AttestationResult {
    let mut host = Host::new();
    host.reboot(boot.clone());
    host.round(&of(rules))
}

fn of(rules: &str) -> lazaret_attest::policy::Policy {
    policy(&format!("name = \"x\"\nversion = 1\n[boot]\n{rules}\n"), "")
}

/// A server whose shim measures no SBAT level.
fn bare() -> BootLog {
    let mut boot = typical_server().boot();
    boot.events.retain(|event| !is_variable(event, "SbatLevel"));
    boot
}

fn honest() -> BootLog {
    let mut boot = bare();
    boot.sbat_level("sbat,1,2025021800\nshim,4\ngrub,5\n");
    boot
}

fn claims(boot: &BootLog) -> BootLogClaims {
    judged(boot, "debug_mode = \"forbidden\"")
        .claims
        .boot_log
        .unwrap()
}

fn is_first_separator(pcr: u8) -> impl Fn(&Event) -> bool {
    move |event| event.pcr == pcr && event.data == SEPARATOR
}

fn list(digests: impl IntoIterator<Item = String>) -> String {
    format!("{:?}", digests.into_iter().collect::<Vec<_>>())
}

/// Every rule at once, filled from what the honest boot claims.
fn every_rule(claims: &BootLogClaims) -> String {
    let sha256 =
        |store: &Option<lazaret_attest::claims::KeyStore>| list([store.as_ref().unwrap().sha256.clone()]);
    let digests = |all: &lazaret_attest::claims::Listed<lazaret_attest::claims::Measured>| {
        list(all.listed.iter().map(|one| one.digest.clone()))
    };
    let (initrd, files) = claims.files.listed.split_last().unwrap();
    format!(
        "debug_mode = \"forbidden\"\ndma_protection = \"required\"\nseparators = [0, 1, 2, 3, 4, 5, 6, 7]\n\
         firmware_versions = {}\npk = {}\nkek = {}\ndb = {}\ndbx = {}\ndbx_contains = [\"{}\"]\nauthorities = {}\n\
         sbat_at_least = {{ shim = 4, grub = 3 }}\nboot_loaders = {}\ndrivers = {}\ncommand_lines = {}\n\
         command_line_requires = [\"ima_policy=tcb\", \"root=*\"]\ncommand_line_forbids = [\"init=*\", \"single\"]\n\
         initrds = [\"{}\"]\nfiles = {}\n",
        list(claims.firmware.listed.clone()),
        sha256(&claims.pk),
        sha256(&claims.kek),
        sha256(&claims.db),
        sha256(&claims.dbx),
        hex::encode(Bank::Sha256.hash(&[b"BootHole"])),
        list(claims.authorities.listed.iter().map(|one| one.sha256.clone())),
        digests(&claims.boot_loaders),
        digests(&claims.drivers),
        list(claims.kernel_command_lines.listed.clone()),
        initrd.digest,
        list(files.iter().map(|one| one.digest.clone())),
    )
}

#[test]
fn a_boot_that_keeps_every_rule_affirms_and_each_of_them_is_unproven_without_a_quote_of_its_pcr() {
    let boot = honest();
    let rules = every_rule(&claims(&boot));
    expect(&judged(&boot, &rules), Verdict::Affirming, &[]);

    let mut host = Host::new();
    host.reboot(boot);
    for rule in rules.lines().filter(|rule| !rule.starts_with("files")) {
        host.selection = "sha256:10";
        expect(
            &host.round(&of(rule)),
            Verdict::Indeterminate,
            &[Code::BootClaimUnproven],
        );
        // Some other PCR proves nothing about this one.
        let other = if rule.starts_with("separators") {
            "sha256:14"
        } else {
            "sha256:6,10"
        };
        host.selection = other;
        expect(
            &host.round(&of(rule)),
            Verdict::Indeterminate,
            &[Code::BootClaimUnproven],
        );
    }
}

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

fn is_variable(event: &Event, name: &str) -> bool {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    event.pcr == 7
        && event.data.get(16) == Some(&u8::try_from(name.len() / 2).unwrap())
        && event.data.get(32..32 + name.len()) == Some(&name)
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

#[test]
fn case_49_a_line_whose_kernel_has_no_path_before_it_is_known_by_the_command_that_loaded_it() {
    let line = claims(&honest()).kernel_command_lines.listed.pop().unwrap();
    // Some of grub's file systems take a path that begins otherwise. Root lets grub load a kernel so, and measures the
    // allowed line as a command that does not exist.
    for (kernel, measured) in [
        ("xvmlinuz", "xvmlinuz init=/bin/sh"),
        (" vmlinuz", "\" vmlinuz\" init=/bin/sh"),
        ("vm'linuz", "vm\\'linuz init=/bin/sh"),
    ] {
        let mut boot = honest();
        let linux = format!("/vmlinuz-{}", line.split_once("/vmlinuz-").unwrap().1);
        boot.events
            .retain(|event| event.pcr != 8 || !String::from_utf8_lossy(&event.data).contains(&linux));
        let mut grub = |text: &str| {
            let logged = format!("grub_cmd: {text}\0");
            boot.measure_as(8, EventType::IPL, logged.as_bytes(), text.as_bytes());
        };
        grub(&format!("linux {kernel} init=/bin/sh"));
        grub(measured);
        grub(&line);
        let rule = format!("command_lines = [\"{line}\"]");
        expect(
            &judged(&boot, &rule),
            Verdict::Contraindicated,
            &[Code::BootCommandLineNotAllowed],
        );
        let told = claims(&boot).kernel_command_lines.listed;
        assert_eq!(told, [measured, &line]);
    }
    // The command failed, or the line is another's: nobody knows which.
    let mut boot = honest();
    for text in ["linux /missing", "echo sorry"] {
        let logged = format!("grub_cmd: {text}\0");
        boot.measure_as(8, EventType::IPL, logged.as_bytes(), text.as_bytes());
    }
    expect(
        &judged(&boot, "command_line_forbids = [\"init=*\"]"),
        Verdict::Indeterminate,
        &[Code::BootClaimUnproven],
    );
}

#[test]
fn case_49_a_command_line_is_judged_by_its_text_whatever_the_log_calls_it() {
    let line = claims(&honest()).kernel_command_lines.listed.pop().unwrap();
    let rules = [
        (
            format!("command_lines = [\"{line}\"]"),
            Code::BootCommandLineNotAllowed,
        ),
        (
            "command_line_requires = [\"ima_policy=tcb\"]".to_owned(),
            Code::BootCommandLineLacksWord,
        ),
        (
            "command_line_forbids = [\"init=*\"]".to_owned(),
            Code::BootCommandLineForbiddenWord,
        ),
    ];
    let bad = [
        "/vmlinuz root=/dev/sda1 init=/bin/sh",
        "(hd0,gpt1)/vmlinuz \"init=/bin/sh\"",
        "/vmlinuz in\\\"it=/bin/sh",
        "/vmlinuz\tinit=/bin/sh",
    ];
    for (rule, code) in rules {
        expect(&judged(&honest(), &rule), Verdict::Affirming, &[]);
        for text in bad {
            for label in [
                "kernel_cmdline: ",
                "grub_cmd: ",
                "module_cmdline: ",
                "grub_kernel_cmdline ",
                "",
            ] {
                for zero in [&[][..], &[0]] {
                    let mut boot = honest();
                    let data = [label.as_bytes(), text.as_bytes(), &[0]].concat();
                    boot.measure_as(8, EventType(7), &data, &[text.as_bytes(), zero].concat());
                    expect(&judged(&boot, &rule), Verdict::Contraindicated, &[code]);
                }
            }
            // systemd-boot's form.
            let mut boot = honest();
            boot.old_systemd_boot(text);
            expect(&judged(&boot, &rule), Verdict::Contraindicated, &[code]);
        }
        // A text that was not measured could be any.
        let mut boot = honest();
        boot.measure_as(
            8,
            EventType::IPL,
            b"kernel_cmdline: /vmlinuz quiet\0",
            b"/vmlinuz init=/bin/sh",
        );
        expect(
            &judged(&boot, &rule),
            Verdict::Indeterminate,
            &[Code::BootClaimUnproven],
        );
        // No line at all.
        let mut boot = honest();
        boot.events.retain(|event| event.pcr != 8);
        expect(
            &judged(&boot, &rule),
            Verdict::Indeterminate,
            &[Code::BootClaimUnproven],
        );
    }
}

#[test]
fn case_49_a_menu_entry_that_was_not_started_is_no_command_line() {
    let mut boot = honest();
    let entry = "menuentry Recovery {\n  linux /vmlinuz single init=/bin/sh\n}";
    boot.measure_as(
        8,
        EventType::IPL,
        format!("grub_cmd: {entry}\0").as_bytes(),
        entry.as_bytes(),
    );
    expect(
        &judged(&boot, "command_line_forbids = [\"single\", \"init=*\"]"),
        Verdict::Affirming,
        &[],
    );
}

#[test]
fn case_49_the_line_of_the_efi_stub_is_known_by_its_digest_alone() {
    let mut server = typical_server();
    server.loader = lazaret_forge::bootlog::Loader::Stub;
    server.command_line = "root=/dev/vda1 ro".to_owned();
    let boot = server.boot();
    let files = claims(&boot).files;
    assert_eq!(files.count(), 2);
    let rules = |line: &str| {
        format!(
            "command_lines = [\"{line}\"]\ninitrds = [\"{}\"]",
            files.listed[1].digest
        )
    };
    expect(
        &judged(&boot, &rules("root=/dev/vda1 ro")),
        Verdict::Affirming,
        &[],
    );
    let codes = [Code::BootClaimUnproven, Code::BootFileNotAllowed];
    expect(
        &judged(&boot, &rules("root=/dev/vda1 rw")),
        Verdict::Contraindicated,
        &codes,
    );
    // The log does not hold the line, so its words are not known.
    expect(
        &judged(&boot, "command_line_requires = [\"ro\"]"),
        Verdict::Indeterminate,
        &[Code::BootClaimUnproven],
    );
}

#[test]
fn case_49_an_initrd_or_a_file_that_is_not_listed() {
    let boot = honest();
    let rules = every_rule(&claims(&boot));
    let rules: String = rules
        .lines()
        .filter(|line| line.starts_with("initrds") || line.starts_with("files"))
        .fold(String::new(), |all, line| all + line + "\n");
    expect(&judged(&boot, &rules), Verdict::Affirming, &[]);
    let last = boot.events.iter().rposition(|event| event.pcr == 9).unwrap();
    let mut other = boot.clone();
    other.events[last].measured = Measured::Content(b"another initrd".to_vec());
    let codes = [Code::BootFileNotAllowed, Code::BootInitrdNotMeasured];
    expect(&judged(&other, &rules), Verdict::Contraindicated, &codes);
    // The known initrd beside the one that is used.
    let mut both = boot.clone();
    both.measure_as(9, EventType::IPL, b"/initrd", b"another initrd");
    let result = judged(&both, &rules);
    expect(&result, Verdict::Contraindicated, &[Code::BootFileNotAllowed]);
    assert_eq!(result.findings.len(), 1);
}

#[test]
fn code_that_is_not_listed_is_refused_whatever_its_event_says() {
    let rules = every_rule(&claims(&honest()));
    let line = |key: &str| {
        rules
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap()
            .to_owned()
    };
    for (pcr, rule, code) in [
        (4, line("boot_loaders"), Code::BootLoaderNotAllowed),
        (2, line("drivers"), Code::BootDriverNotAllowed),
    ] {
        expect(&judged(&honest(), &rule), Verdict::Affirming, &[]);
        for data in [
            &b"Calling EFI Application from Boot Option"[..],
            &SEPARATOR,
            b"",
            b"MZ",
        ] {
            let mut boot = honest();
            boot.measure_as(pcr, EventType::SEPARATOR, data, b"MZ\0 an image");
            expect(&judged(&boot, &rule), Verdict::Contraindicated, &[code]);
        }
        // Words are not code.
        let mut boot = honest();
        boot.measure(
            pcr,
            EventType::EFI_ACTION,
            b"Returning from EFI Application from Boot Option",
        );
        expect(&judged(&boot, &rule), Verdict::Affirming, &[]);
    }
    expect(
        &judged(&honest(), "option_roms = \"none\""),
        Verdict::Contraindicated,
        &[Code::BootOptionRom],
    );
    let mut bare = honest();
    bare.events
        .retain(|event| event.pcr != 2 || event.data == SEPARATOR);
    expect(&judged(&bare, "option_roms = \"none\""), Verdict::Affirming, &[]);
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
