//! Quotes of software TPMs, genuine and tampered with.

use super::super::*;
use super::open;
use crate::key::EndorsementKey;
use crate::key::vectors::corpus;

struct Captured {
    dir: std::path::PathBuf,
}

impl Captured {
    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.join(name)).unwrap()
    }

    fn nonce(&self) -> Vec<u8> {
        hex::decode(String::from_utf8(self.read("nonce.hex")).unwrap().trim()).unwrap()
    }

    fn open(&self, msg: &str, sig: &str, key: &str) -> Result<VerifiedQuote, QuoteError> {
        let key = AttestationKey::from_public(&self.read(key)).unwrap();
        VerifiedQuote::open(&self.read(msg), &self.read(sig), &key)
    }

    /// tpm2_quote's YAML: `  sha256:` and then `    10: 0x..`.
    fn values(&self) -> Vec<PcrValue> {
        let text = String::from_utf8(self.read("quote.log")).unwrap();
        let (mut bank, mut values) = (None, Vec::new());
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            if let Ok(alg) = name.trim().parse::<HashAlg>() {
                bank = Some(alg);
            } else if let (Some(bank), Ok(index), Some(digits)) =
                (bank, name.trim().parse(), value.trim().strip_prefix("0x"))
            {
                values.push(PcrValue {
                    bank,
                    index,
                    digest: hex::decode(digits).unwrap(),
                });
            }
        }
        values
    }

    /// tpm2-tools' own dump of sha256:0-15 (little-endian C structures).
    fn dumped(&self, name: &str) -> Vec<PcrValue> {
        let bytes = self.read(name);
        let mut r = Reader::new(&bytes);
        r.take(132, "TPML_PCR_SELECTION").unwrap();
        let (lists, mut values) = (r.u32_le("count").unwrap(), Vec::new());
        for _ in 0..lists {
            let count = r.u32_le("count").unwrap();
            for at in 0..8 {
                let size = usize::from(r.u16_le("size").unwrap());
                let digest = r.take(64, "digest").unwrap()[..size].to_vec();
                if at < count {
                    values.push(PcrValue {
                        bank: HashAlg::Sha256,
                        index: u8::try_from(values.len()).unwrap(),
                        digest,
                    });
                }
            }
        }
        values
    }
}

#[test]
fn quotes_of_real_boots_verify_to_their_pcrs_and_signers() {
    let Some(corpus) = corpus() else { return };
    let all: Vec<String> = (0..24).map(|i| i.to_string()).collect();
    let mut seen = 0;
    for entry in std::fs::read_dir(corpus.join("vm")).unwrap() {
        let captured = Captured {
            dir: entry.unwrap().path(),
        };
        if !captured.dir.join("quote.msg").exists() {
            continue;
        }
        let quote = captured.open("quote.msg", "quote.sig", "ak.pub").unwrap();
        let ek = EndorsementKey::from_public(&captured.read("ek.pub")).unwrap();
        let ak = AttestationKey::from_public(&captured.read("ak.pub")).unwrap();
        let quote = quote.signed_as(&ak.qualified_name_under(&ek)).unwrap();
        let selection = format!("sha1:{}+sha256:{}", all.join(","), all.join(","))
            .parse()
            .unwrap();
        let quoted = quote.answers_data(&captured.nonce(), &selection).unwrap();
        let values = captured.values();
        assert_eq!(values.len(), 48, "{:?}", captured.dir);
        let quoted = quoted.with_pcrs(&values).unwrap();
        assert!(
            quoted
                .value(HashAlg::Sha256, 10)
                .is_some_and(|value| value != [0; 32])
        );
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} captures");
}

#[test]
fn tampered_quotes_of_the_corpus_fail_with_the_right_cause() {
    let Some(corpus) = corpus() else { return };
    let captured = Captured {
        dir: corpus.join("vm/swtpm-quotes"),
    };
    let selection: Selection = "sha256:0-15".parse().unwrap();
    for (msg, sig, key, dump) in [
        ("q.msg", "q.sig", "ak.pub", "q.pcrs"),
        ("qe.msg", "qe.sig", "ake.pub", "qe.pcrs"),
    ] {
        let answered = captured
            .open(msg, sig, key)
            .unwrap()
            .answers_data(&captured.nonce(), &selection)
            .unwrap();
        assert!(answered.clone().with_pcrs(&captured.dumped(dump)).is_ok());
        let tampered = captured.dumped("bad-pcr.pcrs");
        let bad = answered.with_pcrs(&tampered);
        assert!(matches!(bad, Err(QuoteError::Digest { .. })));
    }
    let invalid = Err(QuoteError::Signature(SignatureError::Invalid));
    let mut seen = 0;
    for entry in std::fs::read_dir(&captured.dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".msg") && name != "q.msg" && name != "qe.msg" {
            assert_eq!(captured.open(&name, "q.sig", "ak.pub"), invalid, "{name}");
            seen += 1;
        }
    }
    assert_eq!(seen, 10);
    assert_eq!(captured.open("q.msg", "bad-sig.sig", "ak.pub"), invalid);
    let confused = captured.open("q.msg", "q.sig", "ake.pub");
    assert!(matches!(
        confused,
        Err(QuoteError::Signature(SignatureError::OtherScheme { .. }))
    ));
    assert_eq!(captured.open("qe.msg", "q.sig", "ak.pub"), invalid);
    let stale = captured
        .open("q.msg", "q.sig", "ak.pub")
        .unwrap()
        .answers_data(&[0; 20], &selection);
    assert!(matches!(stale, Err(QuoteError::Challenge { .. })));
}

#[test]
fn tampered_quotes_fail_by_their_own_fault_even_if_the_key_had_signed_them() {
    let Some(corpus) = corpus() else { return };
    let captured = Captured {
        dir: corpus.join("vm/swtpm-quotes"),
    };
    let selection: Selection = "sha256:0-15".parse().unwrap();
    let values = captured.dumped("q.pcrs");
    let cause = |name: &str| {
        open(&captured.read(name))
            .and_then(|quote| quote.answers_data(&captured.nonce(), &selection))
            .and_then(|quote| quote.with_pcrs(&values))
    };
    assert!(cause("q.msg").is_ok());
    assert!(matches!(cause("bad-magic.msg"), Err(QuoteError::Magic { .. })));
    assert!(matches!(cause("bad-type.msg"), Err(QuoteError::Kind { .. })));
    assert!(matches!(
        cause("bad-nonce.msg"),
        Err(QuoteError::Challenge { .. })
    ));
    // In spite of its name, the byte that differs in this one stands in the digest, behind the selection.
    assert!(matches!(
        cause("bad-pcrselect.msg"),
        Err(QuoteError::Digest { .. })
    ));
    // Nothing binds these fields but the signature and, where it is known, the pinned signer.
    for name in ["bad-clock.msg", "bad-firmware.msg", "bad-qualified-signer.msg"] {
        assert!(cause(name).is_ok(), "{name}");
    }
    assert!(matches!(
        cause("bad-pcrdigest.msg"),
        Err(QuoteError::Digest { .. })
    ));
    assert!(matches!(
        cause("trailing.msg"),
        Err(QuoteError::Read(ReadError::Trailing { .. }))
    ));
    assert!(matches!(
        cause("truncated.msg"),
        Err(QuoteError::Read(ReadError::Truncated { .. }))
    ));
}
