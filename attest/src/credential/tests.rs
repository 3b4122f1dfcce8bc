#![expect(
    clippy::arithmetic_side_effects,
    reason = "numbers that the test itself wrote"
)]

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{AES_128, AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

use super::kdf::{hmac, kdfa, kdfe};
use super::*;
use crate::endorsement::Roots;
use crate::key::vectors::{AES_128_CFB, Draft, Signer};
use crate::key::{Curve, EndorsementKey, KeyMaterial, Name};
use crate::pcr::HashAlg;
use crate::reader::Reader;

/// AES-256-CFB.
const AES_256_CFB: [u8; 6] = [0x00, 0x06, 0x01, 0x00, 0x00, 0x43];

fn random(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| NoRandomness)
}

/// The TPM's side of an endorsement key: TPM2_ActivateCredential, written from the standard a second time.
enum Tpm {
    Rsa(PrivateDecryptingKey, KeySize),
    P256(PrivateKey),
    P384(PrivateKey),
    P521(PrivateKey),
}

impl Tpm {
    fn all() -> [Tpm; 6] {
        let rsa = |size| Tpm::Rsa(PrivateDecryptingKey::generate(size).unwrap(), size);
        [
            rsa(KeySize::Rsa2048),
            rsa(KeySize::Rsa3072),
            rsa(KeySize::Rsa4096),
            Tpm::P256(PrivateKey::generate(&agreement::ECDH_P256).unwrap()),
            Tpm::P384(PrivateKey::generate(&agreement::ECDH_P384).unwrap()),
            Tpm::P521(PrivateKey::generate(&agreement::ECDH_P521).unwrap()),
        ]
    }

    /// The Name algorithms of the templates in the TCG EK Credential Profile (2.5, B.3 and B.4).
    fn hash(&self) -> HashAlg {
        match self {
            Tpm::Rsa(_, KeySize::Rsa2048) | Tpm::P256(_) => HashAlg::Sha256,
            Tpm::Rsa(..) | Tpm::P384(_) => HashAlg::Sha384,
            Tpm::P521(_) => HashAlg::Sha512,
        }
    }

    fn public(&self) -> EndorsementKey {
        let mut draft = match self {
            Tpm::Rsa(key, _) => {
                let spki =
                    AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(&key.public_key()).unwrap();
                Draft::of(&KeyMaterial::from_spki(spki.as_ref()).unwrap()).endorsement()
            }
            Tpm::P256(key) => {
                let point = key.compute_public_key().unwrap();
                Draft::ec(3, &point.as_ref()[1..33], &point.as_ref()[33..]).endorsement()
            }
            Tpm::P384(key) => {
                let point = key.compute_public_key().unwrap();
                Draft::ec(4, &point.as_ref()[1..49], &point.as_ref()[49..]).endorsement()
            }
            Tpm::P521(key) => {
                let point = key.compute_public_key().unwrap();
                Draft::ec(5, &point.as_ref()[1..67], &point.as_ref()[67..]).endorsement()
            }
        };
        draft.name_alg = self.hash().id();
        draft.symmetric = match self.hash() {
            HashAlg::Sha256 => AES_128_CFB.to_vec(),
            _ => AES_256_CFB.to_vec(),
        };
        EndorsementKey::from_public(&draft.bytes()).unwrap()
    }

    fn seed(&self, encrypted: &[u8]) -> Vec<u8> {
        let mut r = Reader::new(encrypted);
        let body = r.sized_u16_be(1024, "TPM2B_ENCRYPTED_SECRET").unwrap();
        r.finish("TPM2B_ENCRYPTED_SECRET").unwrap();
        let (key, algorithm) = match self {
            Tpm::Rsa(key, size) => {
                let key = OaepPrivateDecryptingKey::new(key.clone()).unwrap();
                let mut plain = vec![0; 512];
                let label = Some(&b"IDENTITY\0"[..]);
                let algorithm = match size {
                    KeySize::Rsa2048 => &OAEP_SHA256_MGF1SHA256,
                    _ => &OAEP_SHA384_MGF1SHA384,
                };
                return key.decrypt(algorithm, body, &mut plain, label).unwrap().to_vec();
            }
            Tpm::P256(key) => (key, &agreement::ECDH_P256),
            Tpm::P384(key) => (key, &agreement::ECDH_P384),
            Tpm::P521(key) => (key, &agreement::ECDH_P521),
        };
        let mut r = Reader::new(body);
        let x = r.sized_u16_be(66, "x").unwrap();
        let y = r.sized_u16_be(66, "y").unwrap();
        r.finish("TPMS_ECC_POINT").unwrap();
        let own = key.compute_public_key().unwrap();
        let own_x = &own.as_ref()[1..1 + x.len()];
        let peer = UnparsedPublicKey::new(algorithm, [&[4], x, y].concat());
        let hash = self.hash();
        agreement::agree(key, peer, (), |z| {
            Ok(kdfe(hash, z, "IDENTITY", x, own_x, hash.digest_len()))
        })
        .unwrap()
    }

