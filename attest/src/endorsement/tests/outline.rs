//! Where a certificate is wrong, as people who look for the fault are told.

use super::super::outline::first_fault;
use super::*;
use crate::key::der;

/// Where `part` stands first.
fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes
        .windows(part.len())
        .position(|window| window == part)
        .unwrap()
}

#[test]
fn a_length_that_is_wrong_inside_a_name_or_an_extension_is_told_by_its_byte() {
    let (_, _, _, certificate) = maker(|_| {});
    let name = find(&certificate, b"maker CA") - 1;
    // subjectAltName, critical, and the tag of its value.
    let alternative_name = [0x06, 0x03, 0x55, 0x1d, 0x11, 0x01, 0x01, 0xff, 0x04];
    let extension = find(&certificate, &alternative_name) + alternative_name.len();
    for (at, wrong) in [(name, 9), (name, 0x7f), (extension, 0x7f)] {
        let mut changed = certificate.clone();
        changed[at] = wrong;
        let place = first_fault(&changed);
        assert_eq!(place.offset, at, "{place:?}");
        assert!(place.expected.contains("a definite length"), "{place:?}");
    }
    let mut changed = certificate.clone();
    changed[extension] = 0x7f;
    let Err(EndorsementError::Unreadable { offset, reason, .. }) = Certificate::from_der(&changed, None)
    else {
        panic!("the extension does not parse")
    };
    assert_eq!(offset, extension, "{reason}");
    assert!(reason.contains("expected a definite length"), "{reason}");
    let whole = first_fault(&certificate);
    assert!(
        whole.offset == 0 && whole.expected.contains("outline is right"),
        "{whole:?}"
    );
}

#[test]
fn a_length_that_is_not_in_its_shortest_form_is_told_by_its_byte() {
    let of = |length: &[u8], content: usize| {
        let bytes = [&[0x30], length, &vec![0; content]].concat();
        let place = first_fault(&bytes);
        (place.offset, place.expected.contains("length"))
    };
    assert_eq!(of(&[0x81, 0x7f], 0x7f), (1, true));
    assert_eq!(of(&[0x82, 0x00, 0x90], 0x90), (1, true));
    assert_eq!(of(&[0x84, 0, 0, 0, 1], 1), (1, true), "more than 16 MB");
    assert_eq!(of(&[0x80], 4), (1, true), "an indefinite length");
    // These are right: what is inside them is not.
    assert_eq!(of(&[0x7f], 0x7f), (2, false));
    assert_eq!(of(&[0x81, 0x80], 0x80), (3, false));
    assert_eq!(of(&[0x82, 0x01, 0x00], 0x100), (4, false));
}

#[test]
fn what_stands_behind_the_last_field_is_told_by_its_place() {
    let (_, _, _, certificate) = maker(|_| {});
    // Both outer elements have lengths of two bytes: four bytes before the content of each.
    let length = |at: usize| usize::from(certificate[at + 2]) << 8 | usize::from(certificate[at + 3]);
    assert_eq!((certificate[1], certificate[5]), (0x82, 0x82));
    let signed_end = 8 + length(4);
    let more = [0x05, 0x00];
    let behind = der(0x30, &[&certificate[4..], &more]);
    let place = first_fault(&behind);
    assert_eq!(
        (place.offset, place.expected),
        (certificate.len(), "the end of the certificate")
    );
    let signed = der(0x30, &[&certificate[8..signed_end], &more]);
    let place = first_fault(&der(0x30, &[&signed, &certificate[signed_end..]]));
    assert_eq!(
        (place.offset, place.expected),
        (signed_end, "the end of the signed part")
    );
}

#[test]
fn elements_are_looked_into_to_a_depth_that_ends() {
    let nested = |depth: usize| {
        // An OCTET STRING that says five bytes and has none.
        let inner = (0..depth).fold(vec![0x04, 0x05], |inner, _| der(0x30, &[&inner]));
        let bytes = der(0x30, &[&der(0x30, &[&[0x02, 0x01, 0x01], &der(0x30, &[&inner])])]);
        let place = first_fault(&bytes);
        (bytes.len() - place.offset, place.expected.contains("length"))
    };
    assert_eq!(nested(0), (1, true));
    assert_eq!(nested(16), (1, true));
    assert_eq!(
        nested(17),
        (0, false),
        "not looked for: the issuer's name is missing"
    );
    assert_eq!(nested(2000).0, 0);
}
