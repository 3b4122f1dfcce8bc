//! The trusted core from outside: forged hosts, captures of real ones, and every byte changed.
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod host;

mod boot_log;
mod corpus;
mod findings;
mod golden;
mod ima;
mod state;
mod tamper;
