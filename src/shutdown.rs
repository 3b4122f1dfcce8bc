//! An orderly end.
