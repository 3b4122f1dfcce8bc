//! Messages between the Lazaret daemon and its agents.
//!
//! The daemon asks, the agent answers: HTTPS, mutual TLS 1.3, bodies in CBOR (RFC 8949).
//! This crate owns what both ends must agree on, and nothing else:
//!
//! * [`message`]: what is asked and answered,
//! * [`limits`]: how much of it,
//! * [`codec`]: the only way in and out of bytes,
//! * [`tls`]: who may speak, by pinned key or by the operator's own authority.

pub mod message;

pub mod codec;
pub mod limits;

mod convert;
mod sequence;

pub mod tls;

pub use codec::{WireError, decode, encode};
pub use message::{
    Activate, Activated, Attest, Bank, EkKind, EkOffer, Evidence, Identity, Message, PcrValue, Problem,
};

/// The version of the messages below. It is also the first part of every path.
pub const VERSION: u16 = 1;

/// `GET`: answers [`Identity`].
pub const IDENTITY_PATH: &str = "/v1/identity";

/// `POST` [`Activate`]: answers [`Activated`].
pub const ACTIVATE_PATH: &str = "/v1/activate";

/// `POST` [`Attest`]: answers [`Evidence`].
pub const ATTEST_PATH: &str = "/v1/attest";

/// The media type of every body, in both directions.
pub const MEDIA_TYPE: &str = "application/cbor";
