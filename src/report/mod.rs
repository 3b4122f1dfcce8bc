//! Quarantine reports for people.
