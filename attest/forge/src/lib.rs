//! Makes genuine TPM evidence from plain descriptions, for tests and the lab.
