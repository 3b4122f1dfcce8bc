mod corpus;
mod lists;
mod makers;
mod outline;
mod search;

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RsaKeySize, date_time_ymd,
};

use super::*;
use crate::key::vectors::Draft;
use crate::key::{KeyError, KeyMaterial, MaterialError};

/// 2026-11-21 00:00 UTC.
const NOW: i64 = 1_795_219_200;
const EK_CERTIFICATE: [u64; 5] = [2, 23, 133, 8, 1];

/// A certificate authority of a made-up TPM maker.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

impl Authority {
    fn root(name: &str) -> Authority {
        Authority::self_signed(authority(name), KeyPair::generate().unwrap())
    }

    fn self_signed(params: CertificateParams, key: KeyPair) -> Authority {
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Authority { params, key, der }
    }

    fn issue(&self, params: CertificateParams) -> Authority {
        let key = KeyPair::generate().unwrap();
        let der = self.sign(&params, &key);
        Authority { params, key, der }
    }

    fn sign(&self, params: &CertificateParams, key: &impl PublicKeyData) -> Vec<u8> {
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(key, &issuer).unwrap().der().to_vec()
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.use_authority_key_identifier_extension = true;
    params
}

/// What a genuine EK certificate says; the subject is empty and the TPM's model stands in a critical SAN.
fn ek_params(usage: KeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![usage];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(EK_CERTIFICATE.to_vec())];
    params.use_authority_key_identifier_extension = true;
    params.custom_extensions.push(critical(&[2, 5, 29, 17], MODEL));
    params
}

/// GeneralNames with a directoryName: 2.23.133.2.1 = "id:4C5A5254".
const MODEL: &[u8] = &[
    0x30, 0x1d, 0xa4, 0x1b, 0x30, 0x19, 0x31, 0x17, 0x30, 0x15, 0x06, 0x05, 0x67, 0x81, 0x05, 0x02, 0x01,
    0x0c, 0x0c, b'i', b'd', b':', b'4', b'C', b'5', b'A', b'5', b'2', b'5', b'4', b'!',
];

fn critical(oid: &[u64], content: &[u8]) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
    extension.set_criticality(true);
    extension
}

fn p256() -> CertificateParams {
    ek_params(KeyUsagePurpose::KeyAgreement)
}

fn public(material: &KeyMaterial) -> Vec<u8> {
    Draft::of(material).endorsement().bytes()
}

fn public_of(key: &KeyPair) -> Vec<u8> {
    public(&KeyMaterial::from_spki(&key.subject_public_key_info()).unwrap())
}

fn roots(authorities: &[&Authority]) -> Roots {
    Roots::from_pem_or_der(authorities.iter().map(|a| ("maker.der", a.der.as_slice()))).unwrap()
}

/// Root, intermediate, and an EK certificate by the intermediate after `change`.
fn maker(change: impl FnOnce(&mut CertificateParams)) -> (Authority, Authority, KeyPair, Vec<u8>) {
    let root = Authority::root("maker root");
    let intermediate = root.issue(authority("maker CA"));
    let ek = KeyPair::generate().unwrap();
    let mut params = p256();
    change(&mut params);
    let certificate = intermediate.sign(&params, &ek);
    (root, intermediate, ek, certificate)
}

fn verdict_on(change: impl FnOnce(&mut CertificateParams)) -> Result<EndorsedKey, EndorsementError> {
    let (root, intermediate, ek, certificate) = maker(change);
    EndorsedKey::open(
        &certificate,
        &public_of(&ek),
        &roots(&[&root, &intermediate]),
        NOW,
    )
}

fn verdict_with(change: impl FnOnce(&mut CertificateParams)) -> Result<EndorsedKey, EndorsementError> {
    let root = Authority::root("maker root");
    let mut params = authority("maker CA");
    change(&mut params);
    let intermediate = root.issue(params);
    let ek = KeyPair::generate().unwrap();
    let certificate = intermediate.sign(&p256(), &ek);
    EndorsedKey::open(
        &certificate,
        &public_of(&ek),
        &roots(&[&intermediate, &root]),
        NOW,
    )
}

