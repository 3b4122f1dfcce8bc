//! What holds of any bytes that the core is given. Each function here is the body of a fuzz target of the same name
//! (`attest/fuzz`), and an ordinary test runs it over the seeds and over changed seeds, so that a machine without
//! cargo-fuzz holds the core to the same properties.
//!
//! Beyond "no panic":
//! - reading the same bytes twice gives the same, and takes memory in proportion to them;
//! - what is read agrees with a second reader, written here from the standard;
//! - what is accepted as proven is what was honestly made, in every part that something is concluded from.
//!
//! Development only; nothing that ships depends on it.
#![expect(clippy::panic, reason = "a property that fails stops the run")]

mod memory;
mod oracle;
mod scene;

mod boot_log;
mod certificate;
mod ima;
mod key;
mod policy;
mod quote;
mod wire;

pub mod seeds;

pub use boot_log::boot_log;
pub use certificate::ek_certificate;
pub use ima::{ima_binary, ima_text};
pub use key::{public_key, signature};
pub use policy::policy;
pub use quote::quote;
pub use wire::wire_messages;

/// The name of a fuzz target and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 9] = [
    ("quote", quote),
    ("signature", signature),
    ("public_key", public_key),
    ("boot_log", boot_log),
    ("ima_text", ima_text),
    ("ima_binary", ima_binary),
    ("ek_certificate", ek_certificate),
    ("wire_messages", wire_messages),
    ("policy", policy),
];
