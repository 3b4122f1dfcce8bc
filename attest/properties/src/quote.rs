//! TPMS_ATTEST, signed by the pinned key whatever it says.

use lazaret_attest::quote::VerifiedQuote;
use lazaret_attest::verdict::Verdict;

use crate::memory::bounded;
use crate::oracle;
use crate::scene::scene;

/// What is opened is one whole quote that reads the same here; what affirms is the honest quote but for its counters.
pub fn quote(data: &[u8]) {
    let scene = scene();
    let signature = scene.tpm.key.sign(data).unwrap_or_else(|error| panic!("{error}"));
    bounded(data, 4, 16 * 1024, || {
        let _ = VerifiedQuote::open(data, &signature, &scene.key);
    });
    if let Ok(quote) = VerifiedQuote::open(data, &signature, &scene.key) {
        let Some(attest) = oracle::attest(data) else {
            panic!("a quote is opened that ends early");
        };
        assert_eq!(attest.bytes(), data, "one form for each quote");
        assert!(attest.trailing.is_empty(), "bytes behind a quote");
        assert_eq!((attest.magic, attest.kind), (0xFF54_4347, 0x8018));
        let clock = quote.clock();
        assert_eq!(
            (
                clock.clock_ms,
                clock.reset_count,
                clock.restart_count,
                u8::from(clock.safe)
            ),
            (
                attest.clock,
                attest.reset_count,
                attest.restart_count,
                attest.safe
            )
        );
        assert_eq!(quote.firmware_version(), attest.firmware_version);
        assert_eq!(quote.qualified_signer().as_bytes(), attest.qualified_signer);
        assert_eq!(attest.pcr_digest.len(), 32, "the signature's hash is SHA-256");
    }

    let mut evidence = scene.honest.clone();
    evidence.quote = data.to_vec();
    evidence.signature = signature;
    let result = scene.judge(&evidence);
    if result.verdict == Verdict::Affirming {
        let honest = scene.attest();
        let mut attest = oracle::attest(data).unwrap_or_else(|| honest.clone());
        // What a TPM counts; without an earlier quote there is nothing to hold it against. Whose key it is was pinned.
        attest.clock = honest.clock;
        attest.reset_count = honest.reset_count;
        attest.restart_count = honest.restart_count;
        attest.safe = honest.safe;
        attest.firmware_version = honest.firmware_version;
        attest.qualified_signer.clone_from(&honest.qualified_signer);
        assert_eq!(attest, honest, "another quote affirms");
    }
    assert_eq!(
        scene.judge(&evidence),
        result,
        "the same evidence, the same result"
    );

    // Unsigned, it opens nothing.
    let forged = VerifiedQuote::open(data, &scene.honest.signature, &scene.key);
    assert!(
        forged.is_err() || data == scene.honest.quote,
        "an unsigned quote is opened"
    );
}