#[test]
fn a_genuine_chain_is_endorsed_and_shown() {
    let endorsed = verdict_on(|_| {}).unwrap();
    let names: Vec<&str> = endorsed
        .chain()
        .iter()
        .map(|link| link.subject.as_str())
        .collect();
    assert_eq!(names[1..], ["CN=maker CA", "CN=maker root"]);
    assert!(names[0].starts_with("(no subject, serial "), "{}", names[0]);
    assert_eq!(endorsed.chain()[0].issuer, "CN=maker CA");
    assert_eq!(endorsed.chain()[0].file, None);
    assert_eq!(endorsed.chain()[2].file.as_deref(), Some("maker.der"));
}

#[test]
fn makers_of_every_key_kind_and_size_are_accepted() {
    let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA384, size).unwrap();
    let keys = [
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        rsa(RsaKeySize::_2048),
        rsa(RsaKeySize::_3072),
        rsa(RsaKeySize::_4096),
    ];
    for key in keys {
        let root = Authority::self_signed(authority("maker root"), key);
        for (usage, ek) in [
            (
                KeyUsagePurpose::KeyEncipherment,
                KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap(),
            ),
            (
                KeyUsagePurpose::KeyAgreement,
                KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
            ),
        ] {
            let certificate = root.sign(&ek_params(usage), &ek);
            let endorsed = EndorsedKey::open(&certificate, &public_of(&ek), &roots(&[&root]), NOW).unwrap();
            assert_eq!(endorsed.chain().len(), 2);
        }
    }
}

#[test]
fn case_06_a_certificate_over_another_key_is_refused() {
    let (root, intermediate, _, certificate) = maker(|_| {});
    let other = public_of(&KeyPair::generate().unwrap());
    let error = EndorsedKey::open(&certificate, &other, &roots(&[&root, &intermediate]), NOW).unwrap_err();
    assert!(matches!(error, EndorsementError::OtherKey { .. }));
}

#[test]
fn case_07_certificates_before_and_after_their_time_are_refused() {
    let expired = verdict_on(|params| params.not_after = date_time_ymd(2026, 11, 20)).unwrap_err();
    assert!(matches!(expired, EndorsementError::NotValidNow { now: NOW, .. }));
    let early = verdict_on(|params| params.not_before = date_time_ymd(2026, 11, 22)).unwrap_err();
    assert!(matches!(early, EndorsementError::NotValidNow { .. }));
    assert!(verdict_on(|params| params.not_after = date_time_ymd(9999, 12, 31)).is_ok());
    let authority = verdict_with(|params| params.not_after = date_time_ymd(2026, 11, 20)).unwrap_err();
    assert!(matches!(authority, EndorsementError::NotValidNow { subject, .. } if subject == "CN=maker CA"));
    let mut params = authority_params_expired();
    params.use_authority_key_identifier_extension = false;
    let root = Authority::self_signed(params, KeyPair::generate().unwrap());
    let ek = KeyPair::generate().unwrap();
    let certificate = root.sign(&p256(), &ek);
    let error = EndorsedKey::open(&certificate, &public_of(&ek), &roots(&[&root]), NOW).unwrap_err();
    assert!(matches!(error, EndorsementError::NotValidNow { subject, .. } if subject == "CN=old root"));
}

fn authority_params_expired() -> CertificateParams {
    let mut params = authority("old root");
    params.not_after = date_time_ymd(2020, 1, 1);
    params
}

