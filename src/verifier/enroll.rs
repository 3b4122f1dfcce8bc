//! First contact: the TPM is a maker's, the attestation key lives in it, and the agent's TLS key is on its host.
//!
//! What a host is pinned to is proven in this order, each step from the one before:
//! 1. a TPM maker whom the operator trusts certified the endorsement key (EK);
//! 2. the TPM that holds this EK holds the attestation key (AK): credential activation;
//! 3. whoever holds the agent's TLS key can have this AK sign a quote that names the host and that TLS key;
//! 4. the AK stands under one of the EKs in the endorsement hierarchy, whose counters a TPM signs as they are: for a key of
//!    the owner's hierarchy it adds secret numbers, which another clearing changes.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use lazaret_attest::{
    challenge::Challenge,
    credential::{ActivatedKey, Activation, CredentialError, NoRandomness},
    endorsement::{EndorsedKey, EndorsementError, Roots},
    evidence::Evidence,
    key::{AttestationKey, EndorsementKey, KeyError, Name},
    pcr::Selection,
    quote::{QuoteError, VerifiedQuote},
};
use lazaret_wire::{
    Activate, EkKind,
    tls::{Peer, Pin},
};
use thiserror::Error;

use super::sources::{AgentSource, SourceError};
use crate::{clock::Timestamp, ids::HostName};

/// Why a host is not who it says.
#[derive(Debug, Error)]
pub enum EnrollError {
    /// No answer.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Another host's agent.
    #[error(
        "the agent at {url} says that it is the agent of {found}, not of {expected}; compare the URL with `host` in that agent's configuration"
    )]
    OtherHost {
        /// The agent's address.
        url: url::Url,
        /// Whom the operator named.
        expected: HostName,
        /// Whom the agent named.
        found: String,
    },
    /// A TPM without an EK certificate.
    #[error(
        "the TPM of {host} has no endorsement certificate in its NV memory; without its maker's word it cannot be enrolled"
    )]
    NoCertificate {
        /// The host.
        host: HostName,
    },
    /// No maker that the operator trusts certified any of its endorsement keys.
    #[error("no endorsement key of {host} can be trusted: {}", reasons(.tried))]
    Endorsement {
        /// The host.
        host: HostName,
        /// Why each was refused.
        tried: Vec<(EkKind, EndorsementError)>,
    },
    /// A trusted maker's TPM, but none that the operator's inventory knows for this host.
    #[error(
        "the TPM of {host} is genuine, but it is not this host's: its endorsement certificate is {}, and endorsement_certificates of that [[host]] does not name it; another mainboard, or another machine under that name", .found.join(" or ")
    )]
    OtherChassis {
        /// The host.
        host: HostName,
        /// SHA-256 of each certificate that it showed, as it would be written there.
        found: Vec<String>,
    },
    /// The attestation key may not sign quotes.
    #[error("the attestation key that the agent of {host} offers: {source}")]
    Key {
        /// The host.
        host: HostName,
        /// Why.
        source: KeyError,
    },
    /// The TPM did not prove that both keys are its own.
    #[error("credential activation with the TPM of {host}: {source}")]
    Credential {
        /// The host.
        host: HostName,
        /// Why.
        source: CredentialError,
    },
    /// The quote does not bind the agent's TLS key to the TPM.
    #[error(
        "the quote that should bind the agent's TLS key to the TPM of {host}: {source}; somebody may stand between"
    )]
    Binding {
        /// The host.
        host: HostName,
        /// Why.
        source: QuoteError,
    },
    /// The connection was made without a key being seen.
    #[error("no TLS key was seen on the connection to the agent of {host}")]
    NoKeySeen {
        /// The host.
        host: HostName,
    },
    /// No randomness.
    #[error("the system gave no randomness")]
    Randomness,
}

/// What was proven about a host.
#[derive(Debug)]
pub struct Proven {
    /// The host.
    pub host: HostName,
    /// The attestation key, beside an endorsed endorsement key.
    pub key: ActivatedKey,
    /// Which endorsement key.
    pub ek_kind: EkKind,
    /// Its certificate, DER.
    pub ek_certificate: Vec<u8>,
    /// The agent's TLS key.
    pub agent_key: Pin,
}

