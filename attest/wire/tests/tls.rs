//! Two ends over memory: who is let in, and what a refusal says.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, OnceLock},
};

use lazaret_wire::tls::{
    IdentityError, Peer, Pin, PinnedClients, TlsError, TlsIdentity, authorities, client_config, server_config,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, pki_types::ServerName};

struct Ends {
    directory: tempfile::TempDir,
    daemon: TlsIdentity,
    agent: TlsIdentity,
}

impl Ends {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let make = |name: &str| TlsIdentity::load_or_make(&directory.path().join(name), name).unwrap();
        let (daemon, agent) = (make("daemon"), make("agent"));
        Self {
            directory,
            daemon,
            agent,
        }
    }

    fn server(&self, pins: &[Pin]) -> ServerConfig {
        server_config(&self.agent, PinnedClients::new(pins.to_vec(), None).unwrap()).unwrap()
    }

    fn client(&self, peer: Peer) -> ClientConfig {
        client_config(&self.daemon, peer).unwrap()
    }
}

/// A whole handshake. The error is that of the end that refuses.
fn shake(client: ClientConfig, server: ServerConfig) -> Result<(), String> {
    let name = ServerName::try_from("agent.example").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server
                .process_new_packets()
                .map_err(|error| format!("server: {error}"))?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client
                .process_new_packets()
                .map_err(|error| format!("client: {error}"))?;
        }
    }
    Ok(())
}

#[test]
fn pinned_ends_meet() {
    let ends = Ends::new();
    shake(
        ends.client(Peer::Pinned(ends.agent.pin())),
        ends.server(&[Pin([1; 32]), ends.daemon.pin()]),
    )
    .unwrap();
}

#[test]
fn case_12_another_agent_is_refused_and_both_pins_are_named() {
    let ends = Ends::new();
    let refused = shake(
        ends.client(Peer::Pinned(Pin([1; 32]))),
        ends.server(&[ends.daemon.pin()]),
    )
    .unwrap_err();
    assert!(refused.starts_with("client:"), "{refused}");
    assert!(
        refused.contains(&Pin([1; 32]).to_string()) && refused.contains(&ends.agent.pin().to_string()),
        "{refused}"
    );
}

#[test]
fn case_12_another_daemon_is_refused_and_both_pins_are_named() {
    let ends = Ends::new();
    let refused = shake(
        ends.client(Peer::Pinned(ends.agent.pin())),
        ends.server(&[Pin([1; 32])]),
    )
    .unwrap_err();
    assert!(refused.starts_with("server:"), "{refused}");
    assert!(
        refused.contains(&Pin([1; 32]).to_string()) && refused.contains(&ends.daemon.pin().to_string()),
        "{refused}"
    );
}

#[test]
fn first_contact_keeps_the_first_key_and_refuses_a_second() {
    let ends = Ends::new();
    let seen = Arc::new(OnceLock::new());
    let contact = || ends.client(Peer::FirstContact(Arc::clone(&seen)));
    shake(contact(), ends.server(&[ends.daemon.pin()])).unwrap();
    assert_eq!(seen.get(), Some(&ends.agent.pin()));
    shake(contact(), ends.server(&[ends.daemon.pin()])).unwrap();
    let clients = PinnedClients::new(vec![ends.daemon.pin()], None).unwrap();
    let other = TlsIdentity::load_or_make(&ends.directory.path().join("other"), "agent").unwrap();
    assert!(shake(contact(), server_config(&other, clients).unwrap()).is_err());
}

