//! Where a certificate stops being one: the place of the first fault, for messages only. Nothing is decided here.

use crate::reader::Reader;

/// A place in a certificate, and what should have been there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: usize,
    pub(super) expected: &'static str,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// Context-specific tags of the signed part (RFC 5280, 4.1).
const VERSION: u8 = 0xa0;
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;
/// Elements inside elements: names and extensions of real certificates stay below 12.
const MAX_DEPTH: usize = 16;

/// The first place where `der`, which does not parse, differs from the outline of a certificate.
pub(super) fn first_fault(der: &[u8]) -> Place {
    certificate(der).err().unwrap_or(Place {
        offset: 0,
        expected: "a certificate as in RFC 5280; its outline is right, its content is not",
    })
}

fn certificate(der: &[u8]) -> Result<(), Place> {
    let mut outer = Reader::new(der);
    let mut body = element(&mut outer, SEQUENCE, "a certificate, a SEQUENCE (0x30)")?;
    let mut signed = element(&mut body, SEQUENCE, "the signed part, a SEQUENCE (0x30)")?;
    if next_tag(&signed) == Some(VERSION) {
        element(&mut signed, VERSION, "the version")?;
    }
    element(&mut signed, INTEGER, "the serial number, an INTEGER (0x02)")?;
    for expected in [
        "the signature algorithm, a SEQUENCE (0x30)",
        "the issuer's name, a SEQUENCE (0x30)",
        "the validity, a SEQUENCE (0x30)",
        "the subject's name, a SEQUENCE (0x30)",
        "the subject's public key, a SEQUENCE (0x30)",
    ] {
        let inner = element(&mut signed, SEQUENCE, expected)?;
        whole(inner, expected, 0)?;
    }
    for (tag, expected) in [
        (ISSUER_ID, "the issuer's identifier"),
        (SUBJECT_ID, "the subject's identifier"),
        (EXTENSIONS, "the extensions"),
    ] {
        if next_tag(&signed) == Some(tag) {
            let inner = element(&mut signed, tag, expected)?;
            whole(inner, expected, 0)?;
        }
    }
    end(&signed, "the end of the signed part")?;
    element(
        &mut body,
        SEQUENCE,
        "the signature's algorithm, a SEQUENCE (0x30)",
    )?;
    element(&mut body, BIT_STRING, "the signature, a BIT STRING (0x03)")?;
    end(&body, "the end of the certificate")
}

/// Every element inside, down to those that are not built of elements.
fn whole(mut inner: Reader<'_>, expected: &'static str, depth: usize) -> Result<(), Place> {
    while let Some(tag) = next_tag(&inner) {
        let content = element(&mut inner, tag, expected)?;
        if tag & 0x20 != 0 && depth < MAX_DEPTH {
            whole(content, expected, depth.saturating_add(1))?;
        }
    }
    Ok(())
}

fn next_tag(reader: &Reader<'_>) -> Option<u8> {
    reader.clone().u8("a tag").ok()
}

/// Takes one element of this tag, with a definite length in its shortest form (X.690, 10.1).
fn element<'a>(reader: &mut Reader<'a>, tag: u8, expected: &'static str) -> Result<Reader<'a>, Place> {
    let place = Place {
        offset: reader.offset(),
        expected,
    };
    if reader.u8(expected) != Ok(tag) {
        return Err(place);
    }
    let length = Place {
        offset: reader.offset(),
        expected: "a definite length in its shortest form, within what is left",
    };
    let first = reader.u8(expected).map_err(|_| length)?;
    let declared = match first {
        0..=0x7f => usize::from(first),
        0x81..=0x83 => {
            let digits = reader
                .take(usize::from(first & 0x7f), expected)
                .map_err(|_| length)?;
            let number = digits
                .iter()
                .fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
            let shortest = digits.first() != Some(&0) && number > 0x7f;
            shortest.then_some(number).ok_or(length)?
        }
        _ => return Err(length),
    };
    reader.sub(declared, expected).map_err(|_| length)
}

fn end(reader: &Reader<'_>, expected: &'static str) -> Result<(), Place> {
    let place = Place {
        offset: reader.offset(),
        expected,
    };
    reader.is_empty().then_some(()).ok_or(place)
}
