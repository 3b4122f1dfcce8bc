//! Signatures of policies, as `ssh-keygen -Y sign -n lazaret-policy -f KEY FILE` makes them, and who may make them.
//!
//! What is proven of a policy's text: a key of the operator's `allowed_signers` file signed these very bytes, for this
//! purpose (the namespace), and the key may sign now. The format is OpenSSH's PROTOCOL.sshsig; the crate `ssh-key` reads it
//! as well, with a dozen crates behind it and a private key's format that nobody needs here.

mod envelope;
mod key;
mod signers;

pub use envelope::EnvelopeError;
pub use signers::{Signers, SignersError};

/// What a policy's signature must say that it is for.
pub const NAMESPACE: &str = "lazaret-policy";

/// Who signed a policy. Made only by [`Signers::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The principals of the line that allows the key, as written.
    pub principals: String,
    /// The key as `ssh-keygen -l` shows it: `SHA256:` and base64.
    pub fingerprint: String,
}

/// Why a text does not count as signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// The signature's own form.
    #[error("the signature cannot be read: {0}")]
    Envelope(#[from] EnvelopeError),
    /// Made for something else.
    #[error("the signature is for \"{found}\"; sign with ssh-keygen -Y sign -n {NAMESPACE}")]
    Namespace {
        /// What it says.
        found: String,
    },
    /// A key that nobody listed.
    #[error("the signature's key {fingerprint} is not among the allowed signers")]
    NotAllowed {
        /// The key.
        fingerprint: String,
    },
    /// A key that may not sign policies.
    #[error("line {line} of the allowed signers lets {fingerprint} sign for other namespaces only")]
    OtherNamespaces {
        /// The line, counted from 1.
        line: usize,
        /// The key.
        fingerprint: String,
    },
    /// A key that may not sign now.
    #[error("line {line} of the allowed signers lets {fingerprint} sign {when}")]
    OutOfTime {
        /// The line, counted from 1.
        line: usize,
        /// The key.
        fingerprint: String,
        /// Until when, or from when on.
        when: String,
    },
    /// The key did not sign these bytes.
    #[error("the signature was not made over this text by {fingerprint}; sign it again after every change")]
    Invalid {
        /// The key.
        fingerprint: String,
    },
}

#[cfg(test)]
mod tests;
