//! Signed PCR values against golden ones.

use super::alternatives;
use crate::finding::{Code, Finding, FindingList};
use crate::pcr::HashAlg;
use crate::policy::{Policy, Standing};
use crate::quote::QuotedPcrs;

/// Signed PCR values against golden ones.
pub(crate) fn pcrs(
    quoted: &QuotedPcrs,
    policy: &Policy,
    standing: &mut Standing<'_>,
    findings: &mut FindingList<'_>,
) {
    for bank in HashAlg::ALL {
        let boot: Vec<_> = quoted
            .values()
            .iter()
            .filter(|value| value.bank == bank && value.index <= 7)
            .collect();
        let all = |fill: u8| {
            boot.iter()
                .all(|value| value.digest.iter().all(|byte| *byte == fill))
        };
        if !boot.is_empty() && (all(0) || all(0xff)) {
            findings.add(
                Finding::new(Code::BootPcrsUnextended, format!("bank {bank}"))
                    .found("every quoted boot PCR has its reset value"),
            );
        }
    }
    for (bank, index) in policy.pcrs().keys() {
        let subject = || format!("PCR {bank}:{index}");
        match quoted.value(*bank, *index) {
            None => findings.add(Finding::new(Code::PcrNotQuoted, subject())),
            Some(value) if standing.pcr(*bank, *index, value) => {}
            Some(value) => findings.add(
                Finding::new(Code::PcrNotGolden, subject())
                    .expected(alternatives(standing.golden_pcrs(*bank, *index).into_iter()))
                    .found(hex::encode(value)),
            ),
        }
    }
}
