//! The trusted core from outside: forged hosts, captures of real ones, random bytes.
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod host;

mod alternatives;
mod boot_claims;
mod boot_forms;
mod boot_log;
mod boot_rule_texts;
mod boot_rules;
mod checkquote;
mod components;
mod corpus;
mod eventlog;
mod finding_texts;
mod findings;
mod golden;
mod ima;
mod ima_formats;
mod ima_keys;
mod ima_renamed;
mod ima_rules;
mod ima_summary;
mod ima_templates;
mod policy;
mod policy_edges;
mod random;
mod review;
mod state;
