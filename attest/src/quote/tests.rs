mod corpus;

use proptest::prelude::*;

use super::*;
use crate::key::vectors::{Signer, sized};

/// A TPMS_ATTEST in the making; every field can be wrong.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) magic: u32,
    pub(super) kind: u16,
    signer: Vec<u8>,
    extra_data: Vec<u8>,
    safe: u8,
    selection: Vec<u8>,
    digest: Vec<u8>,
}

impl Draft {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_be_bytes().to_vec();
        bytes.extend(self.kind.to_be_bytes());
        bytes.extend(sized(&self.signer));
        bytes.extend(sized(&self.extra_data));
        bytes.extend(1234_u64.to_be_bytes());
        bytes.extend(5_u32.to_be_bytes());
        bytes.extend(6_u32.to_be_bytes());
        bytes.push(self.safe);
        bytes.extend(7_u64.to_be_bytes());
        bytes.extend(&self.selection);
        bytes.extend(sized(&self.digest));
        bytes
    }

    fn open(&self) -> Result<VerifiedQuote, QuoteError> {
        open(&self.bytes())
    }

    fn answers(&self) -> Result<AnsweredQuote, QuoteError> {
        self.open()?.answers(&challenge())
    }
}

fn open(signed: &[u8]) -> Result<VerifiedQuote, QuoteError> {
    VerifiedQuote::open(signed, &Signer::p256().sign(signed), &Signer::p256().key())
}

pub(super) fn challenge() -> Challenge {
    Challenge {
        nonce: [7; 32],
        host: "cmp-1".into(),
        agent_key: [9; 32],
        selection: "sha256:0,7,10+sha1:10".parse().unwrap(),
        ima_first: 0,
    }
}

pub(super) fn values() -> Vec<PcrValue> {
    let fill = |(bank, index): (HashAlg, u8)| PcrValue {
        bank,
        index,
        digest: vec![index; bank.digest_len()],
    };
    challenge().selection.iter().map(fill).collect()
}

pub(super) fn draft() -> Draft {
    Draft {
        magic: MAGIC,
        kind: ATTEST_QUOTE,
        signer: vec![0xab; 34],
        extra_data: challenge().qualifying_data().to_vec(),
        safe: 1,
        selection: challenge().selection.to_bytes(),
        digest: pcr::digest_of(&challenge().selection, &values(), HashAlg::Sha256).unwrap(),
    }
}

#[test]
fn a_genuine_quote_of_each_kind_of_key_proves_its_pcrs() {
    for signer in Signer::all() {
        let hash = signer.key().scheme().hash();
        let digest = pcr::digest_of(&challenge().selection, &values(), hash).unwrap();
        let raw = Draft { digest, ..draft() }.bytes();
        let quote = VerifiedQuote::open(&raw, &signer.sign(&raw), &signer.key()).unwrap();
        let values = values();
        assert_eq!(quote.firmware_version(), 7);
        let answered = quote.answers(&challenge()).unwrap();
        assert_eq!(answered.firmware_version(), 7);
        let quoted = answered.with_pcrs(&values).unwrap();
        assert_eq!(quoted.value(HashAlg::Sha256, 7), Some(&[7; 32][..]));
        assert_eq!(quoted.value(HashAlg::Sha1, 7), None);
        assert_eq!(quoted.values(), values);
        assert_eq!(*quoted.selection(), challenge().selection);
        let clock = Clock {
            clock_ms: 1234,
            reset_count: 5,
            restart_count: 6,
            safe: true,
        };
        assert_eq!(quoted.clock(), clock);
        assert_eq!(quoted.firmware_version(), 7);
        assert_eq!(quoted.qualified_signer().as_bytes(), [0xab; 34]);
    }
}

#[test]
fn case_14_bad_magic_is_refused_though_the_key_signed_it() {
    let found = Draft {
        magic: 0xff54_4348,
        ..draft()
    }
    .open();
    assert_eq!(found, Err(QuoteError::Magic { found: 0xff54_4348 }));
}

#[test]
fn case_15_other_attestations_are_refused_by_name() {
    // Every TPM_ST_ATTEST_* there is but the quote's, what stands between them, and a command's tag.
    for (kind, word) in [
        (0x8014, "NV index"),
        (0x8015, "audited command"),
        (0x8016, "session audit"),
        (0x8017, "certification of a key"),
        (0x8019, "time"),
        (0x801a, "creation"),
        (0x801b, "unknown"),
        (0x801c, "NV digest"),
        (0x8002, "unknown"),
        (0x0018, "unknown"),
        (0x1880, "unknown"),
    ] {
        let error = Draft { kind, ..draft() }.open().unwrap_err();
        assert!(
            matches!(error, QuoteError::Kind { found, name } if found == kind && name.contains(word)),
            "{error}"
        );
    }
}

