//! Identifiers, each a type of its own.