#[test]
fn a_stolen_certificate_without_its_key_is_refused() {
    // The agent's certificate with the daemon's key: the pin is right, the handshake's signature is not.
    let ends = Ends::new();
    let (agent, daemon) = (pem(&ends, "agent"), pem(&ends, "daemon"));
    let split = |pem: &str| {
        pem.find("-----BEGIN CERTIFICATE")
            .map(|at| (pem[..at].to_owned(), pem[at..].to_owned()))
            .unwrap()
    };
    let at = ends.directory.path();
    fs::write(at.join("stolen.crt"), split(&agent).1).unwrap();
    fs::write(at.join("own.key"), split(&daemon).0).unwrap();
    fs::set_permissions(at.join("own.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let thief = TlsIdentity::from_files(&at.join("stolen.crt"), &at.join("own.key")).unwrap();
    assert_eq!(thief.pin(), ends.agent.pin());
    let clients = PinnedClients::new(vec![ends.daemon.pin()], None).unwrap();
    // rustls itself refuses to serve such a pair, so it is put together beneath its notice.
    match server_config(&thief, clients) {
        Err(TlsError::Refused(_)) => {}
        Err(other) => panic!("{other}"),
        Ok(server) => assert!(shake(ends.client(Peer::Pinned(ends.agent.pin())), server).is_err()),
    }
    let mut server = ends.server(&[ends.daemon.pin()]);
    server.cert_resolver = Arc::new(Mismatched(ends.agent.chain(), split(&daemon).0));
    let refused = shake(ends.client(Peer::Pinned(ends.agent.pin())), server).unwrap_err();
    assert!(
        refused.starts_with("client:") && refused.contains("BadSignature"),
        "{refused}"
    );
}

/// Serves a certificate with another's key.
#[derive(Debug)]
struct Mismatched(Vec<rustls::pki_types::CertificateDer<'static>>, String);

impl rustls::server::ResolvesServerCert for Mismatched {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        use rustls::pki_types::pem::PemObject;
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(self.1.as_bytes()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Some(Arc::new(rustls::sign::CertifiedKey::new(self.0.clone(), key)))
    }
}

#[test]
fn an_operators_authority_is_enough_and_another_is_not() {
    let ends = Ends::new();
    let at = ends.directory.path();
    let ca = authority(at, "ca");
    let agent = certified(at, "agent.example", &ca);
    let daemon = certified(at, "daemon.example", &ca);
    let roots = authorities(&at.join("ca.pem")).unwrap();
    let seen = Arc::new(OnceLock::new());
    let client = |identity, roots: &Arc<rustls::RootCertStore>| {
        client_config(
            identity,
            Peer::Ca {
                roots: Arc::clone(roots),
                seen: Arc::clone(&seen),
            },
        )
        .unwrap()
    };
    let server = |identity, roots: &Arc<rustls::RootCertStore>| {
        server_config(
            identity,
            PinnedClients::new(vec![], Some(Arc::clone(roots))).unwrap(),
        )
        .unwrap()
    };
    shake(client(&daemon, &roots), server(&agent, &roots)).unwrap();
    assert_eq!(seen.get(), Some(&agent.pin()), "the key that a quote must bind");

    authority(at, "other");
    let others = authorities(&at.join("other.pem")).unwrap();
    assert!(
        shake(client(&daemon, &others), server(&agent, &roots))
            .unwrap_err()
            .starts_with("client:")
    );
    assert!(
        shake(client(&daemon, &roots), server(&agent, &others))
            .unwrap_err()
            .starts_with("server:")
    );
    assert!(
        shake(client(&ends.daemon, &roots), server(&agent, &roots))
            .unwrap_err()
            .starts_with("server:")
    );
    // Another host's certificate, under the same authority.
    let elsewhere = certified(at, "elsewhere.example", &ca);
    assert!(
        shake(client(&daemon, &roots), server(&elsewhere, &roots))
            .unwrap_err()
            .contains("name")
    );
}

#[test]
fn nobody_allowed_is_an_error_and_so_is_a_file_without_authorities() {
    assert!(matches!(
        PinnedClients::new(vec![], None),
        Err(TlsError::NobodyAllowed)
    ));
    let ends = Ends::new();
    let empty = ends.directory.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    assert!(authorities(&empty).unwrap_err().to_string().contains("empty.pem"));
}

#[test]
fn an_identity_is_made_once_and_private() {
    let ends = Ends::new();
    let directory = ends.directory.path().join("agent");
    assert_eq!(
        TlsIdentity::load_or_make(&directory, "another name")
            .unwrap()
            .pin(),
        ends.agent.pin()
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&directory), mode(&directory.join("tls.pem"))),
        (0o700, 0o600)
    );
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no draft is left");
    let shown = format!("{:?}", ends.agent);
    assert!(
        shown.contains(&ends.agent.pin().to_string()) && shown.contains("hidden"),
        "{shown}"
    );
}

#[test]
fn processes_that_make_an_identity_at_once_get_the_same_one() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("shared");
    let made: Vec<Pin> = std::thread::scope(|scope| {
        let make = || TlsIdentity::load_or_make(&at, "agent").map(|identity| identity.pin());
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap().unwrap())
            .collect()
    });
    assert!(made.iter().all(|pin| *pin == made[0]), "{made:?}");
}

#[test]
fn an_exposed_or_damaged_identity_is_refused_with_a_remedy() {
    let ends = Ends::new();
    let directory = ends.directory.path().join("agent");
    let path = directory.join("tls.pem");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    let error = TlsIdentity::load_or_make(&directory, "agent").unwrap_err();
    assert!(
        matches!(error, IdentityError::Exposed { mode: 0o604, .. })
            && error.to_string().contains("chmod 600")
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    for damaged in [
        "",
        &whole[..whole.len() / 2],
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        fs::write(&path, damaged).unwrap();
        let error = TlsIdentity::load_or_make(&directory, "agent").unwrap_err();
        assert!(matches!(error, IdentityError::Malformed { .. }), "{error}");
        assert!(!error.to_string().contains("AAAA"), "{error}");
    }
}

#[test]
fn pins_are_written_and_read() {
    let pin = Pin([0xab; 32]);
    let text = format!("sha256:{}", "ab".repeat(32));
    assert_eq!((pin.to_string(), text.parse()), (text.clone(), Ok(pin)));
    for wrong in [
        "",
        "sha256:",
        "ab",
        &text[7..],
        &text[..70],
        &format!("{text}0"),
        &text.replace("sha256", "sha1"),
    ] {
        let error = wrong.parse::<Pin>().unwrap_err();
        assert!(error.to_string().contains("64 hex digits"), "{error}");
    }
}

fn pem(ends: &Ends, name: &str) -> String {
    fs::read_to_string(ends.directory.path().join(name).join("tls.pem")).unwrap()
}

fn authority(at: &Path, name: &str) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(
        at.join(format!("{name}.pem")),
        params.self_signed(&key).unwrap().pem(),
    )
    .unwrap();
    Issuer::new(params, key)
}

fn certified(at: &Path, name: &str, ca: &Issuer<'static, KeyPair>) -> TlsIdentity {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let (crt, key_file) = (at.join(format!("{name}.crt")), at.join(format!("{name}.key")));
    fs::write(&crt, params.signed_by(&key, ca).unwrap().pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o640)).unwrap();
    TlsIdentity::from_files(&crt, &key_file).unwrap()
}