#[test]
fn case_07_wrong_or_missing_usages_are_refused() {
    let lacks = |found: Result<EndorsedKey, EndorsementError>, word: &str| {
        let error = found.unwrap_err();
        assert!(
            matches!(&error, EndorsementError::Usage { usage, .. } if usage.contains(word)),
            "{error}"
        );
    };
    lacks(verdict_on(|p| p.extended_key_usages.clear()), "2.23.133.8.1");
    lacks(
        verdict_on(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        "2.23.133.8.1",
    );
    lacks(
        verdict_on(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]),
        "2.23.133.8.1",
    );
    lacks(
        verdict_on(|p| p.key_usages = vec![KeyUsagePurpose::DigitalSignature]),
        "keyAgreement",
    );
    lacks(
        verdict_on(|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
        "keyAgreement",
    );
    lacks(verdict_on(|p| p.key_usages.clear()), "keyAgreement");
    // An RSA key decrypts, which is another usage.
    let root = Authority::root("maker root");
    let ek = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    for usage in [KeyUsagePurpose::KeyAgreement, KeyUsagePurpose::DigitalSignature] {
        let certificate = root.sign(&ek_params(usage), &ek);
        let found = EndorsedKey::open(&certificate, &public_of(&ek), &roots(&[&root]), NOW);
        lacks(found, "keyEncipherment");
    }
    let authority = verdict_on(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)).unwrap_err();
    assert!(matches!(authority, EndorsementError::IsAuthority { .. }));
}

#[test]
fn case_07_an_intermediate_posing_as_root_is_refused_and_its_issuer_named() {
    let (_, intermediate, ek, certificate) = maker(|_| {});
    let error = EndorsedKey::open(&certificate, &public_of(&ek), &roots(&[&intermediate]), NOW).unwrap_err();
    let EndorsementError::MissingIssuer {
        subject,
        issuer,
        key_id,
        url: None,
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (subject.as_str(), issuer.as_str()),
        ("CN=maker CA", "CN=maker root")
    );
    assert_eq!(key_id.len(), 40, "{key_id}");
    assert!(error.to_string().contains(key_id));
}

#[test]
fn case_07_a_certificate_that_is_no_authority_cannot_issue() {
    let refused = |found: Result<EndorsedKey, EndorsementError>, word: &str| {
        let error = found.unwrap_err();
        assert!(
            matches!(&error, EndorsementError::NotAuthority { reason, .. } if reason.contains(word)),
            "{error}"
        );
    };
    refused(
        verdict_with(|p| p.is_ca = IsCa::ExplicitNoCa),
        "basic constraints",
    );
    refused(
        verdict_with(|p| p.key_usages = vec![KeyUsagePurpose::CrlSign]),
        "keyCertSign",
    );
    refused(
        verdict_with(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        "extended",
    );
    assert!(verdict_with(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]).is_ok());
    assert!(
        verdict_with(|p| p.key_usages.clear()).is_ok(),
        "no key usage restricts nothing"
    );
}

#[test]
fn case_07_a_path_longer_than_an_authority_allows_is_refused() {
    let mut params = authority("maker root");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let root = Authority::self_signed(params, KeyPair::generate().unwrap());
    let intermediate = root.issue(authority("maker CA"));
    let ek = KeyPair::generate().unwrap();
    let (direct, through) = (root.sign(&p256(), &ek), intermediate.sign(&p256(), &ek));
    let roots = roots(&[&root, &intermediate]);
    assert!(EndorsedKey::open(&direct, &public_of(&ek), &roots, NOW).is_ok());
    let error = EndorsedKey::open(&through, &public_of(&ek), &roots, NOW).unwrap_err();
    assert!(matches!(error, EndorsementError::NotAuthority { reason, .. } if reason.contains("path length")));
}

#[test]
fn a_chain_without_end_is_given_up() {
    let root = Authority::root("maker root");
    let mut chain = vec![root.issue(authority("CA 0"))];
    for level in 1..8 {
        let next = chain[level - 1].issue(authority(&format!("CA {level}")));
        chain.push(next);
    }
    let ek = KeyPair::generate().unwrap();
    let all: Vec<&Authority> = chain.iter().chain([&root]).collect();
    let roots = roots(&all);
    let by = |level: usize| {
        let certificate = chain[level].sign(&p256(), &ek);
        EndorsedKey::open(&certificate, &public_of(&ek), &roots, NOW)
    };
    assert_eq!(by(4).unwrap().chain().len(), 7, "six authorities");
    for (level, left) in [(5, "CN=CA 0"), (7, "CN=CA 2")] {
        let error = by(level).unwrap_err();
        assert!(
            matches!(&error, EndorsementError::TooLong { subject, limit: 6 } if subject == left),
            "{error}"
        );
    }
}

