//! Who may speak: TLS 1.3 in both directions, keys pinned by their hash, or certified by the operator's authority.
//!
//! What a finished handshake proves to either side: the other end holds the private key of the pin (or of a certificate under
//! the operator's own authority), because the handshake's signature by that very key was verified. There is no resumption:
//! every connection proves it again.

mod clients;
mod identity;
mod pin;
mod server;

use std::{path::PathBuf, sync::Arc};

use rustls::{ClientConfig, RootCertStore, ServerConfig, client::Resumption, pki_types::pem::PemObject};

pub use clients::PinnedClients;
pub use identity::{IdentityError, TlsIdentity};
pub use pin::{Pin, PinError, PinMismatch, spki_sha256};
pub use server::{Peer, PinnedServer};

/// TLS settings that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Neither a pin nor an authority: nobody could ever connect.
    #[error("no client is allowed: name at least one pin or a certificate authority")]
    NobodyAllowed,
    /// The authority's file.
    #[error(
        "cannot read certificate authorities from {path}: {reason}; give a PEM file with at least one CA certificate"
    )]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What came back.
        reason: String,
    },
    /// rustls refuses the key or the settings.
    #[error("TLS settings are refused: {0}")]
    Refused(#[from] rustls::Error),
    /// rustls refuses the authorities.
    #[error("the certificate authorities are refused: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// The daemon's end of a connection to one agent.
pub fn client_config(identity: &TlsIdentity, peer: Peer) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedServer::new(peer)?))
        .with_client_auth_cert(identity.chain(), identity.key())?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The agent's end.
pub fn server_config(identity: &TlsIdentity, clients: PinnedClients) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(clients))
        .with_single_cert(identity.chain(), identity.key())?;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(config)
}

/// The operator's own certificate authorities, from a PEM file.
pub fn authorities(path: &std::path::Path) -> Result<Arc<RootCertStore>, TlsError> {
    let fail = |reason: String| TlsError::Authorities {
        path: path.to_owned(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let mut store = RootCertStore::empty();
    for certificate in rustls::pki_types::CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        store.add(certificate).map_err(|error| fail(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(fail("no certificate in it".to_owned()));
    }
    Ok(Arc::new(store))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
