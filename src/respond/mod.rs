//! From a verdict to a host out of service.
