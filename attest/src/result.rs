//! The attestation result.
