//! Who the agent is: stable keys, activation, replaced TPMs.

use lazaret_attest::{
    credential::Activation,
    endorsement::{EndorsedKey, Roots},
    key::AttestationKey,
};
use lazaret_wire::{ACTIVATE_PATH, Activate, Activated, EkKind, EkOffer, Identity, Problem, encode};
use reqwest::StatusCode;

use crate::lab::{Agent, Factory, Swtpm, question};

/// The clock's time: swtpm's certificates begin when they are made.
fn now() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    now.as_secs().try_into().unwrap()
}

fn offer(identity: &Identity, kind: EkKind) -> &EkOffer {
    identity
        .ek
        .iter()
        .find(|offer| offer.kind == kind)
        .expect("offered")
}

fn endorsed(offer: &EkOffer, extra: &[(String, Vec<u8>)]) -> EndorsedKey {
    let files = [Factory::shared().roots(), extra.to_vec()].concat();
    let roots = Roots::from_pem_or_der(
        files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
    )
    .unwrap();
    EndorsedKey::open(&offer.certificate, &offer.public, &roots, now()).unwrap()
}

fn random(bytes: &mut [u8]) -> Result<(), lazaret_attest::credential::NoRandomness> {
    for chunk in bytes.chunks_mut(32) {
        chunk.copy_from_slice(&question(&[(0x000b, &[0])], 0).nonce[..chunk.len()]);
    }
    Ok(())
}

fn begin(identity: &Identity, kind: EkKind, extra: &[(String, Vec<u8>)]) -> (Activation, Activate) {
    let key = AttestationKey::from_public(&identity.ak_public).unwrap();
    let (activation, offered) =
        Activation::begin(endorsed(offer(identity, kind), extra), key, &mut random).unwrap();
    (
        activation,
        Activate {
            ek: kind,
            credential: offered.credential,
            secret: offered.secret,
        },
    )
}

fn activate(agent: &Agent, request: &Activate) -> Result<Activated, (StatusCode, Problem)> {
    agent
        .daemon
        .fetch(agent.url(ACTIVATE_PATH), Some(encode(request).unwrap()))
}

#[test]
fn the_identity_is_the_same_after_a_restart() {
    let swtpm = Swtpm::start();
    let mut agent = Agent::started(&swtpm);
    let before = agent.identity();
    assert_eq!(before.host, "cmp-1");
    let kinds: Vec<EkKind> = before.ek.iter().map(|offer| offer.kind).collect();
    assert_eq!(
        kinds,
        [EkKind::Rsa2048, EkKind::EccP384],
        "what swtpm has certificates for"
    );
    let pin = agent.pin();
    assert_eq!(agent.stop(), Some(0));
    agent.start(&[]);
    assert_eq!(agent.identity(), before);
    assert_eq!(agent.pin(), pin);
}

