//! Where fuzzing begins: small honest inputs of each kind, and some near misses.

use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::{LogForm, typical_server};
use lazaret_forge::endorsement::Endorsement;
use lazaret_forge::ima::entry::Inode;
use lazaret_forge::ima::{List, Template};
use lazaret_forge::softtpm::{AttestationKey, KeyError};
use lazaret_wire::{
    Activate, Activated, Attest, EkKind, EkOffer, Identity, Message, Problem, WireError, encode,
};

use crate::scene::{Scene, scene};
use crate::wire;

/// The file's name and its bytes.
pub type Seed = (String, Vec<u8>);

/// Why there are no seeds.
#[derive(Debug)]
pub enum SeedError {
    /// A software key failed.
    Key(KeyError),
    /// A message was not encoded.
    Wire(WireError),
}

impl From<KeyError> for SeedError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<WireError> for SeedError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// The seeds of every target; for `ek_certificate` those of this chain.
pub fn all(endorsement: &Endorsement) -> Result<Vec<(&'static str, Vec<Seed>)>, SeedError> {
    let scene = scene();
    Ok(vec![
        ("quote", quotes(scene)),
        ("signature", signatures(scene)?),
        ("public_key", keys(endorsement)?),
        ("boot_log", boot_logs(scene)),
        ("ima_text", lists(|list| list.text())),
        ("ima_binary", lists(|list| list.binary())),
        ("ek_certificate", certificates(endorsement)),
        ("wire_messages", messages(scene, endorsement)?),
        ("policy", policies(scene)),
    ])
}

fn named<T: Into<Vec<u8>>>(name: &str, bytes: T) -> Seed {
    (name.to_owned(), bytes.into())
}

fn quotes(scene: &Scene) -> Vec<Seed> {
    let honest = scene.attest();
    let mut certify = honest.clone();
    certify.kind = 0x8017;
    let mut doubled = honest.clone();
    doubled.selection.extend(honest.selection.clone());
    let mut unsafe_clock = honest.clone();
    unsafe_clock.safe = 0;
    unsafe_clock.reset_count = 77;
    vec![
        named("honest", honest.bytes()),
        named("certify", certify.bytes()),
        named("doubled-banks", doubled.bytes()),
        named("clock", unsafe_clock.bytes()),
    ]
}

fn signatures(scene: &Scene) -> Result<Vec<Seed>, SeedError> {
    let quote = scene.attest().bytes();
    let rsa = AttestationKey::rsa2048()?;
    Ok(vec![
        named("ecdsa", scene.tpm.key.sign(&quote)?),
        named("ecdsa-of-other-bytes", scene.tpm.key.sign(b"other")?),
        named("rsa", rsa.sign(&quote)?),
    ])
}

fn keys(endorsement: &Endorsement) -> Result<Vec<Seed>, SeedError> {
    let p256 = AttestationKey::p256("properties");
    let mut decrypting = p256.clone();
    decrypting.attributes |= 0x0002_0000;
    Ok(vec![
        named("p256", p256.public()),
        named("rsa2048", AttestationKey::rsa2048()?.public()),
        named("decrypting", decrypting.public()),
        named("ek", endorsement.ek_public.clone()),
    ])
}

fn boot_logs(scene: &Scene) -> Vec<Seed> {
    let mut seeds = vec![named("honest", scene.boot.bytes())];
    let mut locality = scene.boot.clone();
    locality.startup_locality = Some(3);
    locality.events.truncate(6);
    seeds.push(named("locality", locality.bytes()));
    let mut old = scene.boot.clone();
    old.form = LogForm::Sha1Only;
    old.events.truncate(12);
    seeds.push(named("sha1", old.bytes()));
    let mut stub = typical_server();
    stub.loader = lazaret_forge::bootlog::Loader::Stub;
    stub.banks = vec![Bank::Sha1, Bank::Sha256, Bank::Sha384];
    let mut stub = stub.boot();
    stub.events.retain(|event| event.data.len() < 300);
    seeds.push(named("stub-three-banks", stub.bytes()));
    // Kernel events alone: short inputs find more in a minute.
    for (n, event) in scene.boot.events.iter().enumerate().step_by(3) {
        let mut one = scene.boot.clone();
        one.events = vec![event.clone()];
        seeds.push(named(&format!("event-{n}"), one.bytes()));
    }
    seeds
}

