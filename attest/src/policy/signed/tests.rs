use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::envelope::Envelope;
use super::*;
use crate::pcr::HashAlg;

/// Signed by OpenSSH 9.2 with throwaway keys: `ssh-keygen -Y sign -n lazaret-policy -f KEY policy.toml`.
const MESSAGE: &[u8] = include_bytes!("../../../tests/signatures/policy.toml");
const NOW: i64 = 1_780_272_000;

macro_rules! fixture {
    ($key:literal, $signature:literal) => {
        (
            include_str!(concat!("../../../tests/signatures/", $key, ".pub")),
            include_str!(concat!("../../../tests/signatures/", $signature, ".sig")),
        )
    };
    ($name:literal) => {
        fixture!($name, $name)
    };
}

const GENUINE: [(&str, &str); 6] = [
    fixture!("ed25519"),
    fixture!("ed25519", "ed25519-sha256"),
    fixture!("ecdsa256"),
    fixture!("ecdsa384"),
    fixture!("ecdsa521"),
    fixture!("rsa2048"),
];

fn signers(text: &str) -> Signers {
    Signers::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn line(key: &str) -> String {
    format!("ops@example.org {key}")
}

#[test]
fn what_ssh_keygen_signs_is_signed() {
    for (key, signature) in GENUINE {
        let signer = signers(&line(key)).verify(MESSAGE, signature, NOW).expect(key);
        assert_eq!(signer.principals, "ops@example.org");
        assert!(signer.fingerprint.starts_with("SHA256:"), "{signer:?}");
        let changed = [MESSAGE, b" "].concat();
        for other in [&changed[..], &MESSAGE[1..], b""] {
            let error = signers(&line(key)).verify(other, signature, NOW);
            assert!(matches!(error, Err(SignedError::Invalid { .. })), "{error:?}");
        }
    }
}

#[test]
fn no_byte_of_a_signature_can_be_changed_or_left_out() {
    for (key, signature) in GENUINE {
        let allowed = signers(&line(key));
        let digits: String = signature.lines().filter(|line| !line.starts_with('-')).collect();
        let bytes = STANDARD.decode(digits).unwrap();
        let armoured = |bytes: &[u8]| {
            format!(
                "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
                STANDARD.encode(bytes)
            )
        };
        assert!(allowed.verify(MESSAGE, &armoured(&bytes), NOW).is_ok());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(
                allowed.verify(MESSAGE, &armoured(&changed), NOW).is_err(),
                "{key}: byte {at}"
            );
            assert!(
                allowed.verify(MESSAGE, &armoured(&bytes[..at]), NOW).is_err(),
                "{key}: cut at {at}"
            );
        }
        assert!(
            allowed
                .verify(MESSAGE, &armoured(&[&bytes[..], b"\0"].concat()), NOW)
                .is_err()
        );
    }
}

#[test]
fn a_signature_for_something_else_or_by_somebody_else_is_refused() {
    let (key, signature) = fixture!("ed25519", "other-namespace");
    assert_eq!(
        signers(&line(key)).verify(MESSAGE, signature, NOW),
        Err(SignedError::Namespace {
            found: "file".to_owned()
        })
    );
    let (_, signature) = GENUINE[0];
    let (other, _) = GENUINE[2];
    assert!(matches!(
        signers(&line(other)).verify(MESSAGE, signature, NOW),
        Err(SignedError::NotAllowed { .. })
    ));
    for bad in [
        "",
        "text",
        "-----BEGIN SSH SIGNATURE-----\n!\n-----END SSH SIGNATURE-----",
        &"A".repeat(20_000),
    ] {
        assert_eq!(
            signers(&line(other)).verify(MESSAGE, bad, NOW),
            Err(SignedError::Envelope(EnvelopeError::Armour)),
            "{bad}"
        );
    }
}

