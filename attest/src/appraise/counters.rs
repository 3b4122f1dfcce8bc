//! The TPM's signed counters against those of the last genuine quote.

use crate::finding::{Code, Finding, FindingList};
use crate::quote::QuotedPcrs;
use crate::result::History;

/// The TPM's counters against those of the last genuine quote. True if one fell, which means a TPM's state was put back.
pub(crate) fn counters(
    quoted: &QuotedPcrs,
    history: Option<&History>,
    findings: &mut FindingList<'_>,
) -> bool {
    let Some(before) = history else { return false };
    let now = quoted.clock();
    let same_boot = now.reset_count == before.reset_count;
    let mut fell = |code, subject: &str, was: u64, is: u64| {
        findings.add_with(code, |finding| {
            let finding = finding.expected(format!("{was} or more")).found(is.to_string());
            Finding {
                subject: subject.to_owned(),
                ..finding
            }
        });
        true
    };
    let rolled_back = if now.reset_count < before.reset_count {
        fell(
            Code::ResetCountFell,
            "TPM reset count",
            before.reset_count.into(),
            now.reset_count.into(),
        )
    } else if same_boot && now.restart_count < before.restart_count {
        fell(
            Code::RestartCountFell,
            "TPM restart count",
            before.restart_count.into(),
            now.restart_count.into(),
        )
    } else if same_boot && now.restart_count == before.restart_count && now.clock_ms < before.clock_ms {
        fell(Code::ClockFell, "TPM clock (ms)", before.clock_ms, now.clock_ms)
    } else {
        false
    };
    if quoted.firmware_version() != before.firmware_version {
        findings.add_with(Code::FirmwareVersionChanged, |finding| {
            let hex = |version: u64| format!("{version:#018x}");
            let finding = finding
                .expected(hex(before.firmware_version))
                .found(hex(quoted.firmware_version()));
            Finding {
                subject: "TPM firmware".to_owned(),
                ..finding
            }
        });
    }
    rolled_back
}
