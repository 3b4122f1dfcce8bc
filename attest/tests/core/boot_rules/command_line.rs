//! The kernel's command line, as each boot loader measures it.

use super::*;

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