#[test]
fn namespaces_and_times_limit_a_key() {
    let (key, signature) = GENUINE[0];
    let verify = |options: &str| signers(&format!("ops {options} {key}")).verify(MESSAGE, signature, NOW);
    // The round is on 2026-06-01 at 00:00 UTC.
    for good in [
        "namespaces=\"lazaret-policy\"",
        "namespaces=\"file, lazaret-*\"",
        "valid-after=\"20260601Z\"",
        "valid-before=\"20260601000001Z\",valid-after=\"202605312359Z\"",
        "namespaces=\"*\",valid-before=20270101Z",
    ] {
        assert!(verify(good).is_ok(), "{good}: {:?}", verify(good));
    }
    assert!(matches!(
        verify("namespaces=\"file\""),
        Err(SignedError::OtherNamespaces { line: 1, .. })
    ));
    for late in [
        "valid-before=\"20260601Z\"",
        "valid-after=\"20260601000001Z\"",
        "valid-before=\"20250101Z\"",
    ] {
        assert!(
            matches!(verify(late), Err(SignedError::OutOfTime { line: 1, .. })),
            "{late}"
        );
    }
    // A later line may still allow it.
    let both = format!("# who signs\n\nold valid-before=\"20250101Z\" {key}\nnew {key}\n");
    assert_eq!(
        signers(&both).verify(MESSAGE, signature, NOW).unwrap().principals,
        "new"
    );
}

#[test]
fn a_line_that_is_not_understood_is_told_and_never_passed_over() {
    let (key, _) = GENUINE[0];
    let rsa1024 = include_str!("../../../tests/signatures/rsa1024.pub");
    let dead = key.replace("ssh-ed25519", "ssh-rsa");
    for (line, says) in [
        ("ops".to_owned(), "ssh-keygen(1)"),
        (
            format!("ops cert-authority {key}"),
            "certificates are not supported",
        ),
        (format!("ops no-such {key}"), "no-such"),
        (format!("ops valid-before=\"20260101\" {key}"), "with Z"),
        (format!("ops valid-before=\"20261301Z\" {key}"), "with Z"),
        (format!("ops valid-before=\"20260230Z\" {key}"), "with Z"),
        (format!("ops valid-before=\"20260101000061Z\" {key}"), "with Z"),
        (format!("ops valid-before=\"202601010060Z\" {key}"), "with Z"),
        (format!("ops valid-before=\"202601012400Z\" {key}"), "with Z"),
        (format!("ops valid-before=\"2026010x0000Z\" {key}"), "with Z"),
        (format!("ops valid-before=\"2026010100Z\" {key}"), "with Z"),
        (format!("ops namespaces=\"!file\" {key}"), "namespaces"),
        (format!("ops namespaces=\"fil?\" {key}"), "namespaces"),
        (format!("ops namespaces=\"file,,git\" {key}"), "namespaces"),
        (format!("ops namespaces=\"file {key}"), "quotation"),
        (format!("ops {rsa1024}"), "1024 bits"),
        (format!("ops {dead}"), "the line says ssh-rsa"),
        ("ops ssh-ed25519 AAAA!".to_owned(), "base64"),
        ("ops ssh-dss AAAAB3NzaC1kc3MAAAAA".to_owned(), "ssh-dss"),
    ] {
        let error = Signers::parse(&format!("# signers\n{line}\n")).expect_err(&line);
        assert_eq!(error.line, 2, "{line}: {error}");
        assert!(error.reason.contains(says), "{line}: {error}");
    }
    assert!(Signers::parse("# nobody\n").is_err());
    let leap = format!("ops valid-before=\"20261231235960Z\" {key}\nops {key}\n");
    let two = signers(&leap);
    assert_eq!((two.len(), two.is_empty()), (2, false));
    let filled = |length: usize| {
        let line = format!("ops {key}\n");
        Signers::parse(&format!("{line}{}", "#".repeat(length - line.len()))).map(|found| found.len())
    };
    assert_eq!(filled(1024 * 1024), Ok(1));
    assert!(
        filled(1024 * 1024 + 1)
            .unwrap_err()
            .reason
            .contains("larger than")
    );
}

/// SSH's form of fields.
fn fields(parts: &[&[u8]]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| [&u32::try_from(part.len()).unwrap().to_be_bytes(), *part].concat())
        .collect()
}

/// An armoured signature of `MESSAGE` by whatever `sign` makes of the bytes to be signed.
fn envelope(key: &[u8], sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let head = |last: &[u8]| fields(&[NAMESPACE.as_bytes(), b"", b"sha256", last]);
    let told = [b"SSHSIG".as_slice(), &head(&HashAlg::Sha256.digest(MESSAGE))].concat();
    let body = [
        b"SSHSIG\0\0\0\x01".as_slice(),
        &fields(&[key]),
        &head(&sign(&told)),
    ]
    .concat();
    let text = format!(
        "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
        STANDARD.encode(body)
    );
    assert!(Envelope::parse(&text).is_ok());
    text
}

