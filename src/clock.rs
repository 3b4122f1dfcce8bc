//! Time, so that tests can hold it.
