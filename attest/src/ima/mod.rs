//! The IMA measurement list, from bytes to proof.
//!
//! - [`ImaList`]: bytes in one of the kernel's two forms. It proves nothing.
//! - [`ReplayedImaLog`]: a prefix of it, extended onto a proven start, gives exactly the PCR 10 that the TPM signed.
//!
//! The list is read after the quote is made, so it may run ahead of it; entries behind the proven prefix decide nothing.
//! The template digest that the kernel prints is not used: each bank's digest is made from the template data, as the
//! kernel does since 5.8. Only whether it is zero matters, which marks a violation.

mod bank;
mod boot_aggregate;
mod entry;
mod keyring;
mod list;
mod replay;
mod signature;
mod subject;
mod summary;
mod template;
mod text;

pub use boot_aggregate::BOOT_AGGREGATE;
pub(crate) use boot_aggregate::compare as compare_boot_aggregate;
pub use entry::{Appended, DigestKind, Fields, ImaEntry, Metadata};
pub use keyring::{Keyring, KeyringError, MeasuredKey, NotSigned, SigningKey};
pub use list::{Cursor, Form, ImaError, ImaList};
pub use replay::{IMA_PCR, ImaReplayError, ReplayedImaLog, Start};
pub use signature::{FileSignature, KernelHash, KeyId, SignatureKind, SignedDigest};
pub use subject::Subject;
pub use summary::{ImaSummary, ListedEntry, ListedSignature, MAX_NOTES, Match, Sought};
pub use template::Template;