    /// None where a TPM would answer TPM_RC_INTEGRITY.
    fn activate(&self, offer: &Offer, loaded: &Name) -> Option<Vec<u8>> {
        let (hash, seed) = (self.hash(), self.seed(&offer.secret));
        let mut r = Reader::new(&offer.credential);
        let mut r = Reader::new(r.sized_u16_be(1024, "TPM2B_ID_OBJECT").unwrap());
        let integrity = r.sized_u16_be(64, "integrity").unwrap();
        let mut identity = r.rest().to_vec();
        let key = kdfa(hash, &seed, "INTEGRITY", &[], &[], hash.digest_len());
        if hmac(hash, &key, &[&identity, loaded.as_bytes()]) != integrity {
            return None;
        }
        let (algorithm, length) = match hash {
            HashAlg::Sha256 => (&AES_128, 16),
            _ => (&AES_256, 32),
        };
        let key = kdfa(hash, &seed, "STORAGE", loaded.as_bytes(), &[], length);
        let key = DecryptingKey::cfb128(UnboundCipherKey::new(algorithm, &key).unwrap()).unwrap();
        key.decrypt(
            &mut identity,
            DecryptionContext::Iv128(FixedLength::from([0; 16])),
        )
        .unwrap();
        let mut r = Reader::new(&identity);
        let secret = r.sized_u16_be(64, "secret").unwrap().to_vec();
        r.finish("TPM2B_DIGEST").unwrap();
        Some(secret)
    }
}

fn endorsed(tpm: &Tpm) -> EndorsedKey {
    let key = tpm.public();
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = params.self_signed(&authority).unwrap();
    let issuer = rcgen::Issuer::from_params(&params, &authority);
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyAgreement];
    let certificate = params.signed_by(&Subject::of(key.material()), &issuer).unwrap();
    let roots = Roots::from_pem_or_der([("root", root.der().as_ref())]).unwrap();
    EndorsedKey::open(certificate.der(), key.public(), &roots, 1_800_000_000).unwrap()
}

/// A public key without its private one, as rcgen wants it.
struct Subject(Vec<u8>, &'static rcgen::SignatureAlgorithm);

impl Subject {
    fn of(material: &KeyMaterial) -> Subject {
        let algorithm = match material {
            KeyMaterial::Rsa { .. } => &rcgen::PKCS_RSA_SHA256,
            KeyMaterial::Ec {
                curve: Curve::P256, ..
            } => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyMaterial::Ec {
                curve: Curve::P384, ..
            } => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyMaterial::Ec {
                curve: Curve::P521, ..
            } => &rcgen::PKCS_ECDSA_P521_SHA512,
        };
        Subject(material.verifying_bytes(), algorithm)
    }
}

impl rcgen::PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.1
    }
}

#[test]
fn a_tpm_with_both_keys_opens_the_credential_and_its_answer_activates_the_key() {
    for tpm in Tpm::all() {
        let key = Signer::p256().key();
        let (activation, offer) = Activation::begin(endorsed(&tpm), key.clone(), &mut random).unwrap();
        let answer = tpm.activate(&offer, key.name()).unwrap();
        let activated = activation.finish(&answer).unwrap();
        assert_eq!(*activated.key(), key);
        assert_eq!(*activated.endorsed().key(), tpm.public());
    }
}

