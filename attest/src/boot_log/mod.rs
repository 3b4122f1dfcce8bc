//! The TCG event log, from bytes to proof.
//!
//! - [`BootLog`]: the bytes are a whole log in one of the TCG's two forms. It proves nothing: anyone can write one.
//! - [`ReplayedBootLog`]: its digests, extended one after the other, give exactly the PCRs that the TPM signed.
//!
//! Even then event *types* and most event *data* are only what somebody wrote beside the digests: types decide nothing
//! (except that EV_NO_ACTION is not extended, which the replay would notice), and data only where its digest covers it.
//! The crate's README has the table: which claim reads what, and what covers it.

mod coverage;
mod event;
mod facts;
mod inspect;
mod parse;
mod registers;
mod replay;
mod sections;
mod secure_boot;
mod separator;
mod text;
mod variable;

pub use event::{BootEvent, Digests, EventType};
pub(crate) use facts::{Closing, Exit, Facts};
pub use inspect::Inspection;
pub use parse::{BootLog, BootLogError, Form};
pub use replay::{COVERED, OPTIONAL, ReplayError, ReplayedBootLog};
pub(crate) use secure_boot::{Pcr7, Seen};
pub(crate) use text::Reading;
pub(crate) use variable::{Signatures, guid_text};
