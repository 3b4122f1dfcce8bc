//! Endorsement keys by the TCG's default templates, and their certificates from NV.

use lazaret_wire::{EkKind, EkOffer, limits};
use tracing::warn;
use tss_esapi::{
    Context, Error,
    abstraction::{AsymmetricAlgorithmSelection, ek},
    constants::{SessionType, response_code::Tss2ResponseCodeKind},
    handles::{AuthHandle, KeyHandle, SessionHandle},
    interface_types::{
        algorithm::HashingAlgorithm,
        ecc::EccCurve,
        key_bits::RsaKeyBits,
        resource_handles::Hierarchy,
        session_handles::{AuthSession, PolicySession},
    },
    structures::SymmetricDefinition,
    traits::Marshall,
};

use super::{TpmError, error::refused};

/// One endorsement key of this TPM.
#[derive(Debug, Clone)]
pub(super) struct Endorsement {
    pub(super) kind: EkKind,
    /// TPM2B_PUBLIC.
    pub(super) public: Vec<u8>,
    /// DER; empty if NV has none.
    pub(super) certificate: Vec<u8>,
}

/// The endorsement keys that have a certificate; without any, the RSA one (or the first that can be made) as it is.
pub(super) fn all(context: &mut Context) -> Result<Vec<Endorsement>, TpmError> {
    let mut found = Vec::new();
    for kind in EkKind::ALL {
        let Some(certificate) = certificate(context, kind)? else {
            continue;
        };
        let public = public(context, kind)?;
        found.push(Endorsement {
            kind,
            public,
            certificate,
        });
    }
    if found.is_empty() {
        warn!(
            "the TPM's NV holds no endorsement key certificate; a verifier can enrol this host only with one from its maker"
        );
        let mut last = None;
        for kind in EkKind::ALL {
            match public(context, kind) {
                Ok(public) => {
                    return Ok(vec![Endorsement {
                        kind,
                        public,
                        certificate: Vec::new(),
                    }]);
                }
                Err(error) => last = Some(error),
            }
        }
        return Err(last.unwrap_or(TpmError::NoSuchEk(EkKind::Rsa2048)));
    }
    Ok(found)
}

/// What a verifier is offered: the attestation key's parent first.
pub(super) fn offers(endorsements: &[Endorsement], parent: EkKind) -> Vec<EkOffer> {
    let mut offers: Vec<EkOffer> = endorsements
        .iter()
        .map(|endorsement| EkOffer {
            kind: endorsement.kind,
            public: endorsement.public.clone(),
            certificate: endorsement.certificate.clone(),
        })
        .collect();
    offers.sort_by_key(|offer| offer.kind != parent);
    offers
}

/// Runs `f` with the endorsement key created, and flushes it after.
pub(super) fn with_key<T>(
    context: &mut Context,
    kind: EkKind,
    f: impl FnOnce(&mut Context, KeyHandle, Vec<u8>) -> Result<T, TpmError>,
) -> Result<T, TpmError> {
    let made = refused("create its endorsement key");
    let template = ek::create_ek_public_from_default_template_2(algorithm(kind), None).map_err(&made)?;
    let created = context
        .execute_with_session(Some(AuthSession::Password), |context| {
            context.create_primary(Hierarchy::Endorsement, template, None, None, None, None)
        })
        .map_err(&made)?;
    let result = sized(&created.out_public).and_then(|public| f(context, created.key_handle, public));
    let flushed = context
        .flush_context(created.key_handle.into())
        .map_err(refused("flush its endorsement key"));
    let result = result?;
    flushed.map(|()| result)
}

/// Runs `f` with a session that authorises the use of the endorsement key.
pub(super) fn with_session<T>(
    context: &mut Context,
    kind: EkKind,
    f: impl FnOnce(&mut Context, AuthSession) -> Result<T, TpmError>,
) -> Result<T, TpmError> {
    match kind {
        // Template H has userWithAuth, and its authorisation value is empty.
        EkKind::EccP384 => f(context, AuthSession::Password),
        // Template L is used by PolicySecret(endorsement hierarchy) only.
        EkKind::Rsa2048 | EkKind::EccP256 => {
            let refused =
                refused("authorise its endorsement key; is the endorsement hierarchy's password set?");
            let session = context
                .start_auth_session(
                    None,
                    None,
                    None,
                    SessionType::Policy,
                    SymmetricDefinition::AES_128_CFB,
                    HashingAlgorithm::Sha256,
                )
                .and_then(|session| {
                    session.ok_or(Error::WrapperError(
                        tss_esapi::WrapperErrorKind::WrongValueFromTpm,
                    ))
                })
                .map_err(&refused)?;
            let result = context
                .execute_with_session(Some(AuthSession::Password), |context| {
                    let policy = PolicySession::try_from(session)?;
                    let none = Default::default;
                    context.policy_secret(
                        policy,
                        AuthHandle::Endorsement,
                        none(),
                        Default::default(),
                        Default::default(),
                        None,
                    )
                })
                .map_err(&refused)
                .and_then(|_| f(context, session));
            let flushed = context
                .flush_context(SessionHandle::from(session).into())
                .map_err(&refused);
            let result = result?;
            flushed.map(|()| result)
        }
    }
}

