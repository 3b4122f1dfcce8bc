//! Captures of real machines, where they are present beside the project.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lazaret_attest::boot_log::{BootLog, COVERED, Inspection};
use lazaret_attest::claims::{BootAggregate, SecureBoot};
use lazaret_attest::finding::Code;
use lazaret_attest::ima::{ImaList, ImaSummary};
use lazaret_attest::pcr::HashAlg;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::BootLog as Forged;

use crate::host::{Host, expect};

pub fn corpus() -> Option<PathBuf> {
    let path = match std::env::var_os("LAZARET_CORPUS") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"),
    };
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: no captures of real machines at {}", path.display());
    None
}

/// `index: 0x...` by bank, out of tpm2-tools' YAML.
fn pcrs_of(yaml: &str) -> BTreeMap<(HashAlg, u8), Vec<u8>> {
    let mut bank = None;
    let mut values = BTreeMap::new();
    for line in yaml.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if value.is_empty() {
            bank = key.parse::<HashAlg>().ok();
        } else if let (Some(bank), Ok(index), Some(hex)) = (bank, key.parse::<u8>(), value.strip_prefix("0x"))
        {
            values.insert((bank, index), hex::decode(hex).unwrap());
        }
    }
    values
}

#[test]
fn every_boot_log_replays_to_what_is_expected() {
    let Some(corpus) = corpus() else { return };
    let mut logs = 0;
    for file in fs::read_dir(corpus.join("expected")).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let yaml = fs::read_to_string(&file).unwrap();
        let source = yaml.lines().next().unwrap().trim_start_matches("# ");
        let bytes = fs::read(corpus.join(source)).unwrap();
        let expected = pcrs_of(&yaml);
        if bytes.is_empty() {
            assert!(source.contains("emptylog"), "{source}");
            continue;
        }
        let parsed = BootLog::parse(&bytes);
        // One crafted log declares more of the vendor's data than its header holds.
        assert_eq!(
            parsed.is_ok(),
            yaml.contains("replayer_rc: 0"),
            "{source}: {parsed:?}"
        );
        let Ok(log) = parsed else { continue };
        for bank in HashAlg::ALL {
            let wanted: BTreeMap<u8, Vec<u8>> = expected
                .iter()
                .filter(|((alg, _), _)| *alg == bank)
                .map(|((_, index), value)| (*index, value.clone()))
                .collect();
            if wanted.is_empty() {
                continue;
            }
            assert_eq!(log.values(bank).unwrap(), wanted, "{source} {bank}");
            logs += 1;
        }
    }
    assert!(logs >= 20, "only {logs} banks of logs were compared");
}

/// Every log of a whole boot fits together: each event of PCR 7 and each well-known action has the data that was measured,
/// and the firmware closed PCR 0 to 7.
#[test]
fn no_good_log_has_a_finding_of_its_own() {
    let Some(corpus) = corpus() else { return };
    let fixtures = corpus.join("tpm2-tools/test/integration/fixtures");
    let whole = [
        "event-arch-linux",
        "event-bootorder",
        "event-gce-ubuntu-2104-log",
        "event-moklisttrusted",
        "event-postcode",
        "event-sd-boot-fedora37",
        "event-uefi-sha1-log",
    ];
    let fixtures = whole.map(|name| fixtures.join(format!("{name}.bin")));
    let boots = ["direct-base", "direct-cmdline-changed", "shim-grub-secureboot"];
    let boots = boots.map(|name| corpus.join("vm").join(name).join("bios.bin"));
    for file in fixtures.iter().chain(&boots) {
        let found = Inspection::of(&fs::read(file).unwrap()).unwrap();
        assert_eq!(found.findings, [], "{}", file.display());
    }
}

/// A real boot, with the PCR values of its quote; a forged TPM signs them again for our challenge.
fn real(folder: &Path) -> Host {
    let mut host = Host::new();
    host.boot = Forged::new(&[]);
    host.boot_log = Some(fs::read(folder.join("bios.bin")).unwrap());
    host.ima.entries.clear();
    host.ima_log = Some(fs::read(folder.join("ima.bin")).unwrap());
    let quote = fs::read_to_string(folder.join("quote.log")).unwrap();
    for ((alg, index), value) in pcrs_of(&quote) {
        host.force.push((Bank::from_id(alg.id()).unwrap(), index, value));
    }
    host
}

/// What another replayer wrote down of each boot's IMA list: the boot, its folder, and that. None without the corpus.
fn expected_lists() -> Vec<(String, PathBuf, serde_json::Value)> {
    let Some(corpus) = corpus() else { return Vec::new() };
    let mut lists = Vec::new();
    for file in fs::read_dir(corpus.join("expected")).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let boot = name.split("__").nth(1).unwrap().to_owned();
        let expected = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        lists.push((boot.clone(), corpus.join("vm").join(boot), expected));
    }
    assert!(lists.len() >= 6, "only {} lists are there", lists.len());
    lists
}

