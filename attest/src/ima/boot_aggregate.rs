//! The list's first entry against the boot PCRs that were quoted with it.

use super::entry::{DigestKind, Fields};
use crate::claims::BootAggregate;
use crate::pcr::HashAlg;
use crate::quote::QuotedPcrs;

/// The name under which the kernel measures the boot PCRs.
pub const BOOT_AGGREGATE: &[u8] = b"boot_aggregate";

/// Compares as the kernel computes it (`ima_calc_boot_aggregate_tfm`): the digest over PCR 0 to 7 of a bank, with that
/// bank's own algorithm; since 5.8 over PCR 0 to 9 in every bank but SHA-1. Kernels that took the banks without the two
/// more PCRs (5.7, and distributions' older ones) are understood by the older formula.
pub(crate) fn compare(fields: &Fields<'_>, quoted: &QuotedPcrs) -> BootAggregate {
    if fields.path != BOOT_AGGREGATE || fields.kind != DigestKind::Content {
        return BootAggregate::Missing;
    }
    let bank = std::str::from_utf8(fields.algorithm)
        .ok()
        .and_then(|name| name.parse::<HashAlg>().ok());
    let Some(bank) = bank else {
        return BootAggregate::NotComparable;
    };
    let formulas: &[u8] = if bank == HashAlg::Sha1 { &[7] } else { &[9, 7] };
    let mut all_comparable = true;
    for last in formulas {
        let values: Option<Vec<&[u8]>> = (0..=*last).map(|index| quoted.value(bank, index)).collect();
        match values {
            None => all_comparable = false,
            Some(values) if bank.digest_parts(&values) == fields.digest => return BootAggregate::Matches,
            Some(_) => {}
        }
    }
    if all_comparable {
        BootAggregate::Differs
    } else {
        BootAggregate::NotComparable
    }
}
