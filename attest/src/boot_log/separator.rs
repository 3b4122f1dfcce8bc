//! Separators: where the firmware's part of a PCR ends.

use aws_lc_rs::digest::{Digest, digest};

use super::coverage::Coverage;
use super::event::BootEvent;
use super::variable::Variable;
use crate::pcr::HashAlg;

/// What a separator says (PC Client profile, EV_SEPARATOR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    /// 0 or 0xffffffff: the firmware went on as it should.
    Normal,
    /// 1: the firmware tells of an error.
    Error,
    /// A separator in one bank and something else in another: no firmware does that.
    Torn,
}

/// The four bytes that a separator's digest covers.
const VALUES: [([u8; 4], Separator); 3] = [
    ([0; 4], Separator::Normal),
    ([0xff; 4], Separator::Normal),
    ([1, 0, 0, 0], Separator::Error),
];

/// Their digests in the banks that are proven, so that a separator is known by its digest alone: neither its type nor its
/// data could hide it.
#[derive(Debug, Clone)]
pub(crate) struct Separators(Vec<(HashAlg, Digest, Separator)>);

impl Separators {
    pub(crate) fn new(coverage: &Coverage) -> Self {
        let banks = HashAlg::ALL
            .into_iter()
            .filter(|bank| (0..=7).any(|index| coverage.has(*bank, index)));
        Self(
            banks
                .flat_map(|bank| VALUES.map(|(value, kind)| (bank, digest(bank.algorithm(), &value), kind)))
                .collect(),
        )
    }

    /// What an event of a proven PCR is, if it is a separator.
    pub(crate) fn kind(&self, event: &BootEvent<'_>, coverage: &Coverage) -> Option<Separator> {
        let index = u8::try_from(event.pcr).ok()?;
        let mut kinds = coverage.banks(index).map(|bank| {
            let measured = event.digest(bank)?;
            self.0
                .iter()
                .find(|(alg, value, _)| *alg == bank && value.as_ref() == measured)
                .map(|(_, _, kind)| *kind)
        });
        let first = kinds.next()?;
        if !kinds.all(|other| other == first) {
            return Some(Separator::Torn);
        }
        first.filter(|kind| *kind != Separator::Error || !is_boot_order(event))
    }
}

/// The boot order 1, 0 is measured as the very bytes that tell of an error, into PCR 1.
fn is_boot_order(event: &BootEvent<'_>) -> bool {
    event.pcr == 1
        && Variable::read(event.data)
            .is_some_and(|variable| variable.is_named("BootOrder") && variable.value == [1, 0, 0, 0])
}