#[test]
fn an_issuer_of_the_same_name_is_not_taken_for_the_issuer() {
    let (_, _, ek, certificate) = maker(|_| {});
    let foreign_root = Authority::root("maker root");
    let foreign = foreign_root.issue(authority("maker CA"));
    let trusted = roots(&[&foreign_root, &foreign]);
    let error = EndorsedKey::open(&certificate, &public_of(&ek), &trusted, NOW).unwrap_err();
    assert!(matches!(error, EndorsementError::MissingIssuer { issuer, .. } if issuer == "CN=maker CA"));
    // Without a key identifier every authority is tried by its key.
    let (root, intermediate, ek, certificate) =
        maker(|params| params.use_authority_key_identifier_extension = false);
    let error = EndorsedKey::open(&certificate, &public_of(&ek), &trusted, NOW).unwrap_err();
    assert!(matches!(error, EndorsementError::MissingIssuer { key_id, .. } if key_id == "none"));
    let both = roots(&[&foreign_root, &foreign, &root, &intermediate]);
    assert!(EndorsedKey::open(&certificate, &public_of(&ek), &both, NOW).is_ok());
}

#[test]
fn a_forged_signature_under_a_trusted_key_identifier_is_refused() {
    let (root, intermediate, ek, _) = maker(|_| {});
    let mut params = authority("maker CA");
    params.key_identifier_method =
        KeyIdMethod::PreSpecified(intermediate.params.key_identifier(&intermediate.key));
    let forger = Authority::self_signed(params, KeyPair::generate().unwrap());
    let certificate = forger.sign(&p256(), &ek);
    let error = EndorsedKey::open(
        &certificate,
        &public_of(&ek),
        &roots(&[&root, &intermediate]),
        NOW,
    );
    assert!(
        matches!(error, Err(EndorsementError::SignatureInvalid { issuer, .. }) if issuer == "CN=maker CA")
    );
}

#[test]
fn unknown_critical_extensions_are_refused_wherever_they_stand() {
    let unknown = || critical(&[1, 2, 3, 4], &[5, 0]);
    let found = verdict_on(|params| params.custom_extensions.push(unknown()));
    assert!(matches!(found, Err(EndorsementError::CriticalExtension { oid, .. }) if oid == "1.2.3.4"));
    let found = verdict_with(|params| params.custom_extensions.push(unknown()));
    assert!(
        matches!(found, Err(EndorsementError::CriticalExtension { subject, .. }) if subject == "CN=maker CA")
    );
    let harmless = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    assert!(verdict_on(|params| params.custom_extensions.push(harmless)).is_ok());
}

#[test]
fn critical_policies_are_known_of_authorities_and_not_of_ek_certificates() {
    // One PolicyInformation: 1.2.3.
    let policies = || critical(&[2, 5, 29, 32], &[0x30, 0x06, 0x30, 0x04, 0x06, 0x02, 0x2a, 0x03]);
    assert!(verdict_with(|params| params.custom_extensions.push(policies())).is_ok());
    let found = verdict_on(|params| params.custom_extensions.push(policies()));
    assert!(matches!(found, Err(EndorsementError::CriticalExtension { oid, .. }) if oid == "2.5.29.32"));
}

#[test]
fn padding_of_the_nv_index_is_cut_off_and_nothing_else_is() {
    let (root, intermediate, ek, certificate) = maker(|_| {});
    let roots = roots(&[&root, &intermediate]);
    let with = |tail: &[u8]| {
        EndorsedKey::open(
            &[certificate.as_slice(), tail].concat(),
            &public_of(&ek),
            &roots,
            NOW,
        )
    };
    assert!(with(&[0xff; 300]).is_ok());
    assert!(with(&[0x00; 3]).is_ok());
    let room = 16 * 1024 - certificate.len();
    assert!(with(&vec![0xff; room]).is_ok());
    let error = with(&vec![0xff; room + 1]).unwrap_err().to_string();
    assert!(
        error.contains("16385 bytes are more than any certificate has"),
        "{error}"
    );
    assert!(matches!(
        with(&[0xff, 0x00]),
        Err(EndorsementError::Unreadable { .. })
    ));
    assert!(matches!(
        with(&certificate),
        Err(EndorsementError::Unreadable { .. })
    ));
}

