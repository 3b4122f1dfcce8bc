//! The trusted core from outside: forged hosts, captures of real ones, random bytes.
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod host;

mod boot_log;
mod corpus;
mod findings;
mod golden;
mod ima;
mod random;
mod ima_templates;
mod state;