#[test]
fn case_15_an_attestation_of_another_kind_with_its_own_body_is_refused() {
    let head = |kind: u16| {
        let mut bytes = MAGIC.to_be_bytes().to_vec();
        bytes.extend(kind.to_be_bytes());
        bytes.extend(sized(&[0xab; 34]));
        bytes.extend(sized(&challenge().qualifying_data()));
        bytes.extend([0; 8 + 4 + 4]);
        bytes.push(1);
        bytes.extend([0; 8]);
        bytes
    };
    // TPMS_CERTIFY_INFO: name and qualified name. TPMS_NV_CERTIFY_INFO: a caller's bytes, here those of a quote.
    let certify = [head(0x8017), sized(&[0xcd; 34]), sized(&[0xef; 34])].concat();
    let inside = [challenge().selection.to_bytes(), sized(&draft().digest)].concat();
    let nv = [head(0x8014), sized(&[0xcd; 34]), vec![0, 0], sized(&inside)].concat();
    // TPMS_CREATION_INFO: the name of a key, and a digest that its maker chose.
    let creation = [head(0x801a), sized(&[0xcd; 34]), sized(&[0xef; 32])].concat();
    for bytes in [certify, nv, creation] {
        assert!(matches!(open(&bytes), Err(QuoteError::Kind { .. })));
    }
}

#[test]
fn case_16_trailing_bytes_are_refused_though_the_key_signed_them() {
    let mut bytes = draft().bytes();
    let offset = bytes.len();
    bytes.push(0);
    let expected = ReadError::Trailing {
        offset,
        structure: "the quote (TPMS_ATTEST)",
        left: 1,
    };
    assert_eq!(open(&bytes), Err(QuoteError::Read(expected)));
}

#[test]
fn case_17_every_signed_prefix_is_a_clean_error() {
    let bytes = draft().bytes();
    for end in 0..bytes.len() {
        assert!(
            matches!(open(&bytes[..end]), Err(QuoteError::Read(_))),
            "prefix of {end}"
        );
    }
}

#[test]
fn case_17_lengths_that_overflow_are_clean_errors_at_every_offset() {
    let (bytes, values) = (draft().bytes(), values());
    for at in 6..bytes.len() - 1 {
        let mut wrong = bytes.clone();
        wrong[at..at + 2].copy_from_slice(&[0xff, 0xff]);
        let error = open(&wrong)
            .and_then(|q| q.answers(&challenge()))
            .and_then(|q| q.with_pcrs(&values));
        // Only in the signer, the clock and the firmware's version may any value stand.
        let free = (8..41).contains(&at) || (76..91).contains(&at) || (93..100).contains(&at);
        assert_eq!(error.is_ok(), free, "offset {at}");
    }
}

#[test]
fn a_safe_flag_that_is_no_flag_is_refused() {
    assert_eq!(
        Draft { safe: 2, ..draft() }.open(),
        Err(QuoteError::SafeFlag { offset: 92, found: 2 })
    );
    let unsafe_clock = Draft { safe: 0, ..draft() }.answers().unwrap();
    assert!(!unsafe_clock.clock().safe, "after our own fence: no failure");
}

#[test]
fn case_18_another_mask_than_asked_for_is_refused() {
    for text in [
        "sha256:0,7+sha1:10",
        "sha256:0,1,7,10+sha1:10",
        "sha256:0,7,11+sha1:10",
    ] {
        let selection: Selection = text.parse().unwrap();
        let error = Draft {
            selection: selection.to_bytes(),
            ..draft()
        }
        .answers()
        .unwrap_err();
        let expected = challenge().selection.to_string();
        assert_eq!(
            error,
            QuoteError::Selection {
                expected,
                found: text.to_owned()
            }
        );
    }
}

#[test]
fn case_19_another_bank_than_asked_for_is_refused() {
    for text in ["sha1:0,7,10+sha256:10", "sha384:0,7,10+sha1:10", "sha256:0,7,10"] {
        let selection: Selection = text.parse().unwrap();
        let error = Draft {
            selection: selection.to_bytes(),
            ..draft()
        }
        .answers()
        .unwrap_err();
        assert!(matches!(error, QuoteError::Selection { .. }), "{text}");
    }
    let unknown = Draft {
        selection: vec![0, 0, 0, 1, 0, 0x12, 3, 1, 0, 0],
        ..draft()
    };
    assert_eq!(
        unknown.open(),
        Err(QuoteError::SelectionForm(SelectionError::UnknownBank(0x12)))
    );
}