#[test]
fn a_credential_is_opened_for_every_kind_of_ek() {
    let swtpm = Swtpm::start();
    let own = p256_certificate_in_nv(&swtpm);
    let agent = Agent::started(&swtpm);
    let identity = agent.identity();
    assert_eq!(identity.ek.len(), 3);
    for kind in EkKind::ALL {
        let (activation, request) = begin(&identity, kind, std::slice::from_ref(&own));
        let opened = activate(&agent, &request)
            .unwrap_or_else(|(status, problem)| panic!("{kind}: {status} {problem}"));
        activation
            .finish(&opened.secret)
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
    assert_eq!(
        swtpm.tool("tpm2_getcap", &["handles-transient"]),
        "",
        "nothing stays loaded"
    );
    assert_eq!(
        swtpm.tool("tpm2_getcap", &["handles-loaded-session"]),
        "",
        "no session stays"
    );
}

#[test]
fn a_damaged_or_foreign_credential_is_refused_and_the_agent_goes_on() {
    let swtpm = Swtpm::start();
    let agent = Agent::started(&swtpm);
    let identity = agent.identity();
    for kind in [EkKind::Rsa2048, EkKind::EccP384] {
        let (_, good) = begin(&identity, kind, &[]);
        let mut flipped = good.clone();
        *flipped.credential.last_mut().unwrap() ^= 1;
        let mut other_seed = good.clone();
        other_seed.secret = begin(&identity, kind, &[]).1.secret;
        let mut cut = good.clone();
        cut.credential.pop();
        let mut short = good.clone();
        short.secret = vec![0, 0];
        for wrong in [flipped, other_seed, cut, short] {
            let (status, problem) = activate(&agent, &wrong).expect_err("opened a wrong credential");
            assert_eq!(
                (status, problem.code.as_str()),
                (StatusCode::UNPROCESSABLE_ENTITY, Problem::CREDENTIAL_REFUSED)
            );
        }
        assert!(activate(&agent, &good).is_ok());
    }
    let (_, mut request) = begin(&identity, EkKind::Rsa2048, &[]);
    request.ek = EkKind::EccP256;
    let (status, problem) = activate(&agent, &request).unwrap_err();
    assert_eq!(
        (status, problem.code.as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Problem::NO_SUCH_EK)
    );
}

#[test]
fn a_replaced_tpm_is_said_so_and_replaces_the_identity_only_when_told() {
    let (first, second) = (
        Swtpm::start(),
        Swtpm::of(&Factory::shared().manufacture("second")),
    );
    let mut agent = Agent::started(&first);
    let before = agent.identity();
    agent.stop();

    agent.move_to(&second);
    agent.start(&[]);
    let (status, problem) = unready_for_good(&agent);
    assert_eq!(
        (status, problem.code.as_str()),
        (StatusCode::INTERNAL_SERVER_ERROR, Problem::IDENTITY_LOST)
    );
    assert!(problem.message.contains("--new-identity"), "{problem}");
    agent.stop();

    // The first TPM still finds its key: nothing was replaced.
    agent.move_to(&first);
    agent.start(&[]);
    assert_eq!(agent.identity(), before);
    agent.stop();

    agent.move_to(&second);
    agent.start(&["--new-identity"]);
    let after = agent.identity();
    assert_ne!(after.ak_public, before.ak_public);
    agent.stop();
    agent.start(&[]);
    assert_eq!(agent.identity(), after);
}

/// Waits out "preparing".
fn unready_for_good(agent: &Agent) -> (StatusCode, Problem) {
    let began = std::time::Instant::now();
    loop {
        let (status, problem) = agent
            .daemon
            .fetch::<Identity>(agent.url(lazaret_wire::IDENTITY_PATH), None)
            .expect_err("must not be ready");
        if status != StatusCode::SERVICE_UNAVAILABLE || began.elapsed() > crate::lab::PATIENCE {
            return (status, problem);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// swtpm_setup makes no P-256 EK certificate: a maker of our own does, padded in NV as makers do. Gives the maker's root.
fn p256_certificate_in_nv(swtpm: &Swtpm) -> (String, Vec<u8>) {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
        KeyUsagePurpose,
    };

    struct EkPoint(Vec<u8>);
    impl rcgen::PublicKeyData for EkPoint {
        fn der_bytes(&self) -> &[u8] {
            &self.0
        }
        fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
            &rcgen::PKCS_ECDSA_P256_SHA256
        }
    }

    let path = |name: &str| swtpm.state.path().join(name).display().to_string();
    swtpm.tool(
        "tpm2_createek",
        &[
            "-G",
            "ecc",
            "-c",
            &path("ek.ctx"),
            "-u",
            &path("ek.der"),
            "-f",
            "der",
        ],
    );
    swtpm.tool("tpm2_flushcontext", &["-t"]);
    let spki = std::fs::read(path("ek.der")).unwrap();
    // An uncompressed point is the last 65 bytes of a P-256 SubjectPublicKeyInfo.
    let point = EkPoint(spki[spki.len() - 65..].to_vec());

    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name.push(DnType::CommonName, "Lab TPM maker");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root_pem = root.self_signed(&key).unwrap().pem();

    let mut ek = CertificateParams::new(Vec::new()).unwrap();
    ek.distinguished_name.push(DnType::CommonName, "lab EK");
    ek.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    ek.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
    ek.use_authority_key_identifier_extension = true;
    let mut nv = ek
        .signed_by(&point, &Issuer::new(root, key))
        .unwrap()
        .der()
        .to_vec();
    nv.resize(1500, 0xff);

    std::fs::write(path("ek.crt"), nv).unwrap();
    let index = "0x01c0000a";
    swtpm.tool(
        "tpm2_nvdefine",
        &[
            index,
            "-C",
            "o",
            "-s",
            "1500",
            "-a",
            "ownerread|authread|ppread|ownerwrite",
        ],
    );
    swtpm.tool("tpm2_nvwrite", &[index, "-C", "o", "-i", &path("ek.crt")]);
    ("lab-maker.pem".to_owned(), root_pem.into_bytes())
}
