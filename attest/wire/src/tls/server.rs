//! How the daemon knows an agent: by its pinned key, by first contact, or by the operator's own authority.

use std::sync::{Arc, OnceLock};

use rustls::{
    DigitallySignedStruct, Error, PeerIncompatible, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    TlsError,
    pin::{Pin, PinMismatch, spki_sha256},
    provider,
};

/// Which agent is expected at the other end.
#[derive(Clone, Debug)]
pub enum Peer {
    /// The agent that was enrolled.
    Pinned(Pin),
    /// Whoever answers; its key is put here, and is as good as the quote that binds it later. A second connection that shows another
    /// key is refused.
    FirstContact(Arc<OnceLock<Pin>>),
    /// An agent with a certificate under the operator's authority, for the name in the URL.
    Ca {
        /// The operator's authorities.
        roots: Arc<RootCertStore>,
        /// The key it showed: a quote must bind it, certificate or not.
        seen: Arc<OnceLock<Pin>>,
    },
}

/// The daemon's verifier of agents.
#[derive(Debug)]
pub struct PinnedServer {
    peer: Peer,
    authority: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedServer {
    /// A verifier that accepts this peer only.
    pub fn new(peer: Peer) -> Result<Self, TlsError> {
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let authority = match &peer {
            Peer::Ca { roots, .. } => {
                Some(WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider).build()?)
            }
            Peer::Pinned(_) | Peer::FirstContact(_) => None,
        };
        Ok(Self {
            peer,
            authority,
            algorithms,
        })
    }
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let seen = spki_sha256(end_entity)?;
        match &self.peer {
            Peer::Pinned(pin) => same(*pin, seen)?,
            Peer::FirstContact(first) => same(*first.get_or_init(|| seen), seen)?,
            Peer::Ca { seen: first, .. } => {
                let Some(authority) = &self.authority else {
                    return Err(rustls::CertificateError::UnknownIssuer.into());
                };
                authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
                same(*first.get_or_init(|| seen), seen)?;
            }
        }
        // Names and dates are not looked at for a pin: the pin is the whole trust.
        Ok(ServerCertVerified::assertion())
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

fn same(expected: Pin, seen: Pin) -> Result<(), Error> {
    if expected == seen {
        Ok(())
    } else {
        Err(PinMismatch {
            expected: vec![expected],
            seen,
        }
        .into())
    }
}
