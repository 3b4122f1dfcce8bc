//! How an agent knows its daemons: by a list of pinned keys, by the operator's own authority, or either.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{
    TlsError,
    pin::{Pin, PinMismatch, spki_sha256},
    provider,
};

/// The agent's verifier of daemons. A certificate is always demanded.
#[derive(Debug)]
pub struct PinnedClients {
    pins: Vec<Pin>,
    authority: Option<Arc<dyn ClientCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedClients {
    /// A verifier for these pins, and for certificates under these authorities. One of both must be given.
    pub fn new(pins: Vec<Pin>, roots: Option<Arc<RootCertStore>>) -> Result<Self, TlsError> {
        if pins.is_empty() && roots.is_none() {
            return Err(TlsError::NobodyAllowed);
        }
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let authority = roots
            .map(|roots| WebPkiClientVerifier::builder_with_provider(roots, provider).build())
            .transpose()?;
        Ok(Self {
            pins,
            authority,
            algorithms,
        })
    }
}

impl ClientCertVerifier for PinnedClients {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    // No hints: a daemon has one certificate, and the names of an authority are nobody's business.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let seen = spki_sha256(end_entity)?;
        if self.pins.contains(&seen) {
            return Ok(ClientCertVerified::assertion());
        }
        match &self.authority {
            Some(authority) => authority.verify_client_cert(end_entity, intermediates, now),
            None => Err(PinMismatch {
                expected: self.pins.clone(),
                seen,
            }
            .into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::SupportedVersionsExtensionRequired.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