fn lists(bytes: impl Fn(&List) -> Vec<u8>) -> Vec<Seed> {
    let mut seeds = vec![named("honest", bytes(&scene().ima))];
    for template in Template::ALL {
        let mut list = List::new(template, Bank::Sha256, &scene().boot.pcrs());
        list.measure("/usr/bin/a file", b"a");
        list.violation("/var/log/x");
        list.measure("/usr/bin/b", b"b");
        if let Some(last) = list.entries.last_mut() {
            last.violation = false;
            last.file_digest = vec![7; 32];
            last.attachment = b"\x03\x02\x04attachment".to_vec();
            last.modsig = Some((vec![8; 32], b"PKCS#7".to_vec()));
            last.inode = Some(Inode {
                xattrs: vec![("security.ima".to_owned(), vec![4; 33])],
                owner: (0, 0, 0o755),
            });
        }
        seeds.push(named(template.name(), bytes(&list)));
    }
    seeds
}

fn certificates(endorsement: &Endorsement) -> Vec<Seed> {
    let mut padded = endorsement.certificate.clone();
    padded.resize(padded.len() + 64, 0xff);
    vec![
        named("ek", endorsement.certificate.clone()),
        named("ek-padded", padded),
        named("root", endorsement.root.clone()),
        named("intermediate", endorsement.intermediate.clone()),
        named("crl", endorsement.crl.clone()),
        named("crl-revoking", endorsement.revoking.clone()),
    ]
}

fn messages(scene: &Scene, endorsement: &Endorsement) -> Result<Vec<Seed>, SeedError> {
    fn body<T: Message>(kind: u8, message: &T) -> Result<Seed, SeedError> {
        let mut bytes = vec![kind];
        bytes.extend(encode(message)?);
        Ok(named(T::NAME, bytes))
    }
    let identity = Identity {
        version: 1,
        host: "cmp-1".to_owned(),
        ek: vec![EkOffer {
            kind: EkKind::EccP256,
            public: endorsement.ek_public.clone(),
            certificate: endorsement.certificate.clone(),
        }],
        ak_public: scene.tpm.key.public(),
    };
    let activate = Activate {
        ek: EkKind::EccP256,
        credential: vec![1; 66],
        secret: vec![2; 70],
    };
    Ok(vec![
        body(0, &identity)?,
        body(1, &activate)?,
        body(2, &Activated { secret: vec![3; 32] })?,
        body(3, &Attest::from(&scene.challenge))?,
        body(4, &wire::honest())?,
        body(
            5,
            &Problem {
                code: "busy".to_owned(),
                message: "the TPM is busy".to_owned(),
            },
        )?,
    ])
}

const COMPONENTS: &str = r#"name = "x"
version = 2
[pcrs.sha256]
7 = ["0000000000000000000000000000000000000000000000000000000000000001"]
[[component]]
name = "kernel"
[[component.alternative]]
name = "old"
until = 2026-12-31
pcrs.sha256.9 = ["0000000000000000000000000000000000000000000000000000000000000002"]
[[component.alternative]]
name = "new"
from = 2026-06-01T00:00:00Z
pcrs.sha256.9 = ["0000000000000000000000000000000000000000000000000000000000000003"]
lists = ["a"]
[ima]
lists = ["a"]
exclude = ["/var/**/*.gz"]
protected = ["/usr/**"]
lag_limit_s = 600
"#;

/// The text over which the seeds of `policy` hold a signature.
pub const SIGNED_TEXT: &[u8] = b"a policy\n";

fn policies(scene: &Scene) -> Vec<Seed> {
    let typed = |kind: &str, text: &str| format!("{kind}{text}");
    let small = "name = \"x\"\nversion = 1\nsecure_boot = \"required\"\n[ima]\nlists = [\"a\"]\nexclude = [\"/var/log/\"]\n[gravity]\nima-violation = \"contraindicated\"\n";
    let line = scene.captured.list.lines().take(3).collect::<Vec<_>>().join("\n");
    vec![
        named("small", typed("0", small)),
        named("list", typed("1", &line)),
        named("both", typed("2", &format!("{small}\0{line}\n"))),
        named("captured", typed("0", &scene.captured.policy_toml)),
        named("components", typed("0", COMPONENTS)),
        named("pattern", typed("3", "/var/**/*.gz\n/var/log/a/b.1.gz")),
        named("pattern-below", typed("3", "/opt/x/\n/opt/x/y")),
    ]
}
