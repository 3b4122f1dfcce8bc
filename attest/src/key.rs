//! TPM public keys.
