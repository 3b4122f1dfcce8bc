//! `lazaret inspect boot-log`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use lazaret_attest::boot_log::{BootEvent, BootLog as Parsed, Inspection};
use lazaret_attest::claims::{BootLogClaims, KeyStore, Measured, SeparatorState};
use lazaret_attest::pcr::HashAlg;

use super::file;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::out;

/// Largest file that is read: as large as the agent's own answer may be.
const LIMIT: u64 = 64 * 1024 * 1024;

/// Arguments of `lazaret inspect boot-log`.
#[derive(Debug, Args)]
#[command(after_help = "\
By itself a log proves nothing: anyone can write one. The claims are what it proves if a quote signs the PCR values that
it leads to. Compare them with `tpm2_pcrread`, or attest the host.

The number of events counts the header of a crypto-agile log. Exit codes: 0 read, 65 no boot log (with the offset and
what was expected there), 66 the file cannot be read.")]
pub struct BootLog {
    /// The log, as in `/sys/kernel/security/tpm0/binary_bios_measurements`.
    file: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl BootLog {
    /// Runs it.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn run(self) -> Result<Exit, Trouble> {
        let bytes = file::read(&self.file, LIMIT)?;
        let found = Inspection::of(&bytes).map_err(|error| {
            Trouble::new(
                Exit::Data,
                anyhow::Error::new(error).context(format!("{} is no boot log", self.file.display())),
            )
        })?;
        if self.json {
            out::json(&found);
        } else {
            // The inspection read the same bytes, so they parse.
            let log = Parsed::parse(&bytes);
            let events = log.as_ref().map(Parsed::events).unwrap_or_default();
            out::print(&text(&found, events));
        }
        Ok(Exit::Ok)
    }
}

// Writing into a String cannot fail; the results of `write!` are dropped for that reason only.

fn text(found: &Inspection, events: &[BootEvent<'_>]) -> String {
    let mut text = String::new();
    let claims = &found.claims.claims;
    let _ = writeln!(
        text,
        "{} events (their types and texts are what the log says; only digests are measured)",
        found.events
    );
    for event in events {
        line_of(&mut text, event);
    }
    text.push('\n');
    for (bank, values) in &found.pcrs {
        for (index, value) in values {
            let _ = writeln!(text, "{bank}:{index:<3} {value}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "Claims ({}):", found.claims.condition);
    lines(&mut text, claims);
    let _ = writeln!(text, "\nFindings:");
    if found.findings.is_empty() {
        let _ = writeln!(text, "  none");
    }
    for finding in &found.findings {
        let _ = writeln!(text, "  {}", out::plain(&finding.to_string()));
    }
    text
}

/// One event: its number, its PCR, the beginning of its digest in the strongest bank, what it says it is.
fn line_of(text: &mut String, event: &BootEvent<'_>) {
    let strongest = HashAlg::ALL.into_iter().rev().find_map(|bank| event.digest(bank));
    let digest: String = match strongest.filter(|_| event.is_extended()) {
        Some(digest) => hex::encode(digest).chars().take(16).collect(),
        None => "not extended".to_owned(),
    };
    let pcr = if event.is_extended() {
        event.pcr.to_string()
    } else {
        "-".to_owned()
    };
    let _ = writeln!(
        text,
        "  {:<4} PCR {pcr:<2} {digest:<16} {}",
        event.number,
        out::plain(&event.describe())
    );
}

fn lines(text: &mut String, claims: &BootLogClaims) {
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<20} {}", out::plain(&value));
        }
    };
    line("Secure Boot", claims.secure_boot.to_string());
    line("debug mode", claims.debug_mode.to_string());
    line("DMA protection", claims.dma_protection.to_string());
    let yes_no = |mode: Option<bool>| match mode {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
        None => String::new(),
    };
    line("deployed mode", yes_no(claims.deployed_mode));
    line("audit mode", yes_no(claims.audit_mode));
    line("firmware", claims.firmware.listed.join(", "));
    line("firmware blobs", claims.firmware_blobs.to_string());
    for (name, store) in [
        ("PK", &claims.pk),
        ("KEK", &claims.kek),
        ("db", &claims.db),
        ("dbx", &claims.dbx),
    ] {
        line(name, store.as_ref().map(key_store).unwrap_or_default());
    }
    for authority in &claims.authorities.listed {
        line(
            "authority",
            format!("{} {}", authority.variable, authority.sha256),
        );
    }
    line(
        "SBAT level",
        claims
            .sbat_level
            .as_deref()
            .unwrap_or_default()
            .trim()
            .replace('\n', "; "),
    );
    for (name, list) in [
        ("boot loader", &claims.boot_loaders.listed),
        ("driver", &claims.drivers.listed),
        ("file", &claims.files.listed),
        ("machine owner's keys", &claims.machine_owner_keys.listed),
    ] {
        for measured in list {
            line(name, digest(measured));
        }
    }
    for section in &claims.sections.listed {
        line(
            "section",
            format!("{} {}", section.name, digest(&section.content)),
        );
    }
    for command_line in &claims.kernel_command_lines.listed {
        line("kernel command line", command_line.clone());
    }
    line("grub texts", claims.grub_texts.to_string());
    line("boot phases", claims.phases.join(", "));
    for entry in &claims.boot_entries.listed {
        line("boot entry", entry.clone());
    }
    for disk in &claims.disks.listed {
        line(
            "partition table",
            format!("{}, {} partitions", disk.guid, disk.partitions),
        );
    }
    for action in &claims.actions.listed {
        line("action", action.clone());
    }
    line("ExitBootServices", claims.exit_boot_services.to_string());
    let closed: Vec<String> = claims
        .separators
        .iter()
        .filter(|separator| separator.state == SeparatorState::Once)
        .map(|separator| separator.pcr.to_string())
        .collect();
    line("closed once", closed.join(", "));
}

fn key_store(store: &KeyStore) -> String {
    format!(
        "{} ({} certificates, {} image digests, {} others)",
        store.sha256, store.certificates, store.hashes, store.others
    )
}

fn digest(measured: &Measured) -> String {
    format!("{}:{}", measured.bank, measured.digest)
}
