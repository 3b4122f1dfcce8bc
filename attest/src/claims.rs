//! Typed facts from verified evidence, without opinion.

pub(crate) mod boot;
mod ima;
mod quote;

use serde::{Deserialize, Serialize};

pub use boot::{
    Authority, BootLogClaims, Disk, Fact, Handover, KeyStore, Listed, Measured, Section, SecureBoot,
    Separator, SeparatorState,
};
pub use ima::{BootAggregate, ImaClaims, ImaEvent, MAX_EVENTS};
pub use quote::QuoteClaims;

/// What one answer proved. A part that was not proven is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// From the quote: signed by the enrolled attestation key, in answer to this challenge.
    pub quote: Option<QuoteClaims>,
    /// From the boot log: it replays to the quoted PCRs.
    pub boot_log: Option<BootLogClaims>,
    /// From the IMA list: a prefix of it replays to the quoted PCR 10.
    pub ima: Option<ImaClaims>,
}
