//! Errors of the proofs, each mapped to the one finding that it is. No policy here: what is proven is no opinion.

use crate::boot_log::{BootLog, BootLogError, COVERED, ReplayError, ReplayedBootLog};
use crate::challenge::Challenge;
use crate::evidence::Evidence;
use crate::finding::{Code, Finding};
use crate::ima::{IMA_PCR, ImaList, ImaReplayError, ReplayedImaLog, Start};
use crate::key::AttestationKey;
use crate::quote::{QuoteError, QuotedPcrs, VerifiedQuote};
use crate::result::ImaCheckpoint;
use crate::signature::SignatureError;

/// Signature, form, challenge, PCR values: in this order, each from the proof before.
pub(crate) fn prove_quote<'a>(
    evidence: &'a Evidence,
    challenge: &Challenge,
    key: &AttestationKey,
) -> Result<QuotedPcrs<'a>, Finding> {
    VerifiedQuote::open(&evidence.quote, &evidence.signature, key)
        .and_then(|quote| quote.answers(challenge))
        .and_then(|quote| quote.with_pcrs(&evidence.pcrs))
        .map_err(of_quote)
}

fn of_quote(error: QuoteError) -> Finding {
    let text = error.to_string();
    match error {
        QuoteError::Signature(SignatureError::Read(_)) => {
            Finding::new(Code::QuoteGarbled, "signature").found(text)
        }
        QuoteError::Signature(_) => Finding::new(Code::QuoteSignatureInvalid, "signature").found(text),
        QuoteError::Read(_)
        | QuoteError::SafeFlag { .. }
        | QuoteError::SelectionForm(_)
        | QuoteError::DigestSize { .. } => Finding::new(Code::QuoteGarbled, "quote").found(text),
        QuoteError::Magic { .. } | QuoteError::Kind { .. } => {
            Finding::new(Code::QuoteNotAQuote, "quote").found(text)
        }
        QuoteError::Challenge { expected, found } => {
            Finding::new(Code::QuoteNotForThisChallenge, "qualifying data")
                .expected(expected)
                .found(found)
        }
        QuoteError::Selection { expected, found } => {
            Finding::new(Code::QuoteSelectionDiffers, "PCR selection")
                .expected(expected)
                .found(found)
        }
        QuoteError::Signer { expected, found } => Finding::new(Code::QuoteOtherIdentity, "qualified signer")
            .expected(expected)
            .found(found),
        QuoteError::Values(_) => Finding::new(Code::PcrValuesDiffer, "PCR values").found(text),
        QuoteError::Digest { expected, found } => Finding::new(Code::PcrValuesDiffer, "PCR values")
            .expected(expected)
            .found(found),
    }
}

/// The boot log replayed; none if no PCR was quoted that it would explain.
pub(crate) fn prove_boot_log<'a>(
    evidence: &'a Evidence,
    quoted: &QuotedPcrs,
) -> Result<Option<ReplayedBootLog<'a>>, Finding> {
    let covered = || {
        quoted
            .values()
            .iter()
            .filter(|value| COVERED.contains(&value.index))
    };
    if covered().next().is_none() {
        return Ok(None);
    }
    let log = BootLog::parse(&evidence.boot_log).map_err(|error| match error {
        BootLogError::Empty => {
            let extended: Vec<String> = covered()
                .filter(|value| value.digest.iter().any(|byte| *byte != 0))
                .map(|value| format!("{}:{}", value.bank, value.index))
                .collect();
            let finding = Finding::new(Code::BootLogMissing, "boot log").found("an empty log");
            if extended.is_empty() {
                finding.expected("at least the firmware's header")
            } else {
                finding.expected(format!("events for the extended PCRs {}", extended.join(", ")))
            }
        }
        BootLogError::Read { .. }
        | BootLogError::Bank { .. }
        | BootLogError::NoBanks
        | BootLogError::Digest { .. }
        | BootLogError::Pcr { .. }
        | BootLogError::TooManyEvents => {
            Finding::new(Code::BootLogGarbled, "boot log").found(error.to_string())
        }
    })?;
    log.replay(quoted).map(Some).map_err(|error| match error {
        ReplayError::BankMissing { .. } | ReplayError::NothingQuoted => {
            Finding::new(Code::BootLogBankMissing, "boot log").found(error.to_string())
        }
        ReplayError::Mismatch {
            bank,
            index,
            replayed,
            quoted,
        } => Finding::new(Code::BootLogReplayMismatch, format!("PCR {bank}:{index}"))
            .expected(quoted)
            .found(replayed),
    })
}

