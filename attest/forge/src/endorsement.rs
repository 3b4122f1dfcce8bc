//! An endorsement key with the certificate of a made-up TPM maker: root, intermediate authority, EK.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName,
    DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData, RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::softtpm::attest::sized;

/// id-tcg-kp-EKCertificate (TCG EK Credential Profile, 3.2.16).
const EK_CERTIFICATE: [u64; 5] = [2, 23, 133, 8, 1];

/// GeneralNames with a directoryName that holds tpmManufacturer (2.23.133.2.1), here "id:4C5A5254".
const MODEL: &[u8] = &[
    0x30, 0x1d, 0xa4, 0x1b, 0x30, 0x19, 0x31, 0x17, 0x30, 0x15, 0x06, 0x05, 0x67, 0x81, 0x05, 0x02, 0x01,
    0x0c, 0x0c, b'i', b'd', b':', b'4', b'C', b'5', b'A', b'5', b'2', b'5', b'4', b'!',
];

/// Serial number of every forged EK certificate.
const SERIAL: u64 = 0x1234;

/// What a TPM's maker leaves behind. Certificates are DER, without NV padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsement {
    /// TPM2B_PUBLIC of the endorsement key, by the profile's template L-2 but for its policy, which is empty.
    pub ek_public: Vec<u8>,
    /// Its certificate.
    pub certificate: Vec<u8>,
    /// The authority that signed it.
    pub intermediate: Vec<u8>,
    /// The maker's root.
    pub root: Vec<u8>,
    /// The intermediate authority's revocation list for 2026 to 2035, which names other certificates.
    pub crl: Vec<u8>,
    /// The same, and the endorsement key's certificate is on it.
    pub revoking: Vec<u8>,
}

impl Endorsement {
    /// A new P-256 endorsement key under new authorities.
    pub fn p256() -> Result<Endorsement, Error> {
        let (root_key, intermediate_key, ek) =
            (KeyPair::generate()?, KeyPair::generate()?, KeyPair::generate()?);
        let (root, intermediate) = (authority("forged root"), authority("forged authority"));
        let root_issuer = Issuer::from_params(&root, &root_key);
        let intermediate_issuer = Issuer::from_params(&intermediate, &intermediate_key);
        Ok(Endorsement {
            ek_public: public(&ek),
            certificate: of_ek().signed_by(&ek, &intermediate_issuer)?.der().to_vec(),
            intermediate: intermediate
                .signed_by(&intermediate_key, &root_issuer)?
                .der()
                .to_vec(),
            root: root.self_signed(&root_key)?.der().to_vec(),
            crl: list(&intermediate_issuer, &[SERIAL + 1])?,
            revoking: list(&intermediate_issuer, &[SERIAL + 1, SERIAL])?,
        })
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

fn list(issuer: &Issuer<'_, &KeyPair>, serials: &[u64]) -> Result<Vec<u8>, Error> {
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2026, 2, 3),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2035, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(params.signed_by(issuer)?.der().to_vec())
}

/// As makers write it: no subject, the TPM's model in a critical SAN.
fn of_ek() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(SerialNumber::from(SERIAL));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(EK_CERTIFICATE.to_vec())];
    params.use_authority_key_identifier_extension = true;
    let mut model = CustomExtension::from_oid_content(&[2, 5, 29, 17], MODEL.to_vec());
    model.set_criticality(true);
    params.custom_extensions.push(model);
    params
}

/// TPMT_PUBLIC in its TPM2B: ECC, SHA-256 Name; fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted,
/// decrypt; no policy; AES-128-CFB; no scheme; P-256; no KDF.
fn public(key: &KeyPair) -> Vec<u8> {
    let point = key.der_bytes().get(1..).unwrap_or_default();
    let (x, y) = point.split_at(point.len() / 2);
    let head: [u8; 24] = [
        0x00, 0x23, 0x00, 0x0b, 0x00, 0x03, 0x00, 0xb2, 0x00, 0x00, 0x00, 0x06, 0x00, 0x80, 0x00, 0x43, 0x00,
        0x10, 0x00, 0x03, 0x00, 0x10, 0x00, 0x20,
    ];
    sized(&[&head[..], x, &sized(y)].concat())
}
