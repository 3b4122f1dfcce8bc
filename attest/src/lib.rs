//! The trusted core of Lazaret: evidence bytes in, attestation result out. No I/O, clock, randomness or state.
#![deny(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used
)]

mod digits;
pub mod reader;

pub mod challenge;
pub mod key;
pub mod pcr;
pub mod quote;
pub mod signature;

pub mod credential;
pub mod endorsement;

pub mod boot_log;
pub mod ima;

pub mod claims;
pub mod policy;
pub mod reference;

pub mod appraise;
pub mod evidence;
pub mod finding;
pub mod result;
pub mod verdict;
pub mod verify;
