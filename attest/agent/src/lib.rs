//! The agent of Lazaret on a compute host: quotes, logs, credential activation.
//!
//! It answers questions and decides nothing. What it says is proven by the TPM's signature or not at all, so a broken
//! agent can withhold, but not forge.

pub mod config;

pub mod logs;
pub mod tpm;

pub mod server;

pub mod doctor;
pub mod exit;
