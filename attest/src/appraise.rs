//! Claims against reference values.
