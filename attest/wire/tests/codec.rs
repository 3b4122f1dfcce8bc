//! What the codec lets in.

use lazaret_wire::{
    Activate, Activated, Attest, Bank, EkKind, EkOffer, Evidence, Identity, Message, PcrValue, Problem,
    WireError, decode, encode, limits,
};
use proptest::prelude::*;

fn attest() -> Attest {
    Attest {
        nonce: [7; 32],
        host: "cmp-1".to_owned(),
        selection: vec![
            Bank {
                alg: 0x000b,
                pcrs: vec![0, 10],
            },
            Bank {
                alg: 0x0004,
                pcrs: vec![10],
            },
        ],
        ima_first: 62,
    }
}

fn identity() -> Identity {
    let offer = |kind| EkOffer {
        kind,
        public: vec![1; 300],
        certificate: vec![2; 1000],
    };
    Identity {
        version: 1,
        host: "cmp-1".to_owned(),
        ek: EkKind::ALL.map(offer).to_vec(),
        ak_public: vec![3; 90],
    }
}

fn evidence() -> Evidence {
    Evidence {
        quote: vec![1; 145],
        signature: vec![2; 72],
        pcrs: vec![PcrValue {
            alg: 0x000b,
            index: 0,
            digest: vec![0; 32],
        }],
        boot_log: vec![3; 40_000],
        ima_log: vec![4; 7_600],
        ima_first: 62,
    }
}

fn same<T: Message + PartialEq + std::fmt::Debug>(message: T) {
    let bytes = encode(&message).unwrap();
    assert_eq!(decode::<T>(&bytes).unwrap(), message);
    // Behind the first fields lies one long byte string, where a cut in every 31st place says as much.
    for cut in (0..bytes.len()).filter(|cut| *cut < 3_000 || cut % 31 == 0 || bytes.len() - cut < 500) {
        assert!(decode::<T>(&bytes[..cut]).is_err(), "{} cut at {cut}", T::NAME);
    }
    for surplus in [0x00, 0xf6, 0xff] {
        let longer = [&bytes[..], &[surplus]].concat();
        assert!(
            matches!(decode::<T>(&longer), Err(WireError::NotCanonical { .. })),
            "{} and a byte",
            T::NAME
        );
    }
}

#[test]
fn every_message_comes_back_and_no_cut_or_longer_one_does() {
    same(attest());
    same(identity());
    same(evidence());
    same(Activate {
        ek: EkKind::EccP384,
        credential: vec![1; 66],
        secret: vec![2; 100],
    });
    same(Activated { secret: vec![9; 32] });
    same(Problem::new(Problem::BUSY, "too many requests"));
}

#[test]
fn bytes_travel_as_bytes_not_as_lists() {
    let size = encode(&evidence()).unwrap().len();
    assert!(size < 40_000 + 7_600 + 500, "{size} bytes");
}

#[test]
fn another_form_of_the_same_message_is_refused() {
    let bytes = encode(&Activated { secret: vec![9; 32] }).unwrap();
    // A map of one pair: a1 66 "secret" 58 20 ...
    assert_eq!(&bytes[..2], [0xa1, 0x66]);
    let body = &bytes[1..];
    let indefinite = [&[0xbf][..], body, &[0xff]].concat();
    let long_count = [&[0xb8, 0x01][..], body].concat();
    let doubled = [&[0xa2][..], body, body].concat();
    let unknown = [&[0xa2][..], body, &[0x61, b'x', 0x00]].concat();
    for (name, other) in [
        ("indefinite", indefinite),
        ("long count", long_count),
        ("doubled", doubled),
        ("unknown", unknown),
    ] {
        assert!(decode::<Activated>(&other).is_err(), "{name}");
    }
}

#[test]
fn a_declared_length_allocates_nothing() {
    // A byte string of 2^62 bytes, and a list of 2^62 entries.
    for hostile in [
        [&[0xa1, 0x66][..], b"secret", &[0x5b, 0x40, 0, 0, 0, 0, 0, 0, 0]].concat(),
        [&[0xa1, 0x66][..], b"secret", &[0x9b, 0x40, 0, 0, 0, 0, 0, 0, 0]].concat(),
    ] {
        assert!(matches!(
            decode::<Activated>(&hostile),
            Err(WireError::Malformed { .. })
        ));
    }
    let deep = vec![0x81; 8_000];
    assert!(matches!(
        decode::<Attest>(&deep),
        Err(WireError::Malformed { .. })
    ));
}

