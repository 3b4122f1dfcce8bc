//! Makes genuine TPM evidence from plain descriptions, for tests and the lab.
//!
//! Written without `lazaret-attest` on purpose: what is forged here from one reading of the standards is judged
//! there by another, so that one wrong table cannot hide in both directions. Never part of the product.

pub mod bank;
pub mod pcrs;

pub mod bootlog;
pub mod endorsement;
pub mod ima;
pub mod softtpm;

pub mod host;

pub mod lab;
pub mod swtpm;
