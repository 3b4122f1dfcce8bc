//! How much either end accepts; every bound has a source.

/// A request: a nonce, a host name, a PCR selection; or a credential and its seed. The largest honest one is
/// an activation for an RSA-2048 endorsement key, under 500 bytes.
pub const REQUEST: usize = 8 * 1024;

/// An answer: the IMA list is the bulk of it.
pub const RESPONSE: usize = 64 * 1024 * 1024;

/// The answer to an identity or activation request: three EK certificates of at most [`CERTIFICATE`] bytes.
pub const SMALL_RESPONSE: usize = 64 * 1024;

/// A problem report: one sentence.
pub const PROBLEM: usize = 4 * 1024;

/// The sentence in a problem report.
pub const PROBLEM_MESSAGE: usize = 1024;

/// nova's service host is VARCHAR(255); DNS allows 253.
pub const HOST: usize = 255;

/// TPM 2.0 implementations keep at most 16 banks (Part 2, `HASH_COUNT`); four algorithms are in use.
pub const BANKS: usize = 4;

/// PC Client Platform TPM Profile: 24 PCRs a bank.
pub const PCRS: u8 = 24;

/// SHA-512.
pub const DIGEST: usize = 64;

/// TPM2B_PUBLIC of RSA-4096 with a policy is under 700 bytes.
pub const PUBLIC: usize = 1024;

/// TPM2B_ID_OBJECT: an HMAC and an encrypted digest.
pub const CREDENTIAL: usize = 256;

/// TPM2B_ENCRYPTED_SECRET: an RSA-4096 block, or an ECC point.
pub const ENCRYPTED_SECRET: usize = 1024;

/// The activated secret is at most a digest long.
pub const SECRET: usize = DIGEST;

/// An EK certificate: the PC Client profile gives NV indexes of up to 2048 bytes; some vendors use more.
pub const CERTIFICATE: usize = 16 * 1024;

/// One EK of each kind.
pub const EKS: usize = 8;

/// TPMS_ATTEST: the TPM's own limit for TPM2B_ATTEST is about 2300 bytes.
pub const QUOTE: usize = 4 * 1024;

/// TPMT_SIGNATURE: RSA-4096 is 518 bytes.
pub const SIGNATURE: usize = 1024;

/// Firmware reserves 64 KiB to 1 MiB for its event log.
pub const BOOT_LOG: usize = 4 * 1024 * 1024;

/// About 400 000 entries of 120 bytes; leaves room for the rest of [`RESPONSE`].
pub const IMA_LOG: usize = 48 * 1024 * 1024;

/// How deep a message may nest: a list of maps of scalars, and one spare.
pub const DEPTH: usize = 8;