#[test]
fn case_20_doubled_and_reordered_banks_are_refused() {
    let doubled = vec![0, 0, 0, 2, 0, 0x0b, 3, 1, 0, 0, 0, 0x0b, 3, 2, 0, 0];
    assert_eq!(
        Draft {
            selection: doubled,
            ..draft()
        }
        .open(),
        Err(QuoteError::SelectionForm(SelectionError::DuplicateBank(
            HashAlg::Sha256
        )))
    );
    let reordered: Selection = "sha1:10+sha256:0,7,10".parse().unwrap();
    let error = Draft {
        selection: reordered.to_bytes(),
        ..draft()
    }
    .answers()
    .unwrap_err();
    assert!(matches!(error, QuoteError::Selection { .. }));
}

#[test]
fn case_21_values_under_other_labels_than_the_signed_ones_are_refused() {
    let mut swapped = values();
    (swapped[0].index, swapped[1].index) = (7, 0);
    let error = draft().answers().unwrap().with_pcrs(&swapped).unwrap_err();
    assert!(matches!(error, QuoteError::Digest { .. }));
    let mut reordered = values();
    reordered.reverse();
    assert!(
        draft().answers().unwrap().with_pcrs(&reordered).is_ok(),
        "the order they come in says nothing"
    );
}

#[test]
fn case_22_surplus_missing_and_wrong_values_are_refused() {
    let answered = || draft().answers().unwrap();
    let mut surplus = values();
    surplus.push(PcrValue {
        bank: HashAlg::Sha256,
        index: 23,
        digest: vec![0; 32],
    });
    let error = answered().with_pcrs(&surplus).unwrap_err();
    assert_eq!(
        error,
        PcrValuesError::Surplus {
            bank: HashAlg::Sha256,
            index: 23
        }
        .into()
    );
    let error = answered().with_pcrs(&values()[1..]).unwrap_err();
    assert_eq!(
        error,
        PcrValuesError::Missing {
            bank: HashAlg::Sha256,
            index: 0
        }
        .into()
    );
    assert!(answered().with_pcrs(&[]).is_err());
    for at in 0..values().len() {
        let mut wrong = values();
        wrong[at].digest[3] ^= 1;
        assert!(matches!(
            answered().with_pcrs(&wrong),
            Err(QuoteError::Digest { .. })
        ));
    }
}

#[test]
fn case_23_digests_of_the_wrong_size_are_refused() {
    for size in [0, 20, 31, 33, 48] {
        let found = Draft {
            digest: vec![0; size],
            ..draft()
        }
        .open();
        assert_eq!(
            found,
            Err(QuoteError::DigestSize {
                expected: 32,
                found: size
            })
        );
    }
    let mut short = values();
    short[0].digest.pop();
    let error = draft().answers().unwrap().with_pcrs(&short).unwrap_err();
    assert_eq!(
        error,
        PcrValuesError::Size {
            bank: HashAlg::Sha256,
            index: 0,
            found: 31
        }
        .into()
    );
}

#[test]
fn case_24_stale_swapped_empty_cut_and_foreign_nonces_are_refused() {
    let good = challenge().qualifying_data();
    let other = |change: &dyn Fn(&mut Challenge)| {
        let mut challenge = challenge();
        change(&mut challenge);
        challenge.qualifying_data().to_vec()
    };
    let wrong = [
        vec![],
        good[..31].to_vec(),
        [&good[..], &[0]].concat(),
        challenge().nonce.to_vec(),
        other(&|c| c.nonce[0] ^= 1),
        other(&|c| c.host = "cmp-2".into()),
        other(&|c| c.agent_key[31] ^= 1),
    ];
    for extra_data in wrong {
        let error = Draft {
            extra_data: extra_data.clone(),
            ..draft()
        }
        .answers()
        .unwrap_err();
        let (expected, found) = (hex::encode(good), hex::encode(&extra_data));
        assert_eq!(error, QuoteError::Challenge { expected, found });
    }
}

#[test]
fn case_29_another_qualified_signer_is_refused() {
    let quote = draft().open().unwrap();
    assert!(quote.clone().signed_as(&Name::from_bytes(&[0xab; 34])).is_ok());
    let error = quote.signed_as(&Name::from_bytes(&[0xab; 33])).unwrap_err();
    assert!(matches!(error, QuoteError::Signer { .. }));
}

#[test]
fn every_flipped_bit_of_a_signed_quote_is_refused() {
    for signer in Signer::all() {
        let raw = draft().bytes();
        let (signature, key) = (signer.sign(&raw), signer.key());
        for at in 0..raw.len() {
            for bit in 0..8 {
                let mut changed = raw.clone();
                changed[at] ^= 1 << bit;
                let found = VerifiedQuote::open(&changed, &signature, &key);
                assert_eq!(
                    found,
                    Err(QuoteError::Signature(SignatureError::Invalid)),
                    "byte {at} bit {bit}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_the_key_signs_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = open(&bytes);
        let marked = [&draft().bytes()[..42], &bytes].concat();
        let _ = open(&marked).and_then(|quote| quote.answers(&challenge()));
        let _ = VerifiedQuote::open(&bytes, &bytes, &Signer::p256().key());
    }
}