fn allowing(kind: &str, blob: &[u8]) -> Signers {
    signers(&format!("ops {kind} {}", STANDARD.encode(blob)))
}

#[test]
fn a_signature_may_be_as_long_as_its_limit_and_no_longer() {
    let (key, signature) = GENUINE[0];
    let allowed = signers(&line(key));
    let with = |bytes: usize| {
        let more = " ".repeat(bytes - signature.len());
        allowed.verify(MESSAGE, &format!("{signature}{more}"), NOW)
    };
    assert!(with(16 * 1024).is_ok());
    assert_eq!(
        with(16 * 1024 + 1),
        Err(SignedError::Envelope(EnvelopeError::Armour))
    );
    let field = |bytes: usize| {
        let parts = [
            b"key".as_slice(),
            NAMESPACE.as_bytes(),
            b"",
            b"sha256",
            &vec![0; bytes],
        ];
        let body = [b"SSHSIG\0\0\0\x01".as_slice(), &fields(&parts)].concat();
        let armour = ["-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"];
        Envelope::parse(&armour.join(&format!("\n{}\n", STANDARD.encode(body))))
    };
    assert!(field(8 * 1024).is_ok());
    assert!(matches!(field(8 * 1024 + 1), Err(EnvelopeError::Read(_))));
}

#[test]
fn an_rsa_signature_may_use_sha_256_but_not_sha_1() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    // RSAPublicKey (RFC 8017, A.1.1) with a modulus of 257 bytes, a leading zero included, and 65537.
    let der = pair.public_key().as_ref();
    let (n, e) = (&der[8..265], &der[267..270]);
    let blob = fields(&[b"ssh-rsa", e, n]);
    let signed_as = |kind: &str| {
        envelope(&blob, |bytes| {
            let mut raw = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), bytes, &mut raw)
                .unwrap();
            fields(&[kind.as_bytes(), &raw])
        })
    };
    let allowed = allowing("ssh-rsa", &blob);
    assert!(allowed.verify(MESSAGE, &signed_as("rsa-sha2-256"), NOW).is_ok());
    for kind in ["rsa-sha2-512", "ssh-rsa", ""] {
        assert!(allowed.verify(MESSAGE, &signed_as(kind), NOW).is_err(), "{kind}");
    }
}

#[test]
fn a_key_on_a_curve_names_the_curve_and_gives_the_whole_point() {
    let kind: &[u8] = b"ecdsa-sha2-nistp256";
    let whole = [&[4][..], &[1; 64]].concat();
    let read = |curve: &[u8], point: &[u8]| key::Key::parse(&fields(&[kind, curve, point])).is_ok();
    assert!(read(b"nistp256", &whole));
    assert!(!read(b"nistp384", &whole));
    assert!(!read(b"nistp256", &whole[..64]));
    assert!(!read(b"nistp256", &[whole.as_slice(), &[1]].concat()));
    assert!(!read(b"nistp256", &[&[2][..], &[1; 64]].concat()));
}

/// RFC 4251, 5: a number has a leading zero where it would be negative without, and nowhere else.
#[test]
fn a_number_of_a_signature_has_one_form() {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let kind: &[u8] = b"ecdsa-sha2-nistp256";
    let blob = fields(&[kind, b"nistp256", pair.public_key().as_ref()]);
    let allowed = allowing("ecdsa-sha2-nistp256", &blob);
    let (mut high, mut low) = (false, false);
    while !(high && low) {
        let good = |number: &[u8]| [&[0_u8][..usize::from(number[0] >> 7)], number].concat();
        let seen = std::cell::Cell::new(None);
        let signed = |change: &dyn Fn(&[u8]) -> Vec<u8>| {
            let text = envelope(&blob, |bytes| {
                let raw = pair.sign(&random, bytes).unwrap();
                let (r, s) = raw.as_ref().split_at(32);
                // Leading zeros are another story.
                seen.set((r[0] != 0 && s[0] != 0).then_some(r[0] >= 0x80));
                fields(&[kind, &fields(&[&change(r), &good(s)])])
            });
            allowed.verify(MESSAGE, &text, NOW).is_ok()
        };
        assert!(signed(&good) || seen.get().is_none());
        // With the high bit and no zero before it; without the high bit and with a zero.
        let wrong = |number: &[u8]| match number[0] >= 0x80 {
            true => number.to_vec(),
            false => [&[0][..], number].concat(),
        };
        assert!(!signed(&wrong) || seen.get().is_none(), "{seen:?}");
        match seen.get() {
            Some(true) => high = true,
            Some(false) => low = true,
            None => {}
        }
    }
}

