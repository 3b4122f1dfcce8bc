//! Make-credential: proof that a key lives in the TPM that owns an endorsement key.