/// TPM2B form of a public area.
pub(super) fn sized(public: &tss_esapi::structures::Public) -> Result<Vec<u8>, TpmError> {
    let area = public
        .marshall()
        .map_err(refused("give a public area that can be written"))?;
    let size = u16::try_from(area.len()).unwrap_or(u16::MAX);
    let mut bytes = size.to_be_bytes().to_vec();
    bytes.extend(area);
    Ok(bytes)
}

/// What follows the size of a TPM2B; none if the size is not that of the rest.
pub(super) fn unsized_part(tpm2b: &[u8]) -> Option<&[u8]> {
    let (size, rest) = tpm2b.split_first_chunk::<2>()?;
    (usize::from(u16::from_be_bytes(*size)) == rest.len()).then_some(rest)
}

/// Cuts what NV has behind a DER certificate: the index is larger than the certificate, or filled up with FF or 00.
pub(super) fn strip_padding(nv: &[u8]) -> Option<&[u8]> {
    let (tag, rest) = nv.split_first()?;
    if *tag != 0x30 {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    let (length, header) = match *first {
        short @ 0..=0x7f => (usize::from(short), 2),
        0x81 => (usize::from(*rest.first()?), 3),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        // An NV index has at most 65535 bytes.
        _ => return None,
    };
    nv.get(..header + length)
}

fn public(context: &mut Context, kind: EkKind) -> Result<Vec<u8>, TpmError> {
    with_key(context, kind, |_, _, public| Ok(public))
}

fn certificate(context: &mut Context, kind: EkKind) -> Result<Option<Vec<u8>>, TpmError> {
    let nv = match ek::retrieve_ek_pubcert(context, algorithm(kind)) {
        Ok(nv) => nv,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(source) => {
            return Err(TpmError::Refused {
                attempt: "read an endorsement key certificate from NV",
                source,
            });
        }
    };
    let certificate = strip_padding(&nv).filter(|der| der.len() <= limits::CERTIFICATE);
    if certificate.is_none() {
        warn!(%kind, bytes = nv.len(), "the NV index of an endorsement key certificate holds no DER certificate; it is passed over");
    }
    Ok(certificate.map(<[u8]>::to_vec))
}

/// No such index, or one that was never written.
fn is_absent(error: &Error) -> bool {
    let Error::Tss2Error(code) = error else {
        return false;
    };
    matches!(
        code.kind(),
        Some(Tss2ResponseCodeKind::Handle | Tss2ResponseCodeKind::NvUninitialized)
    )
}

fn algorithm(kind: EkKind) -> AsymmetricAlgorithmSelection {
    match kind {
        EkKind::Rsa2048 => AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048),
        EkKind::EccP256 => AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP256),
        EkKind::EccP384 => AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP384),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_is_cut_and_certificates_are_not() {
        for length in [5usize, 127, 128, 255, 256, 1010, 65000] {
            let mut der = vec![0x30];
            match length {
                0..=0x7f => der.push(length as u8),
                0x80..=0xff => der.extend([0x81, length as u8]),
                _ => {
                    der.push(0x82);
                    der.extend((length as u16).to_be_bytes());
                }
            }
            der.extend(std::iter::repeat_n(7, length));
            assert_eq!(strip_padding(&der), Some(&der[..]), "length {length}");
            for padding in [0x00, 0xff] {
                let mut nv = der.clone();
                nv.extend([padding; 300]);
                assert_eq!(
                    strip_padding(&nv),
                    Some(&der[..]),
                    "length {length}, padded with {padding:02x}"
                );
            }
            assert_eq!(strip_padding(&der[..der.len() - 1]), None, "length {length}, cut");
        }
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        for nv in [
            &[][..],
            &[0xff; 64],
            &[0x00; 64],
            &[0x30],
            &[0x30, 0x82, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x84, 0, 0, 0, 0],
        ] {
            assert_eq!(strip_padding(nv), None, "{nv:02x?}");
        }
    }

    #[test]
    fn a_tpm2b_must_have_exactly_its_size() {
        assert_eq!(unsized_part(&[0, 2, 8, 9]), Some(&[8, 9][..]));
        assert_eq!(unsized_part(&[0, 0]), Some(&[][..]));
        for wrong in [&[][..], &[0], &[0, 2, 8], &[0, 2, 8, 9, 10]] {
            assert_eq!(unsized_part(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(nv: Vec<u8>) {
            if let Some(der) = strip_padding(&nv) {
                prop_assert!(nv.starts_with(der));
            }
            let _ = unsized_part(&nv);
        }
    }
}