#[test]
fn each_ima_list_is_covered_to_the_expected_entry_in_both_forms() {
    for (boot, folder, expected) in expected_lists() {
        let mut host = real(&folder);
        let any = crate::host::policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
        for form in ["ima.bin", "ima.ascii"] {
            host.ima_log = Some(fs::read(folder.join(form)).unwrap());
            let result = host.round(&any);
            let ima = result
                .claims
                .ima
                .unwrap_or_else(|| panic!("{boot} {form}: {:?}", result.findings));
            assert_eq!(
                Some(ima.covered),
                expected["quoted_prefix_entries"].as_u64(),
                "{boot} {form}"
            );
            assert_eq!(
                Some(ima.covered + ima.uncovered),
                expected["entries"].as_u64(),
                "{boot} {form}"
            );
            assert_eq!(ima.boot_aggregate, BootAggregate::Matches, "{boot} {form}");
        }
    }
}

#[test]
fn case_50_a_real_boot_with_an_empty_log_never_affirms_nor_is_it_captured() {
    let Some(corpus) = corpus() else { return };
    let mut host = real(&corpus.join("vm/grub-nosb-emptylog"));
    let pcr_0 = host.pcrs().value(Bank::Sha256, 0).map(hex::encode).unwrap();
    let golden = crate::host::policy(
        &format!("name = \"x\"\nversion = 1\n[pcrs.sha256]\n0 = [\"{pcr_0}\"]"),
        "",
    );
    expect(
        &host.round(&golden),
        Verdict::Indeterminate,
        &[Code::BootLogMissing],
    );
}

#[test]
fn a_real_host_captured_affirms_after_its_reboot_and_not_with_another_command_line() {
    let Some(corpus) = corpus() else { return };
    let mut captured = real(&corpus.join("vm/direct-base")).captured();
    // These guests' agent wrote its TPM contexts to files and read them again, other ones at each boot.
    captured.policy_toml = captured
        .policy_toml
        .replace("exclude = []", "exclude = [\"/var/lib/agent/\"]");
    let golden = crate::host::read(&captured);
    expect(
        &real(&corpus.join("vm/direct-base")).round(&golden),
        Verdict::Affirming,
        &[],
    );
    expect(
        &real(&corpus.join("vm/direct-base-reboot")).round(&golden),
        Verdict::Affirming,
        &[],
    );
    let changed = real(&corpus.join("vm/direct-cmdline-changed")).round(&golden);
    expect(
        &changed,
        Verdict::Contraindicated,
        &[Code::PcrNotGolden, Code::BootEventNotGolden],
    );
    let about_9 = changed
        .findings
        .iter()
        .all(|finding| finding.subject.contains(":9"));
    assert!(about_9, "only PCR 9 differs: {:#?}", changed.findings);
}

#[test]
fn a_real_secure_boot_is_proven() {
    let Some(corpus) = corpus() else { return };
    let mut host = real(&corpus.join("vm/shim-grub-secureboot"));
    let golden = host.policy();
    let result = host.round(&golden);
    expect(&result, Verdict::Affirming, &[]);
    let log = result.claims.boot_log.unwrap();
    assert_eq!(log.secure_boot, SecureBoot::On);
    let line = "/vmlinuz console=ttyS0 rootfstype=ramfs ima_policy=tcb ima_hash=sha256 quiet";
    assert_eq!(log.kernel_command_lines.listed, [line]);
    let log = real(&corpus.join("vm/direct-base"))
        .round(&golden)
        .claims
        .boot_log
        .unwrap();
    // The EFI stub measures the line, and logs only that it did.
    assert_eq!(
        (
            log.secure_boot,
            log.kernel_command_lines.count(),
            log.files.count()
        ),
        (SecureBoot::Off, 0, 2)
    );
    assert!(COVERED.contains(&14));
}

/// The summary that people read, against what another replayer wrote down, and the prefix that each quote covers.
#[test]
fn each_ima_list_is_summed_up_as_expected() {
    for (name, folder, expected) in expected_lists() {
        let quoted = hex::decode(expected["quoted_pcr10_sha256"].as_str().unwrap()).unwrap();
        for form in ["ima.bin", "ima.ascii"] {
            let bytes = fs::read(folder.join(form)).unwrap();
            let list = ImaList::new(&bytes);
            let sought = [(HashAlg::Sha256, quoted.clone())];
            let summary = ImaSummary::of(&list, &sought, &mut |_| {}).unwrap();
            let json = serde_json::to_value(&summary).unwrap();
            for key in ["entries", "violations", "templates"] {
                assert_eq!(json[key], expected[key], "{name} {form} {key}");
            }
            assert_eq!(json["pcr10"]["sha1"], expected["pcr10_sha1"]);
            assert_eq!(json["pcr10"]["sha256"], expected["pcr10_sha256_per_bank_digest"]);
            assert_eq!(
                json["pcr10_padded_sha1"]["sha256"],
                expected["pcr10_sha256_zero_padded_sha1"]
            );
            assert_eq!(json["first"]["path"], expected["first"]["name"]);
            assert_eq!(json["first"]["digest"], expected["first"]["digest"]);
            assert_eq!(json["match"]["entries"], expected["quoted_prefix_entries"]);
        }
    }
}