#[test]
fn a_security_key_signs_when_it_is_touched() {
    let random = SystemRandom::new();
    let application = b"ssh:lazaret";
    let told = |bytes: &[u8], flags: u8| {
        [
            HashAlg::Sha256.digest(application),
            vec![flags, 0, 0, 0, 9],
            HashAlg::Sha256.digest(bytes),
        ]
        .concat()
    };
    let ed = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let ed_kind = "sk-ssh-ed25519@openssh.com";
    let ed_blob = fields(&[ed_kind.as_bytes(), ed.public_key().as_ref(), application]);
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let ec_kind = "sk-ecdsa-sha2-nistp256@openssh.com";
    let ec_blob = fields(&[
        ec_kind.as_bytes(),
        b"nistp256",
        ec.public_key().as_ref(),
        application,
    ]);
    let mpint = |number: &[u8]| {
        let number = &number[number.iter().take_while(|byte| **byte == 0).count()..];
        [&[0_u8][..usize::from(number[0] >> 7)], number].concat()
    };
    for (signed_flags, said_flags, good) in [
        (1, 1, true),
        (5, 5, true),
        (0, 0, false),
        (0, 1, false),
        (1, 5, false),
    ] {
        let end = [said_flags, 0, 0, 0, 9];
        let by_ed = envelope(&ed_blob, |bytes| {
            let raw = ed.sign(&told(bytes, signed_flags));
            [fields(&[ed_kind.as_bytes(), raw.as_ref()]), end.to_vec()].concat()
        });
        assert_eq!(
            allowing(ed_kind, &ed_blob).verify(MESSAGE, &by_ed, NOW).is_ok(),
            good,
            "{signed_flags}"
        );
        let by_ec = envelope(&ec_blob, |bytes| {
            let raw = ec.sign(&random, &told(bytes, signed_flags)).unwrap();
            let (r, s) = raw.as_ref().split_at(32);
            [
                fields(&[ec_kind.as_bytes(), &fields(&[&mpint(r), &mpint(s)])]),
                end.to_vec(),
            ]
            .concat()
        });
        assert_eq!(
            allowing(ec_kind, &ec_blob).verify(MESSAGE, &by_ec, NOW).is_ok(),
            good,
            "{signed_flags}"
        );
    }
    // The same key without its token is another key.
    let plain = fields(&[b"ssh-ed25519", ed.public_key().as_ref()]);
    let by_plain = envelope(&ed_blob, |bytes| {
        fields(&[b"ssh-ed25519", ed.sign(bytes).as_ref()])
    });
    assert!(
        allowing(ed_kind, &ed_blob)
            .verify(MESSAGE, &by_plain, NOW)
            .is_err()
    );
    let forged = envelope(&plain, |bytes| {
        [
            fields(&[ed_kind.as_bytes(), ed.sign(&told(bytes, 1)).as_ref()]),
            vec![1, 0, 0, 0, 9],
        ]
        .concat()
    });
    assert!(
        allowing("ssh-ed25519", &plain)
            .verify(MESSAGE, &forged, NOW)
            .is_err()
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,120}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (key, _) = GENUINE[0];
        let allowed = signers(&line(key));
        prop_assert!(allowed.verify(MESSAGE, &text, NOW).is_err());
        let armoured = format!(
            "-----BEGIN SSH SIGNATURE-----{}-----END SSH SIGNATURE-----",
            STANDARD.encode([b"SSHSIG\0\0\0\x01".as_slice(), &bytes].concat())
        );
        prop_assert!(allowed.verify(MESSAGE, &armoured, NOW).is_err());
        let _ = Signers::parse(&text);
        let _ = Signers::parse(&format!("ops {} ssh-ed25519 {}", text, STANDARD.encode(&bytes)));
    }
}
