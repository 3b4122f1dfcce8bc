//! The TCG event log, from bytes to proof.
//!
//! - [`BootLog`]: the bytes are a whole log in one of the TCG's two forms. It proves nothing: anyone can write one.
//! - [`ReplayedBootLog`]: its digests, extended one after the other, give exactly the PCRs that the TPM signed.
//!
//! Even then event *types* and most event *data* are only what somebody wrote beside the digests: types decide nothing
//! (except that EV_NO_ACTION is not extended, which the replay would notice), and data only where its digest covers it.

mod event;
mod facts;
mod parse;
mod replay;

pub use event::{BootEvent, EventType};
pub use parse::{BootLog, BootLogError, Form};
pub use replay::{COVERED, ReplayError, ReplayedBootLog};
