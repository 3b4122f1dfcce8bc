//! What can go wrong with a TPM, and how it is told to a verifier.

use std::{io, path::PathBuf};

use lazaret_wire::{EkKind, Problem};

/// Trouble with the TPM or the key that lives in it.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// No connection.
    #[error("cannot reach the TPM at {tcti}: {source}; see that it exists and that the agent may open it")]
    Unreachable {
        /// As configured.
        tcti: String,
        /// What libtss2 says.
        source: tss_esapi::Error,
    },
    /// A command failed.
    #[error("the TPM refused to {attempt}: {source}")]
    Refused {
        /// In words.
        attempt: &'static str,
        /// What libtss2 says.
        source: tss_esapi::Error,
    },
    /// The saved key is not this TPM's.
    #[error(
        "the attestation key in {path} does not load in this TPM ({reason}): it was replaced or cleared, or the file belongs to another \
         host; if that is as it should be, start the agent once with --new-identity and enrol the host again"
    )]
    IdentityLost {
        /// The blob.
        path: PathBuf,
        /// How that shows.
        reason: String,
    },
    /// The saved key cannot be read or written.
    #[error("cannot {attempt} the attestation key in {path}: {source}")]
    Blob {
        /// In words.
        attempt: &'static str,
        /// The blob.
        path: PathBuf,
        /// What came back.
        source: io::Error,
    },
    /// The saved key is damaged.
    #[error(
        "{path} holds no attestation key ({reason}): restore it, or start the agent once with --new-identity and enrol the host again"
    )]
    BlobDamaged {
        /// The blob.
        path: PathBuf,
        /// How that shows.
        reason: String,
    },
    /// No EK of this kind.
    #[error("this TPM has no {0} endorsement key")]
    NoSuchEk(EkKind),
    /// The credential is for another key, or damaged.
    #[error("the TPM cannot open the credential: {0}; it was made for other keys, or damaged")]
    CredentialRefused(tss_esapi::Error),
    /// A bank or PCR that this TPM does not have.
    #[error("this TPM has not all PCRs that were asked for ({0}); ask for active banks only")]
    NoSuchPcr(String),
    /// They never stood still.
    #[error("PCRs were extended during each of {tries} attempts to quote them; ask again")]
    Unsteady {
        /// How often it was tried.
        tries: u32,
    },
    /// The queue is full.
    #[error("too many requests wait for the TPM; ask again")]
    Busy,
    /// The answer did not come.
    #[error("the TPM did not answer in {waited_s} s; ask again")]
    Slow {
        /// How long.
        waited_s: u64,
    },
    /// The agent is going down.
    #[error("the agent is stopping")]
    Stopped,
}

impl TpmError {
    /// Whether a new connection may cure it: the TPM was restarted, or something flushed our objects.
    pub(super) fn suggests_reconnecting(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Refused { .. } => true,
            Self::IdentityLost { .. }
            | Self::Blob { .. }
            | Self::BlobDamaged { .. }
            | Self::NoSuchEk(_)
            | Self::CredentialRefused(_)
            | Self::NoSuchPcr(_)
            | Self::Unsteady { .. }
            | Self::Busy
            | Self::Slow { .. }
            | Self::Stopped => false,
        }
    }

    /// Whether the key is gone for good, so that an identity known before must not be shown any longer.
    pub(super) fn voids_the_identity(&self) -> bool {
        matches!(self, Self::IdentityLost { .. } | Self::BlobDamaged { .. })
    }
}

impl From<&TpmError> for Problem {
    fn from(error: &TpmError) -> Self {
        let code = match error {
            TpmError::Unreachable { .. } | TpmError::Refused { .. } | TpmError::Blob { .. } => {
                Self::TPM_FAILED
            }
            TpmError::IdentityLost { .. } | TpmError::BlobDamaged { .. } => Self::IDENTITY_LOST,
            TpmError::NoSuchEk(_) => Self::NO_SUCH_EK,
            TpmError::CredentialRefused(_) => Self::CREDENTIAL_REFUSED,
            TpmError::NoSuchPcr(_) => Self::NO_SUCH_PCR,
            TpmError::Unsteady { .. } => Self::PCRS_UNSTEADY,
            TpmError::Busy => Self::BUSY,
            TpmError::Slow { .. } | TpmError::Stopped => Self::TPM_SLOW,
        };
        Self::new(code, error)
    }
}

/// For `map_err`: names the command that was refused.
pub(super) fn refused(attempt: &'static str) -> impl Fn(tss_esapi::Error) -> TpmError {
    move |source| TpmError::Refused { attempt, source }
}