#[test]
fn case_04_an_endorsed_key_must_be_strong_too() {
    let (root, intermediate, _, certificate) = maker(|_| {});
    let weak = Draft::rsa(&[0xc3; 128], 0).endorsement().bytes();
    let error = EndorsedKey::open(&certificate, &weak, &roots(&[&root, &intermediate]), NOW).unwrap_err();
    let short = MaterialError::ShortModulus { found: 1024 };
    assert_eq!(error, EndorsementError::Key(KeyError::Material(short)));
}

#[test]
fn case_17_every_prefix_of_a_certificate_is_an_error_and_every_changed_byte_is_refused() {
    let (root, intermediate, ek, certificate) = maker(|_| {});
    let (roots, ek) = (roots(&[&root, &intermediate]), public_of(&ek));
    for end in 0..certificate.len() {
        let found = EndorsedKey::open(&certificate[..end], &ek, &roots, NOW);
        assert!(
            matches!(found, Err(EndorsementError::Unreadable { .. })),
            "prefix of {end}"
        );
    }
    for at in 0..certificate.len() {
        for bit in [0x01, 0x80] {
            let mut changed = certificate.clone();
            changed[at] ^= bit;
            let found = EndorsedKey::open(&changed, &ek, &roots, NOW);
            assert!(found.is_err(), "byte {at}");
        }
    }
}

#[test]
fn files_of_roots_may_be_pem_with_several_certificates_or_der() {
    let (root, intermediate, ek, certificate) = maker(|_| {});
    let pem = |authority: &Authority| authority.params.self_signed(&authority.key).unwrap().pem();
    assert_eq!(
        roots(&[&root, &intermediate, &root]).len(),
        2,
        "one certificate counts once"
    );
    let text = format!("# two makers\n{}{}", pem(&root), pem(&Authority::root("other")));
    let read = Roots::from_pem_or_der([("a.pem", text.as_bytes()), ("b.der", intermediate.der.as_slice())]);
    let read = read.unwrap();
    assert_eq!((read.len(), read.lists(), read.is_empty()), (3, 0, false));
    assert!(EndorsedKey::open(&certificate, &public_of(&ek), &read, NOW).is_ok());
    let error = Roots::from_pem_or_der([("README", b"not a certificate".as_slice())]).unwrap_err();
    assert!(matches!(error, EndorsementError::Unreadable { file, .. } if file == "README"));
    let none = Roots::from_pem_or_der([]).unwrap();
    assert!(none.is_empty());
    let error = EndorsedKey::open(&certificate, &public_of(&ek), &none, NOW).unwrap_err();
    assert!(matches!(error, EndorsementError::MissingIssuer { .. }));
}

/// Root, intermediate, EK public area and certificate, made once.
static MADE: std::sync::LazyLock<[Vec<u8>; 4]> = std::sync::LazyLock::new(|| {
    let (root, intermediate, ek, certificate) = maker(|_| {});
    [root.der, intermediate.der, public_of(&ek), certificate]
});

proptest! {
    /// Mere noise ends at its first byte, so this begins with what is genuine.
    #[test]
    fn changed_bytes_never_panic_and_never_endorse(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        noise in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let [root, intermediate, ek, certificate] = &*MADE;
        let changed = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            bytes
        };
        let opened = |certificate: &[u8], intermediate: &[u8]| {
            let roots = Roots::from_pem_or_der([("root", root.as_slice()), ("ca", intermediate)])?;
            EndorsedKey::open(certificate, ek, &roots, NOW)
        };
        let (other, other_ca) = (changed(certificate), changed(intermediate));
        prop_assert_eq!(opened(&other, intermediate).is_ok(), other == *certificate);
        prop_assert_eq!(opened(certificate, &other_ca).is_ok(), other_ca == *intermediate);
        for bytes in [changed(root), changed(&makers::a_list()), noise] {
            let _ = Roots::from_pem_or_der([("x", bytes.as_slice())]);
        }
    }
}
