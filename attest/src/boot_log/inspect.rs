//! A log looked at by itself, without a quote: where it leads, and what it would prove if a quote bore it out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::coverage::Coverage;
use super::event::BootEvent;
use super::facts::Facts;
use super::parse::{BootLog, BootLogError};
use super::replay::{COVERED, OPTIONAL};
use crate::claims::boot::{Detail, read, separator_state};
use crate::claims::{BootLogClaims, SeparatorState};
use crate::finding::{Code, Finding};
use crate::pcr::HashAlg;

/// What an offline log's claims are worth.
const CONDITION: &str = "what this log proves if a quote signs these PCR values; by itself it proves nothing";

/// What is in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Events in the log; the header of a crypto-agile log is one of them.
    pub events: usize,
    /// Where the log leads: by bank, each PCR that it extends (and PCR 0, where it tells from which locality the TPM was
    /// started), hex.
    pub pcrs: BTreeMap<HashAlg, BTreeMap<u8, String>>,
    /// What it says of the boot.
    pub claims: ConditionalClaims,
    /// What does not fit together in it, whatever a quote says.
    pub findings: Vec<Finding>,
}

/// Claims that stand and fall with a quote that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConditionalClaims {
    /// The condition, in words.
    pub condition: &'static str,
    /// The claims.
    #[serde(flatten)]
    pub claims: BootLogClaims,
}

/// Findings that are listed: beyond these the log is garbage.
const MAX_FINDINGS: usize = 256;

impl Inspection {
    /// Reads a log and looks at it.
    ///
    /// # Errors
    /// The bytes are no boot log: where, and what was expected there.
    pub fn of(bytes: &[u8]) -> Result<Self, BootLogError> {
        let log = BootLog::parse(bytes)?;
        let mut findings = Vec::new();
        let mut pcrs = BTreeMap::new();
        let mut coverage = Coverage::default();
        for bank in log.known_banks() {
            match log.values(bank) {
                Ok(values) => {
                    pcrs.insert(
                        bank,
                        values
                            .iter()
                            .map(|(index, value)| (*index, hex::encode(value)))
                            .collect(),
                    );
                    for index in COVERED.into_iter().chain(OPTIONAL) {
                        coverage.add(bank, index);
                    }
                }
                Err(error) => {
                    findings.push(
                        Finding::new(Code::BootLogBankMissing, format!("bank {bank}"))
                            .found(error.to_string()),
                    );
                }
            }
        }
        let facts = Facts::new(&log, coverage);
        structure(&log, &facts, &mut findings);
        findings.truncate(MAX_FINDINGS);
        Ok(Self {
            events: log.events().len(),
            pcrs,
            claims: ConditionalClaims {
                condition: CONDITION,
                claims: read(&facts, &[], Detail::WHOLE),
            },
            findings,
        })
    }
}

/// What does not fit together in a log by itself.
fn structure(log: &BootLog<'_>, facts: &Facts<'_, '_>, findings: &mut Vec<Finding>) {
    let at = |event: &BootEvent<'_>| {
        format!(
            "event {} at byte {}, PCR {}: {}",
            event.number,
            event.offset,
            event.pcr,
            event.describe()
        )
    };
    for event in facts.contradictions() {
        findings.push(
            Finding::new(Code::BootEventDataDiffers, at(event))
                .expected("data whose digest is the measured one"),
        );
    }
    for pcr in 0..=7 {
        match separator_state(facts.closing(pcr)) {
            None | Some(SeparatorState::Once) => {}
            Some(state) => findings.push(
                Finding::new(Code::BootSeparatorWrong, format!("PCR {pcr}"))
                    .expected(SeparatorState::Once.to_string())
                    .found(state.to_string()),
            ),
        }
    }
    for alg in log.unknown_banks() {
        findings.push(
            Finding::new(Code::BootLogBankMissing, format!("bank {alg:#06x}"))
                .expected("sha1, sha256, sha384 or sha512")
                .found("a bank that is not known here; its digests were passed over"),
        );
    }
}
