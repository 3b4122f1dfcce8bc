//! Between the wire and the core: a challenge goes out, evidence comes in.

use lazaret_attest::{
    challenge::{self, Challenge},
    evidence,
    pcr::{self, HashAlg},
};

use crate::{Attest, Bank, Evidence, Message, WireError, tls::Pin};

impl From<&Challenge> for Attest {
    fn from(challenge: &Challenge) -> Self {
        let selection = challenge
            .selection
            .banks()
            .map(|(alg, pcrs)| Bank { alg: alg.id(), pcrs })
            .collect();
        Self {
            nonce: challenge.nonce,
            host: challenge.host.clone(),
            selection,
            ima_first: challenge.ima_first,
        }
    }
}

impl Attest {
    /// What the quote must carry as its extraData, for an agent with this TLS key.
    pub fn qualifying_data(&self, agent_key: &Pin) -> [u8; 32] {
        challenge::qualifying_data(&self.nonce, agent_key.as_bytes(), &self.host)
    }
}

impl TryFrom<Evidence> for evidence::Evidence {
    type Error = WireError;

    fn try_from(wire: Evidence) -> Result<Self, WireError> {
        let beyond = |field| WireError::BeyondLimits {
            message: Evidence::NAME,
            field,
        };
        let value = |value: crate::PcrValue| {
            let bank = HashAlg::from_id(value.alg).ok_or_else(|| beyond("pcrs.alg"))?;
            Ok(pcr::PcrValue {
                bank,
                index: value.index,
                digest: value.digest,
            })
        };
        Ok(Self {
            quote: wire.quote,
            signature: wire.signature,
            pcrs: wire
                .pcrs
                .into_iter()
                .map(value)
                .collect::<Result<_, WireError>>()?,
            boot_log: wire.boot_log,
            ima_log: wire.ima_log,
            ima_first: wire.ima_first,
        })
    }
}
