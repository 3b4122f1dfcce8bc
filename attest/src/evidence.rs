//! Evidence as received.