/// Proves who answers at `source`. Nothing is recorded. `inventory` is the SHA-256 of each endorsement certificate that
/// this host's TPM may have; where it is empty, every TPM of a trusted maker will do.
///
/// # Errors
/// The first proof that fails.
pub async fn prove(
    source: &AgentSource,
    seen: &Arc<OnceLock<Pin>>,
    host: &HostName,
    roots: &Roots,
    selection: &Selection,
    inventory: &[[u8; 32]],
    now: Timestamp,
) -> Result<Proven, EnrollError> {
    let offered = source.identity().await?;
    if offered.host != host.as_str() {
        return Err(EnrollError::OtherHost {
            url: source.url().clone(),
            expected: host.clone(),
            found: offered.host,
        });
    }
    let key = AttestationKey::from_public(&offered.ak_public).map_err(|source| EnrollError::Key {
        host: host.clone(),
        source,
    })?;
    if offered.ek.is_empty() {
        return Err(EnrollError::NoCertificate { host: host.clone() });
    }
    let names: Vec<Name> = offered
        .ek
        .iter()
        .filter_map(|offer| EndorsementKey::from_public(&offer.public).ok())
        .map(|parent| key.qualified_name_under(&parent))
        .collect();
    let (kind, certificate, endorsed) = endorsed(host, offered.ek, roots, inventory, now)?;

    let failed = |source| EnrollError::Credential {
        host: host.clone(),
        source,
    };
    let (activation, credential) = Activation::begin(endorsed, key, &mut fill).map_err(failed)?;
    let answer = source
        .activate(&Activate {
            ek: kind,
            credential: credential.credential,
            secret: credential.secret,
        })
        .await?;
    let key = activation.finish(&answer.secret).map_err(failed)?;

    let agent_key = *seen
        .get()
        .ok_or_else(|| EnrollError::NoKeySeen { host: host.clone() })?;
    let challenge = Challenge {
        nonce: nonce()?,
        host: host.as_str().to_owned(),
        agent_key: *agent_key.as_bytes(),
        selection: selection.clone(),
        ima_first: 0,
    };
    let evidence = source.attest(&challenge).await?;
    let beside = key.key().qualified_name_under(key.endorsed().key());
    bound(&evidence, &challenge, key.key(), &beside, &names).map_err(|source| EnrollError::Binding {
        host: host.clone(),
        source,
    })?;
    Ok(Proven {
        host: host.clone(),
        key,
        ek_kind: kind,
        ek_certificate: certificate,
        agent_key,
    })
}

/// Goes on only if the key signed a quote that answers the challenge, under the name that it has beside the endorsed key
/// or beside another endorsement key of its TPM.
fn bound(
    evidence: &Evidence,
    challenge: &Challenge,
    key: &AttestationKey,
    beside: &Name,
    others: &[Name],
) -> Result<(), QuoteError> {
    let quote = VerifiedQuote::open(&evidence.quote, &evidence.signature, key)?;
    let signer = others.iter().find(|name| *name == quote.qualified_signer());
    let signer = signer.unwrap_or(beside).clone();
    quote.signed_as(&signer)?.answers(challenge).map(|_| ())
}

/// A TLS peer whose key is taken as seen, and where it is put.
pub fn first_contact() -> (Peer, Arc<OnceLock<Pin>>) {
    let seen = Arc::new(OnceLock::new());
    (Peer::FirstContact(Arc::clone(&seen)), seen)
}

/// A fresh nonce.
///
/// # Errors
/// The system has no randomness.
pub fn nonce() -> Result<[u8; 32], EnrollError> {
    let mut nonce = [0; 32];
    SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| EnrollError::Randomness)?;
    Ok(nonce)
}

fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    SystemRandom::new().fill(bytes).map_err(|_| NoRandomness)
}

/// The first endorsement key that a trusted maker certified, and that is this host's as far as the inventory says.
fn endorsed(
    host: &HostName,
    offers: Vec<lazaret_wire::EkOffer>,
    roots: &Roots,
    inventory: &[[u8; 32]],
    now: Timestamp,
) -> Result<(EkKind, Vec<u8>, EndorsedKey), EnrollError> {
    let (mut tried, mut others) = (Vec::new(), Vec::new());
    for offer in offers {
        match EndorsedKey::open(
            &offer.certificate,
            &offer.public,
            roots,
            now.as_millis().div_euclid(1_000),
        ) {
            Ok(endorsed) => {
                let own = endorsed.chain().first().map(|link| link.sha256);
                if inventory.is_empty() || own.is_some_and(|own| inventory.contains(&own)) {
                    return Ok((offer.kind, offer.certificate, endorsed));
                }
                others.extend(own.map(|own| format!("sha256:{}", hex::encode(own))));
            }
            Err(error) => tried.push((offer.kind, error)),
        }
    }
    if !others.is_empty() {
        return Err(EnrollError::OtherChassis {
            host: host.clone(),
            found: others,
        });
    }
    Err(EnrollError::Endorsement {
        host: host.clone(),
        tried,
    })
}

