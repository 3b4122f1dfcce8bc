//! The agent against a real TPM simulator: each test starts its own swtpm and its own agent process.

mod lab;

mod commands;
mod evidence;
mod identity;
mod tls;
mod trouble;
