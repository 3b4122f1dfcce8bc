//! The rules of `[boot]`, each with a boot that it refuses, one that it lets pass, and one that it cannot judge.

mod code;
mod command_line;
mod firmware;
mod keys;

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

fn is_variable(event: &Event, name: &str) -> bool {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    event.pcr == 7
        && event.data.get(16) == Some(&u8::try_from(name.len() / 2).unwrap())
        && event.data.get(32..32 + name.len()) == Some(&name)
}