fn reasons(tried: &[(EkKind, EndorsementError)]) -> String {
    tried
        .iter()
        .map(|(kind, error)| format!("{kind}: {error}"))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use lazaret_forge::{pcrs::Pcrs, softtpm::SoftTpm};

    use super::*;

    /// A maker, and one TPM of its own with two endorsement keys: P-256 twice, which is enough here.
    fn maker_and_offers() -> (Roots, Vec<lazaret_wire::EkOffer>) {
        use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = authority.self_signed(&key).unwrap();
        let issuer = Issuer::from_params(&authority, &key);
        let offer = |kind| {
            let ek = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
            // TPMT_PUBLIC of the P-256 template (TCG EK Credential Profile, B.3.4), without its policy.
            let point = rcgen::PublicKeyData::der_bytes(&ek);
            let area = [
                &hex::decode("0023000b000300b2000000060080004300100003001000").unwrap()[..],
                &[32],
                &point[1..33],
                &[0, 32],
                &point[33..],
            ]
            .concat();
            let length = u16::try_from(area.len()).unwrap().to_be_bytes();
            lazaret_wire::EkOffer {
                kind,
                public: [&length[..], &area].concat(),
                certificate: params.signed_by(&ek, &issuer).unwrap().der().to_vec(),
            }
        };
        let offers = vec![offer(EkKind::Rsa2048), offer(EkKind::EccP256)];
        let roots = Roots::from_pem_or_der([("root", root.der().as_ref())]).unwrap();
        (roots, offers)
    }

    #[test]
    fn case_10_a_tpm_that_is_not_this_chassis_is_refused_though_it_is_genuine() {
        let (roots, offers) = maker_and_offers();
        let host: HostName = "cmp-1".parse().unwrap();
        let now = Timestamp::from_millis(1_800_000_000_000);
        let digest = |offer: &lazaret_wire::EkOffer| crate::ids::Sha256Digest::of(&offer.certificate);
        let chosen = |inventory: &[[u8; 32]]| {
            endorsed(&host, offers.clone(), &roots, inventory, now).map(|(kind, ..)| kind)
        };
        assert_eq!(chosen(&[]).unwrap(), EkKind::Rsa2048);
        // The one that the inventory knows, whichever the agent names first.
        assert_eq!(chosen(&[[7; 32], digest(&offers[1]).0]).unwrap(), EkKind::EccP256);
        let error = chosen(&[[7; 32]]).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, EnrollError::OtherChassis { .. }), "{text}");
        for offer in &offers {
            assert!(text.contains(&format!("sha256:{}", digest(offer))), "{text}");
        }
    }

    #[test]
    fn case_25_a_million_nonces_are_all_different() {
        let mut seen = std::collections::HashSet::with_capacity(1_000_000);
        for _ in 0..1_000_000 {
            assert!(seen.insert(nonce().unwrap()));
        }
        // None of their bytes stands still: 32 positions, each with every value there is.
        let mut values = [[false; 256]; 32];
        for nonce in &seen {
            for (at, byte) in nonce.iter().enumerate() {
                values[at][usize::from(*byte)] = true;
            }
        }
        assert!(values.iter().flatten().all(|met| *met));
    }

    /// The forge's TPM has its attestation key as a primary key: genuine, but not below an endorsement key.
    #[test]
    fn case_29_a_key_that_does_not_stand_under_an_endorsement_key_is_refused() {
        let mut tpm = SoftTpm::p256("enrolment");
        let challenge = Challenge {
            nonce: [7; 32],
            host: "cmp-1".to_owned(),
            agent_key: [9; 32],
            selection: "sha256:0".parse().unwrap(),
            ima_first: 0,
        };
        let bank = lazaret_forge::bank::Bank::Sha256;
        let pcrs = Pcrs::at_startup(&[bank], 0);
        let quote = tpm
            .quote(&challenge.qualifying_data(), &[(bank, &[0])], &pcrs)
            .unwrap();
        let evidence = Evidence {
            quote: quote.attest,
            signature: quote.signature,
            pcrs: Vec::new(),
            boot_log: Vec::new(),
            ima_log: Vec::new(),
            ima_first: 0,
        };
        let key = AttestationKey::from_public(&tpm.key.public()).unwrap();
        let (endorsed, other) = (Name::from_bytes(&[1; 34]), Name::from_bytes(&[2; 34]));
        let error = bound(
            &evidence,
            &challenge,
            &key,
            &endorsed,
            std::slice::from_ref(&other),
        )
        .unwrap_err();
        assert!(matches!(error, QuoteError::Signer { .. }), "{error}");

        let own = Name::from_bytes(&tpm.key.qualified_name());
        assert_eq!(
            bound(&evidence, &challenge, &key, &own, std::slice::from_ref(&other)),
            Ok(())
        );
        assert_eq!(
            bound(&evidence, &challenge, &key, &other, &[endorsed, own]),
            Ok(())
        );
    }
}