/// The IMA list replayed; none if PCR 10 was not quoted.
pub(crate) fn prove_ima<'a>(
    evidence: &'a Evidence,
    challenge: &Challenge,
    checkpoint: Option<&ImaCheckpoint>,
    quoted: &QuotedPcrs,
) -> Result<Option<ReplayedImaLog<'a>>, Finding> {
    let mut pcr10 = quoted
        .values()
        .iter()
        .filter(|value| value.index == IMA_PCR)
        .peekable();
    if pcr10.peek().is_none() {
        return Ok(None);
    }
    let slice = || Finding::new(Code::ImaFullListNeeded, "IMA list");
    let (asked, given) = (challenge.ima_first, evidence.ima_first);
    if given < asked {
        return Err(slice()
            .expected(format!("entries from {asked}"))
            .found(format!("entries from {given}")));
    }
    let at_checkpoint = checkpoint.map(|checkpoint| Start {
        entries: checkpoint.entries,
        pcr10: checkpoint.pcr10.clone(),
        last_entry: checkpoint.last_entry,
    });
    let list = ImaList::new(&evidence.ima_log);
    let extended = pcr10.any(|value| value.digest.iter().any(|byte| *byte != 0));
    let start = match &at_checkpoint {
        _ if asked == 0 => Start::of_boot(quoted),
        Some(start) if start.entries == asked => start.clone(),
        Some(start) => {
            return Err(slice().found(format!(
                "an earlier round ended at entry {}, not {asked}",
                start.entries
            )));
        }
        None => return Err(slice().found("no earlier round of this boot, policy and key to go on from")),
    };
    if list.is_empty() && asked == 0 && extended {
        return Err(Finding::new(Code::ImaListMissing, "IMA list")
            .expected("entries for the extended PCR 10")
            .found("an empty list"));
    }
    let whole = if given == asked {
        list.replay(&start, quoted)
    } else {
        Err(ImaReplayError::Headless { first: given })
    };
    let trimmed = |error: &ImaReplayError| match error {
        ImaReplayError::Headless { .. } => true,
        ImaReplayError::Mismatch { .. } => list.is_headless(),
        _ => false,
    };
    let proven = match whole {
        Err(error) if asked == 0 && trimmed(&error) => {
            let behind = at_checkpoint
                .as_ref()
                .and_then(|start| list.replay_behind(start, quoted).ok());
            behind.ok_or(ImaReplayError::Headless { first: given })
        }
        other => other,
    };
    proven.map(Some).map_err(|error| {
        let text = error.to_string();
        match error {
            ImaReplayError::Form(_) | ImaReplayError::UnknownInText { .. } => {
                Finding::new(Code::ImaListGarbled, "IMA list").found(text)
            }
            ImaReplayError::Headless { .. } => Finding::new(Code::ImaListTrimmed, "IMA list")
                .expected(match checkpoint {
                    Some(checkpoint) if asked == 0 => format!(
                        "boot_aggregate first, or entries that go on from entry {}, where an earlier round ended",
                        checkpoint.entries
                    ),
                    _ => format!("entries from {asked}"),
                })
                .found(text),
            // PCR 10 was quoted; a checkpoint from a round that asked for other banks has no start for this one.
            ImaReplayError::NotQuoted | ImaReplayError::NoStart(_) => slice().found(text),
            ImaReplayError::Mismatch { .. } if asked > 0 => slice().found(text),
            ImaReplayError::Mismatch {
                bank,
                quoted: signed,
                replayed,
                entries,
            } => Finding::new(mismatch(quoted), format!("PCR {bank}:{IMA_PCR}"))
                .expected(signed)
                .found(format!(
                    "{replayed} after all {entries} entries, and it at none before"
                )),
        }
    })
}

/// What a whole list that does not replay is called. Only where nothing innocent explains it does it condemn: a machine
/// that was hibernated goes on with its old list over a PCR 10 that began anew, and the signed restart count tells of it.
fn mismatch(quoted: &QuotedPcrs) -> Code {
    if quoted.clock().restart_count > 0 {
        Code::ImaReplayUnclear
    } else {
        Code::ImaReplayMismatch
    }
}
