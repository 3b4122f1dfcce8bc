//! Revocation lists that `rcgen` does not make: every field is put by hand.

use super::super::crl::RevocationList;
use super::*;
use crate::key::der;
use rcgen::SigningKey as _;

/// A list by name and, with `key_id`, by key. It revokes serial 8.
#[derive(Default)]
struct ByHand {
    name: Vec<u8>,
    key_id: Option<Vec<u8>>,
    /// Further extensions, of the list and of its one entry.
    more: Vec<Vec<u8>>,
    of_entry: Vec<Vec<u8>>,
}

/// Serial number, and the OIDs' contents.
const SERIAL: &[u8] = &[0x02, 0x01, 0x08];
const KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
const NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
const REASON: &[u8] = &[0x55, 0x1d, 0x15];
const DELTA: &[u8] = &[0x55, 0x1d, 0x1b];
const OF_ISSUER: &[u8] = &[0x55, 0x1d, 0x1d];
const UNKNOWN: &[u8] = &[0x2a, 0x03, 0x04];

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let mark = if critical {
        der(0x01, &[&[0xff]])
    } else {
        Vec::new()
    };
    der(0x30, &[&der(0x06, &[oid]), &mark, &der(0x04, &[value])])
}

impl ByHand {
    fn of(authority: &Authority) -> Self {
        let certificate = Certificate::from_der(&authority.der, None).unwrap();
        Self {
            name: certificate.subject_der,
            key_id: certificate.key_id,
            ..Self::default()
        }
    }

    fn signed(&self, by: &Authority) -> Vec<u8> {
        let ecdsa_sha256 = der(
            0x30,
            &[&der(0x06, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]])],
        );
        let time = |digits: &[u8]| der(0x17, &[digits]);
        let sequence = |parts: &[Vec<u8>]| match parts {
            [] => Vec::new(),
            _ => der(0x30, &[&parts.concat()]),
        };
        let entry = der(
            0x30,
            &[SERIAL, &time(b"260203000000Z"), &sequence(&self.of_entry)],
        );
        let by_key = |id: &Vec<u8>| extension(KEY_ID, false, &der(0x30, &[&der(0x80, &[id])]));
        let extensions: Vec<_> = self
            .key_id
            .iter()
            .map(by_key)
            .chain(self.more.iter().cloned())
            .collect();
        let extensions = match sequence(&extensions) {
            none if none.is_empty() => none,
            some => der(0xa0, &[&some]),
        };
        let content = der(
            0x30,
            &[
                &[0x02, 0x01, 0x01],
                &ecdsa_sha256,
                &self.name,
                &time(b"260101000000Z"),
                &time(b"270101000000Z"),
                &der(0x30, &[&entry]),
                &extensions,
            ],
        );
        let signature = by.key.sign(&content).unwrap();
        der(0x30, &[&content, &ecdsa_sha256, &der(0x03, &[&[0], &signature])])
    }
}

fn signer() -> Authority {
    let mut params = authority("maker root");
    params.key_usages.push(KeyUsagePurpose::CrlSign);
    Authority::self_signed(params, KeyPair::generate().unwrap())
}

fn read(authority: &Authority, list: &[u8]) -> Result<Roots, String> {
    Roots::from_pem_or_der([("root", authority.der.as_slice()), ("list.crl", list)])
        .map_err(|error| error.to_string())
}

fn refused(authority: &Authority, list: &ByHand, words: &[&str]) {
    let error = read(authority, &list.signed(authority)).unwrap_err();
    for word in words {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn a_list_without_key_identifier_belongs_to_the_authority_that_it_names() {
    let root = signer();
    let mut list = ByHand::of(&root);
    assert_eq!(read(&root, &list.signed(&root)).unwrap().lists(), 1);
    list.key_id = None;
    let roots = read(&root, &list.signed(&root)).unwrap();
    assert_eq!((roots.lists(), roots.len()), (1, 1));
    // It is looked at for what this authority issued.
    let ek = KeyPair::generate().unwrap();
    let mut params = p256();
    params.serial_number = Some(rcgen::SerialNumber::from(8));
    let certificate = root.sign(&params, &ek);
    let error = EndorsedKey::open(&certificate, &public_of(&ek), &roots, NOW).unwrap_err();
    assert!(matches!(error, EndorsementError::Revoked { .. }), "{error}");

    let other = Authority::root("other root");
    list.name = ByHand::of(&other).name;
    refused(&root, &list, &["CN=other root", "key identifier none"]);
}

#[test]
fn a_list_that_names_another_key_is_refused_whatever_name_and_signature_say() {
    let root = signer();
    let mut list = ByHand::of(&root);
    list.key_id = Some(vec![0xab; 20]);
    refused(&root, &list, &["CN=maker root", &"ab".repeat(20)]);
    let forger = signer();
    let forged = ByHand::of(&root).signed(&forger);
    assert!(read(&root, &forged).is_err());
}

#[test]
fn what_a_list_says_besides_is_passed_over_unless_it_must_be_understood() {
    let root = signer();
    let with = |more| ByHand {
        more: vec![more],
        ..ByHand::of(&root)
    };
    for harmless in [
        extension(UNKNOWN, false, &[5, 0]),
        extension(NUMBER, false, &[2, 1, 7]),
        extension(NUMBER, true, &[2, 1, 7]),
    ] {
        let list = with(harmless).signed(&root);
        assert_eq!(read(&root, &list).unwrap().lists(), 1);
    }
    refused(
        &root,
        &with(extension(UNKNOWN, true, &[5, 0])),
        &["1.2.3.4", "critical"],
    );
    for critical in [false, true] {
        refused(
            &root,
            &with(extension(DELTA, critical, &[2, 1, 1])),
            &["delta list"],
        );
    }
}

#[test]
fn an_entry_that_may_be_another_issuers_is_refused_with_its_serial() {
    let root = signer();
    let with = |of_entry| ByHand {
        of_entry: vec![of_entry],
        ..ByHand::of(&root)
    };
    let reason = with(extension(REASON, false, &[0x0a, 0x01, 0x01]));
    assert_eq!(read(&root, &reason.signed(&root)).unwrap().lists(), 1);
    let harmless = with(extension(UNKNOWN, false, &[5, 0]));
    assert_eq!(read(&root, &harmless.signed(&root)).unwrap().lists(), 1);
    refused(
        &root,
        &with(extension(UNKNOWN, true, &[5, 0])),
        &["serial 08", "1.2.3.4"],
    );
    refused(
        &root,
        &with(extension(OF_ISSUER, true, MODEL)),
        &["serial 08", "2.5.29.29", "indirect"],
    );
}

#[test]
fn a_list_is_bounded_by_its_bytes_before_any_is_read() {
    let reason = |bytes: usize| match RevocationList::from_der(&vec![0; bytes], "x") {
        Err(EndorsementError::RevocationList { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let largest = 8 * 1024 * 1024;
    assert!(reason(largest + 1).contains("8388609 bytes are more than any list has"));
    let read = reason(largest);
    assert!(!read.contains("more than"), "it was read, and is no list: {read}");
}
