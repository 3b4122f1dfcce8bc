//! An open TPM with its keys prepared.
//!
//! Nothing of ours stays loaded between requests: a TPM without resource manager has three slots, and a killed agent
//! would leave one taken. The attestation key waits as a saved context, which loads in a millisecond.

use std::sync::Arc;

use lazaret_wire::{Activate, Attest, Identity};
use tss_esapi::Context;
use zeroize::Zeroizing;

use super::{
    Quoted, Settings, TpmError, activation,
    attestation_key::AttestationKey,
    endorsement::{self, Endorsement},
    pcrs,
};

/// An ESYS context, the endorsement keys' public parts, and the attestation key.
#[derive(Debug)]
pub struct Connection {
    context: Context,
    endorsements: Vec<Endorsement>,
    key: AttestationKey,
    identity: Arc<Identity>,
}

impl Connection {
    /// Connects, reads EK certificates, creates EKs, loads the saved AK or makes the first one.
    pub fn open(settings: &Settings) -> Result<Self, TpmError> {
        let mut context = connect(settings)?;
        let endorsements = endorsement::all(&mut context)?;
        let key = AttestationKey::prepare(&mut context, settings, &endorsements)?;
        let identity = Arc::new(Identity {
            version: lazaret_wire::VERSION,
            host: settings.host.clone(),
            ek: endorsement::offers(&endorsements, key.parent()),
            ak_public: key.public().to_vec(),
        });
        Ok(Self {
            context,
            endorsements,
            key,
            identity,
        })
    }

    /// As every verifier may know it.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity)
    }

    /// The attestation key's Name in hex, for logs.
    pub fn key_name(&self) -> String {
        hex::encode(self.key.name())
    }

    /// Opens a credential.
    pub fn activate(&mut self, request: &Activate) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        if !self
            .endorsements
            .iter()
            .any(|endorsement| endorsement.kind == request.ek)
        {
            return Err(TpmError::NoSuchEk(request.ek));
        }
        activation::activate(&mut self.context, &self.key, request)
    }

    /// Quotes, and takes the values that belong to the quote.
    pub fn quote(&mut self, asked: &Attest, qualifying_data: &[u8; 32]) -> Result<Quoted, TpmError> {
        self.key.with_loaded(&mut self.context, |context, key| {
            pcrs::quote_steady(context, key, &asked.selection, qualifying_data)
        })
    }
}

/// Whether the TPM can be reached at all, and what it offers; makes nothing.
pub fn look(settings: &Settings) -> Result<Vec<String>, TpmError> {
    let mut context = connect(settings)?;
    let endorsements = endorsement::all(&mut context)?;
    AttestationKey::load_saved(&mut context, settings)?;
    Ok(endorsements
        .iter()
        .filter(|endorsement| !endorsement.certificate.is_empty())
        .map(|endorsement| endorsement.kind.to_string())
        .collect())
}

fn connect(settings: &Settings) -> Result<Context, TpmError> {
    let unreachable = |source| TpmError::Unreachable {
        tcti: settings.tcti.to_string(),
        source,
    };
    let mut context = Context::new(settings.tcti.name.clone()).map_err(unreachable)?;
    // Some TCTIs connect only with the first command.
    context.get_random(8).map_err(unreachable)?;
    Ok(context)
}
