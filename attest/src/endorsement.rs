//! The endorsement key certificate and its chain.
