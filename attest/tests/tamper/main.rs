//! From honest evidence, every byte changed in turn, and every log entry dropped, repeated and swapped: the verdict is
//! never Affirming again, but for the fields that `fields::FREE` lists with the reason.
//!
//! `cargo test` gives each byte one of the changes, in turn; with the feature `exhaustive` (as `make test` has it) each
//! byte gets all of them.
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

#[path = "../core/host.rs"]
#[expect(dead_code, reason = "the core's tests use more of it")]
#[expect(unused_macros, unused_imports, reason = "the core's tests use more of it")]
mod host;

mod bytes;
mod condemned;
mod entries;
mod fields;
mod subject;
