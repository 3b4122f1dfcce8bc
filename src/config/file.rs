//! The configuration as typed: TOML tables and keys, with their defaults.
