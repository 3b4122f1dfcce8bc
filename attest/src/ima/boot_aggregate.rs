//! The list's first entry against the boot PCRs that were quoted with it.

use super::entry::Fields;
use crate::claims::BootAggregate;
use crate::pcr::HashAlg;
use crate::quote::QuotedPcrs;

/// The name under which the kernel measures the boot PCRs.
pub const BOOT_AGGREGATE: &[u8] = b"boot_aggregate";

/// Compares as the kernel computes it (`ima_calc_boot_aggregate_tfm`, since 5.8): the digest over the values of PCR 0 to 7
/// in the SHA-1 bank, or of PCR 0 to 9 in another bank, with that bank's own algorithm.
pub(crate) fn compare(fields: &Fields<'_>, quoted: &QuotedPcrs) -> BootAggregate {
    if fields.path != BOOT_AGGREGATE {
        return BootAggregate::Missing;
    }
    let bank = std::str::from_utf8(fields.algorithm)
        .ok()
        .and_then(|name| name.parse::<HashAlg>().ok());
    let Some(bank) = bank else {
        return BootAggregate::NotComparable;
    };
    let last = if bank == HashAlg::Sha1 { 7 } else { 9 };
    let values: Option<Vec<&[u8]>> = (0..=last).map(|index| quoted.value(bank, index)).collect();
    match values {
        None => BootAggregate::NotComparable,
        Some(values) if bank.digest_parts(&values) == fields.digest => BootAggregate::Matches,
        Some(_) => BootAggregate::Differs,
    }
}