#[test]
fn case_05_a_tpm_that_holds_another_attestation_key_cannot_open_the_credential() {
    for tpm in Tpm::all() {
        let offer =
            make_credential(&tpm.public(), Signer::p256().key().name(), &[5; 32], &mut random).unwrap();
        assert_eq!(
            tpm.activate(&offer, Signer::p256().key().name()),
            Some(vec![5; 32])
        );
        assert_eq!(tpm.activate(&offer, Signer::rsa().key().name()), None);
    }
}

#[test]
fn case_11_wrong_replayed_empty_and_cut_secrets_are_refused_and_never_echoed() {
    let tpm = Tpm::P256(PrivateKey::generate(&agreement::ECDH_P256).unwrap());
    let begin = || Activation::begin(endorsed(&tpm), Signer::p256().key(), &mut random).unwrap();
    let (_, earlier) = begin();
    let earlier = tpm.activate(&earlier, Signer::p256().key().name()).unwrap();
    let wrong = |answer: &dyn Fn(&[u8]) -> Vec<u8>| {
        let (activation, offer) = begin();
        let secret = tpm.activate(&offer, Signer::p256().key().name()).unwrap();
        let shown = format!("{activation:?}");
        let error = activation.finish(&answer(&secret)).unwrap_err();
        assert_eq!(error, CredentialError::WrongSecret);
        for text in [shown, error.to_string(), format!("{error:?}")] {
            assert!(
                !text.contains(&hex::encode(&secret)) && !text.contains(&format!("{secret:?}")),
                "{text}"
            );
        }
    };
    wrong(&|_| earlier.clone());
    wrong(&|_| Vec::new());
    wrong(&|_| vec![0; 32]);
    wrong(&|secret| secret[..31].to_vec());
    wrong(&|secret| [secret, &[0]].concat());
    wrong(&|secret| {
        let mut changed = secret.to_vec();
        changed[31] ^= 1;
        changed
    });
}

#[test]
fn two_credentials_for_one_key_share_nothing() {
    let tpm = Tpm::P384(PrivateKey::generate(&agreement::ECDH_P384).unwrap());
    let make = || make_credential(&tpm.public(), Signer::p256().key().name(), &[5; 32], &mut random).unwrap();
    let (a, b) = (make(), make());
    assert_ne!(a.credential, b.credential);
    assert_ne!(a.secret, b.secret);
}

#[test]
fn every_changed_byte_of_a_credential_is_noticed_by_the_tpm() {
    let tpm = Tpm::P256(PrivateKey::generate(&agreement::ECDH_P256).unwrap());
    let name = Signer::p256().key().name().clone();
    let offer = make_credential(&tpm.public(), &name, &[5; 32], &mut random).unwrap();
    // Behind the lengths: the integrity value, then what it covers.
    for at in (4..36).chain(36..offer.credential.len()) {
        let mut changed = offer.clone();
        changed.credential[at] ^= 1;
        assert_eq!(tpm.activate(&changed, &name), None, "byte {at}");
    }
}

#[test]
fn a_source_of_randomness_that_fails_or_is_stuck_ends_in_an_error() {
    let tpm = Tpm::P256(PrivateKey::generate(&agreement::ECDH_P256).unwrap());
    let name = Signer::p256().key().name().clone();
    let failed = make_credential(&tpm.public(), &name, &[5; 32], &mut |_| Err(NoRandomness));
    assert_eq!(failed, Err(CredentialError::Randomness(NoRandomness)));
    // A scalar of ones only is above the order: drawn again, but not for ever.
    let mut draws = 0;
    let stuck = make_credential(&tpm.public(), &name, &[5; 32], &mut |bytes| {
        draws += 1;
        bytes.fill(0xff);
        Ok(())
    });
    assert!(matches!(stuck, Err(CredentialError::Crypto { .. })));
    assert_eq!(draws, 4);
}

#[test]
fn a_secret_longer_than_the_name_algorithms_digest_is_refused() {
    let tpm = Tpm::P256(PrivateKey::generate(&agreement::ECDH_P256).unwrap());
    let name = Signer::p256().key().name().clone();
    let error = make_credential(&tpm.public(), &name, &[5; 33], &mut random).unwrap_err();
    assert_eq!(error, CredentialError::SecretSize { found: 33, limit: 32 });
}