fn beyond<T: Message>(message: T) -> &'static str {
    let Err(WireError::BeyondLimits { field, .. }) = encode(&message) else {
        panic!("{} passes", T::NAME)
    };
    field
}

#[test]
fn fields_have_limits() {
    let broken = |break_it: fn(&mut Attest)| {
        let mut message = attest();
        break_it(&mut message);
        // What is not encoded is not decoded either.
        let mut bytes = Vec::new();
        ciborium::into_writer(&message, &mut bytes).unwrap();
        assert!(matches!(
            decode::<Attest>(&bytes),
            Err(WireError::BeyondLimits { .. })
        ));
        beyond(message)
    };
    assert_eq!(broken(|m| m.host.clear()), "host");
    assert_eq!(broken(|m| m.host = "h".repeat(256)), "host");
    assert_eq!(broken(|m| m.host = "a\nb".to_owned()), "host");
    assert_eq!(broken(|m| m.selection.clear()), "selection");
    assert_eq!(
        broken(|m| m.selection = vec![m.selection[0].clone(); 5]),
        "selection"
    );
    assert_eq!(broken(|m| m.selection[0].pcrs = vec![]), "selection.pcrs");
    assert_eq!(broken(|m| m.selection[0].pcrs = vec![24]), "selection.pcrs");
    assert_eq!(broken(|m| m.selection[0].pcrs = vec![1, 1]), "selection.pcrs");
    assert_eq!(broken(|m| m.selection[0].pcrs = vec![2, 1]), "selection.pcrs");
    assert_eq!(
        broken(|m| m.selection[1].alg = m.selection[0].alg),
        "selection.alg"
    );

    let mut message = identity();
    message.ek[0].certificate = vec![0; limits::CERTIFICATE + 1];
    assert_eq!(beyond(message), "ek.certificate");
    let mut message = evidence();
    message.boot_log = vec![0; limits::BOOT_LOG + 1];
    assert_eq!(beyond(message), "boot_log");
    let mut message = evidence();
    message.ima_log = vec![0; limits::IMA_LOG + 1];
    assert_eq!(beyond(message), "ima_log");
    let mut message = evidence();
    message.pcrs = vec![message.pcrs[0].clone(); 97];
    assert_eq!(beyond(message), "pcrs");
}

#[test]
fn a_body_beyond_its_limit_is_not_even_parsed() {
    let bytes = vec![0; limits::REQUEST + 1];
    assert!(matches!(
        decode::<Attest>(&bytes),
        Err(WireError::TooLarge {
            limit: limits::REQUEST,
            ..
        })
    ));
}

#[test]
fn the_largest_evidence_fits_an_answer() {
    let mut message = evidence();
    message.boot_log = vec![0; limits::BOOT_LOG];
    message.ima_log = vec![0; limits::IMA_LOG];
    message.pcrs = (0..96)
        .map(|n| PcrValue {
            alg: 0x000d,
            index: n % 24,
            digest: vec![0; 64],
        })
        .collect();
    let bytes = encode(&message).unwrap();
    assert!(decode::<Evidence>(&bytes).is_ok());
}

#[test]
fn a_problem_cannot_carry_escape_sequences_nor_grow() {
    let problem = Problem::new(
        Problem::TPM_FAILED,
        format!("\u{1b}[31mred\n{}", "é".repeat(2_000)),
    );
    assert!(problem.message.len() <= limits::PROBLEM_MESSAGE && !problem.message.contains(char::is_control));
    encode(&problem).unwrap();
    let hostile = Problem {
        code: "x".to_owned(),
        message: "\u{1b}[31m".to_owned(),
    };
    assert_eq!(beyond(hostile), "message");
    assert_eq!(
        beyond(Problem {
            code: "X y".to_owned(),
            message: String::new()
        }),
        "code"
    );
}

#[test]
fn an_activated_secret_is_not_printed() {
    assert!(
        !format!(
            "{:?}",
            Activated {
                secret: vec![222; 32]
            }
        )
        .contains("222")
    );
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        let _ = decode::<Attest>(&bytes);
        let _ = decode::<Identity>(&bytes);
        let _ = decode::<Evidence>(&bytes);
        let _ = decode::<Problem>(&bytes);
    }

    #[test]
    fn a_changed_byte_never_panics_and_what_decodes_encodes_to_the_same(at in 0usize..120, with: u8) {
        let mut bytes = encode(&attest()).unwrap();
        let at = at % bytes.len();
        bytes[at] = with;
        if let Ok(message) = decode::<Attest>(&bytes) {
            prop_assert_eq!(encode(&message).unwrap(), bytes);
        }
    }
}
