//! The configuration file, as typed and as resolved.
