//! What was started and what was read: boot loaders, drivers, initrds, files.

use super::*;

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
