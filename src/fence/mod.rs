//! Makes sure that a host is off, and sees it.
