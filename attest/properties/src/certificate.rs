//! EK certificates and the files that an operator lists as roots.

use std::sync::OnceLock;

use lazaret_attest::endorsement::{EndorsedKey, Roots};

use crate::memory::bounded;
use crate::scene::NOW;

// Made by `lazaret-seeds`: a chain of a forged maker. Its keys are forgotten.
const EK_PUBLIC: &[u8] = include_bytes!("../vectors/ek_public");
const ROOT: &[u8] = include_bytes!("../vectors/root.der");
const INTERMEDIATE: &[u8] = include_bytes!("../vectors/intermediate.der");
const CERTIFICATE: &[u8] = include_bytes!("../vectors/ek.der");

fn roots() -> &'static Roots {
    static ROOTS: OnceLock<Roots> = OnceLock::new();
    ROOTS.get_or_init(|| {
        Roots::from_pem_or_der([("root", ROOT), ("maker", INTERMEDIATE)])
            .unwrap_or_else(|error| panic!("the forged roots: {error}"))
    })
}

/// What is endorsed is what the maker signed: the same to-be-signed bytes, in whatever wrapping.
pub fn ek_certificate(data: &[u8]) {
    bounded(data, 32, 256 * 1024, || {
        let _ = EndorsedKey::open(data, EK_PUBLIC, roots(), NOW);
    });
    let opened = EndorsedKey::open(data, EK_PUBLIC, roots(), NOW);
    assert_eq!(opened, EndorsedKey::open(data, EK_PUBLIC, roots(), NOW));
    if let Ok(endorsed) = opened {
        let signed = to_be_signed(CERTIFICATE).unwrap_or_default();
        let found = data.windows(signed.len()).any(|window| window == signed);
        assert!(found, "a certificate is accepted that no maker signed");
        assert_eq!(endorsed.key().public(), EK_PUBLIC);
        assert_eq!(endorsed.chain().len(), 3);
    }
    // A revocation list, or anything else, beside the maker's own certificates: it may take trust away, never give it.
    if let Ok(more) = Roots::from_pem_or_der([("root", ROOT), ("maker", INTERMEDIATE), ("fuzzed", data)])
        && let Ok(endorsed) = EndorsedKey::open(CERTIFICATE, EK_PUBLIC, &more, NOW)
    {
        assert_eq!(endorsed.key().public(), EK_PUBLIC);
    }
    bounded(data, 64, 256 * 1024, || {
        let _ = Roots::from_pem_or_der([("fuzzed", data)]);
    });
    if let Ok(listed) = Roots::from_pem_or_der([("fuzzed", data)]) {
        // The operator trusts what is listed; without the forged maker in it, its key is still not endorsed.
        let endorsed = EndorsedKey::open(CERTIFICATE, EK_PUBLIC, &listed, NOW).is_ok();
        let has = |certificate: &[u8]| {
            let signed = to_be_signed(certificate).unwrap_or_default();
            data.windows(signed.len()).any(|window| window == signed)
        };
        assert!(!endorsed || has(ROOT) || has(INTERMEDIATE) || data.starts_with(b"-----"));
    }
}

/// TBSCertificate: the first SEQUENCE in the outer one.
fn to_be_signed(certificate: &[u8]) -> Option<&[u8]> {
    let inner = certificate.get(4..)?;
    let [0x30, 0x82, high, low, ..] = inner else {
        return None;
    };
    inner.get(..usize::from(u16::from_be_bytes([*high, *low])) + 4)
}
