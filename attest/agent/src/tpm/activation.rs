//! Credential activation: the proof that both keys live in one TPM.

use lazaret_wire::Activate;
use tss_esapi::{
    Context,
    interface_types::session_handles::AuthSession,
    structures::{EncryptedSecret, IdObject},
};
use zeroize::Zeroizing;

use super::{
    TpmError,
    attestation_key::{AttestationKey, is_a_format_one_code},
    endorsement::{self, unsized_part},
    error::refused,
};

/// Opens `request`'s credential with the endorsement key that it names.
pub(super) fn activate(
    context: &mut Context,
    key: &AttestationKey,
    request: &Activate,
) -> Result<Zeroizing<Vec<u8>>, TpmError> {
    let wrong = TpmError::CredentialRefused;
    let part = |tpm2b| {
        unsized_part(tpm2b)
            .map(<[u8]>::to_vec)
            .ok_or_else(|| wrong(wrong_size()))
    };
    let credential = IdObject::try_from(part(&request.credential)?).map_err(wrong)?;
    let secret = EncryptedSecret::try_from(part(&request.secret)?).map_err(wrong)?;
    key.with_loaded(context, |context, attestation_key| {
        endorsement::with_key(context, request.ek, |context, endorsement_key, _| {
            endorsement::with_session(context, request.ek, |context, session| {
                let sessions = (Some(AuthSession::Password), Some(session), None);
                context
                    .execute_with_sessions(sessions, |context| {
                        context.activate_credential(attestation_key, endorsement_key, credential, secret)
                    })
                    .map(|opened| Zeroizing::new(opened.to_vec()))
                    .map_err(|error| {
                        if is_a_format_one_code(&error) {
                            wrong(error)
                        } else {
                            refused("activate a credential")(error)
                        }
                    })
            })
        })
    })
}

fn wrong_size() -> tss_esapi::Error {
    tss_esapi::Error::WrapperError(tss_esapi::WrapperErrorKind::WrongParamSize)
}
