//! The configuration file, as typed and as resolved.

pub mod secret;
