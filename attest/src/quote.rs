//! TPMS_ATTEST of a quote, from bytes to proof.
