//! The TCG event log.
