//! What is asked of a host, once.
