//! The search for an issuer: duplicates, cross-signed and looping authorities, lists in time and out of time.

use super::*;
use rcgen::{CertificateRevocationListParams, RevokedCertParams, SerialNumber};

/// A list by this authority, from a day to a day.
fn list(authority: &Authority, from: (i32, u8, u8), to: (i32, u8, u8), revoked: &[&[u8]]) -> Vec<u8> {
    // rcgen asks for this right; whether the certificate gives it is asked by what is tested.
    let mut params = authority.params.clone();
    params.key_usages.push(KeyUsagePurpose::CrlSign);
    let issuer = Issuer::from_params(&params, &authority.key);
    let entry = |serial: &&[u8]| RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: date_time_ymd(2026, 2, 3),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(from.0, from.1, from.2),
        next_update: date_time_ymd(to.0, to.1, to.2),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&issuer).unwrap().der().to_vec()
}

/// A maker whose authorities may sign lists; the intermediate has serial 5, the EK's certificate serial 9.
fn maker_with_lists() -> (Authority, Authority, KeyPair, Vec<u8>) {
    let with_lists = |name: &str| {
        let mut params = authority(name);
        params.key_usages.push(KeyUsagePurpose::CrlSign);
        params
    };
    let root = Authority::self_signed(with_lists("maker root"), KeyPair::generate().unwrap());
    let mut params = with_lists("maker CA");
    params.serial_number = Some(SerialNumber::from(5));
    let intermediate = root.issue(params);
    let ek = KeyPair::generate().unwrap();
    let mut params = p256();
    params.serial_number = Some(SerialNumber::from(9));
    let certificate = intermediate.sign(&params, &ek);
    (root, intermediate, ek, certificate)
}

fn open_with(
    lists: &[(&str, Vec<u8>)],
    made: &(Authority, Authority, KeyPair, Vec<u8>),
) -> Result<EndorsedKey, EndorsementError> {
    let (root, intermediate, ek, certificate) = made;
    let files = [("root", &root.der), ("ca", &intermediate.der)]
        .into_iter()
        .chain(lists.iter().map(|(name, bytes)| (*name, bytes)));
    let roots = Roots::from_pem_or_der(files.map(|(name, bytes)| (name, bytes.as_slice())))?;
    EndorsedKey::open(certificate, &public_of(ek), &roots, NOW)
}

#[test]
fn a_list_in_its_time_is_looked_at_and_shown() {
    let made = maker_with_lists();
    let good = list(&made.1, (2026, 1, 1), (2027, 1, 1), &[&[8]]);
    let endorsed = open_with(&[("ca.crl", good)], &made).unwrap();
    assert_eq!(
        endorsed.chain()[0].standing,
        Standing::Issued(Revocation::NotRevoked {
            file: "ca.crl".to_owned(),
            this_update: 1_767_225_600,
            next_update: 1_798_761_600,
        })
    );
    assert_eq!(
        endorsed.chain()[1].standing,
        Standing::Issued(Revocation::NotLookedAt),
        "the root's list is not there"
    );
    assert_eq!(endorsed.chain()[2].standing, Standing::Anchor);
}

#[test]
fn case_07_revoked_certificates_of_the_ek_and_of_an_authority_are_refused() {
    let made = maker_with_lists();
    let times = ((2026, 1, 1), (2027, 1, 1));
    let by_ca = list(&made.1, times.0, times.1, &[&[8], &[9]]);
    let error = open_with(&[("ca.crl", by_ca)], &made).unwrap_err();
    assert!(
        matches!(&error, EndorsementError::Revoked { serial, revoked_at: 1_770_076_800, .. } if serial == "09"),
        "{error}"
    );
    let by_root = list(&made.0, times.0, times.1, &[&[5]]);
    let error = open_with(&[("root.crl", by_root)], &made).unwrap_err();
    assert!(
        matches!(&error, EndorsementError::Revoked { subject, serial, .. } if subject == "CN=maker CA" && serial == "05"),
        "{error}"
    );
    // The root's list speaks of the root's certificates alone, whatever serials they have.
    let by_root = list(&made.0, times.0, times.1, &[&[9]]);
    assert!(open_with(&[("root.crl", by_root)], &made).is_ok());
    // A list out of its time is still right about what it names.
    let old = list(&made.1, (2025, 1, 1), (2025, 6, 1), &[&[9]]);
    let error = open_with(&[("ca.crl", old)], &made).unwrap_err();
    assert!(matches!(error, EndorsementError::Revoked { .. }), "{error}");
}

#[test]
fn a_list_out_of_its_time_is_an_error_of_its_own_unless_a_newer_one_is_there() {
    let made = maker_with_lists();
    let old = list(&made.1, (2025, 1, 1), (2026, 11, 20), &[]);
    let early = list(&made.1, (2026, 11, 22), (2027, 1, 1), &[]);
    for wrong in [&old, &early] {
        let error = open_with(&[("ca.crl", wrong.clone())], &made).unwrap_err();
        assert!(
            matches!(&error, EndorsementError::RevocationListNotValidNow { file, now: NOW, .. } if file == "ca.crl"),
            "{error}"
        );
    }
    let new = list(&made.1, (2026, 11, 20), (2027, 1, 1), &[]);
    let endorsed = open_with(&[("old.crl", old), ("new.crl", new)], &made).unwrap();
    assert!(
        matches!(&endorsed.chain()[0].standing, Standing::Issued(Revocation::NotRevoked { file, .. }) if file == "new.crl")
    );
}

#[test]
fn an_authority_that_may_not_sign_lists_signs_none() {
    let (root, intermediate, _, _) = maker(|_| {});
    let by_ca = list(&intermediate, (2026, 1, 1), (2027, 1, 1), &[]);
    let files = [("root", &root.der), ("ca", &intermediate.der), ("ca.crl", &by_ca)];
    let error = Roots::from_pem_or_der(files.map(|(name, bytes)| (name, bytes.as_slice()))).unwrap_err();
    assert!(
        matches!(error, EndorsementError::RevocationList { .. }),
        "{error}"
    );
}

/// The same key under the same name, signed by another: a cross-signed authority.
fn cross_signed(by: &Authority, of: &Authority) -> Vec<u8> {
    by.sign(&of.params, &of.key)
}

#[test]
fn a_loop_of_authorities_ends() {
    let (a, b) = (Authority::root("A"), Authority::root("B"));
    let (a_by_b, b_by_a) = (cross_signed(&b, &a), cross_signed(&a, &b));
    let ek = KeyPair::generate().unwrap();
    let certificate = a.sign(&p256(), &ek);
    let looping = Roots::from_pem_or_der([("a", a_by_b.as_slice()), ("b", b_by_a.as_slice())]).unwrap();
    let error = EndorsedKey::open(&certificate, &public_of(&ek), &looping, NOW).unwrap_err();
    assert!(matches!(error, EndorsementError::MissingIssuer { .. }), "{error}");
    // With one of the roots there is a way out.
    let files = [
        ("a", a_by_b.as_slice()),
        ("b", b_by_a.as_slice()),
        ("root", b.der.as_slice()),
    ];
    let roots = Roots::from_pem_or_der(files).unwrap();
    assert!(EndorsedKey::open(&certificate, &public_of(&ek), &roots, NOW).is_ok());
}

#[test]
fn a_crowd_of_cross_signed_authorities_ends_in_bounded_work() {
    // Each of eight authorities signed by each other one, none of them a root: 8! ways of which none ends well.
    let crowd: Vec<Authority> = (0..8).map(|at| Authority::root(&format!("CA {at}"))).collect();
    let mut files = Vec::new();
    for of in &crowd {
        for by in crowd.iter().filter(|by| !std::ptr::eq(*by, of)) {
            files.push(cross_signed(by, of));
        }
    }
    let ek = KeyPair::generate().unwrap();
    let certificate = crowd[0].sign(&p256(), &ek);
    let read = |files: &[Vec<u8>]| {
        Roots::from_pem_or_der(files.iter().map(|der| ("crowd", der.as_slice()))).unwrap()
    };
    let error = EndorsedKey::open(&certificate, &public_of(&ek), &read(&files), NOW).unwrap_err();
    assert!(
        matches!(error, EndorsementError::TooMuchWork { limit: 100, .. }),
        "{error}"
    );
}

#[test]
fn a_hundred_copies_and_namesakes_do_not_hide_the_issuer() {
    let (root, intermediate, ek, certificate) =
        maker(|params| params.use_authority_key_identifier_extension = false);
    // Other makers of other names are tried last.
    let strangers: Vec<Authority> = (0..150)
        .map(|at| Authority::root(&format!("stranger {at}")))
        .collect();
    let all: Vec<&Authority> = strangers
        .iter()
        .chain([&root, &intermediate, &intermediate])
        .collect();
    let endorsed = EndorsedKey::open(&certificate, &public_of(&ek), &roots(&all), NOW).unwrap();
    assert_eq!(endorsed.chain().len(), 3);
}

#[test]
fn the_way_that_got_farthest_says_why_it_failed() {
    let (root, intermediate, ek, certificate) = maker(|_| {});
    // The same authority once more, out of its time.
    let mut expired = authority("maker CA");
    expired.not_after = date_time_ymd(2020, 1, 1);
    let expired = root.sign(&expired, &intermediate.key);
    let files = [("old", expired.as_slice()), ("ca", intermediate.der.as_slice())];
    let without_root = Roots::from_pem_or_der(files).unwrap();
    let error = EndorsedKey::open(&certificate, &public_of(&ek), &without_root, NOW).unwrap_err();
    assert!(
        matches!(&error, EndorsementError::MissingIssuer { issuer, .. } if issuer == "CN=maker root"),
        "{error}"
    );
    let with_root = Roots::from_pem_or_der(files.into_iter().chain([("root", root.der.as_slice())])).unwrap();
    assert!(EndorsedKey::open(&certificate, &public_of(&ek), &with_root, NOW).is_ok());
}

#[test]
fn a_certificate_that_does_not_parse_is_told_where() {
    let (_, _, _, certificate) = maker(|_| {});
    let fault = |bytes: &[u8]| match Certificate::from_der(bytes, None) {
        Err(EndorsementError::Unreadable { offset, reason, .. }) => (offset, reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(b"text").0, 0);
    assert_eq!(fault(&[]).0, 0);
    let (offset, reason) = fault(&certificate[..certificate.len() - 1]);
    assert_eq!(offset, 1, "the outer length: {reason}");
    // The serial number's tag, behind two SEQUENCEs of long length and the version.
    let mut no_serial = certificate.clone();
    no_serial[13] = 0x04;
    let (offset, reason) = fault(&no_serial);
    assert_eq!(offset, 13);
    assert!(reason.contains("serial number"), "{reason}");
    let (offset, reason) = fault(&[certificate.as_slice(), b"x"].concat());
    assert_eq!(offset, certificate.len());
    assert!(reason.contains("padding"), "{reason}");
    // A length that is not in its shortest form.
    let mut long = certificate.clone();
    long.splice(1..4, [0x83, 0, certificate[2], certificate[3]]);
    assert_eq!(
        fault(&long).0,
        0,
        "the parser reads on; the frame is not canonical"
    );
}

#[test]
fn the_key_identifier_finds_the_issuer_among_namesakes_however_many() {
    let (root, intermediate, ek, certificate) = maker(|_| {});
    let namesakes: Vec<Authority> = (0..150).map(|_| Authority::root("maker CA")).collect();
    let all: Vec<&Authority> = namesakes.iter().chain([&root, &intermediate]).collect();
    let endorsed = EndorsedKey::open(&certificate, &public_of(&ek), &roots(&all), NOW).unwrap();
    assert_eq!(endorsed.chain().len(), 3);
}

#[test]
fn an_address_is_shown_only_if_a_terminal_can_show_it() {
    // AuthorityInfoAccess (RFC 5280, 4.2.2.1): one caIssuers with a URI.
    let told = |url: &[u8]| {
        let ca_issuers = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
        let entry = crate::key::der(0x30, &[&ca_issuers, &crate::key::der(0x86, &[url])]);
        let access = crate::key::der(0x30, &[&entry]);
        let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
        let (_, _, ek, certificate) = maker(|params| {
            let extension = CustomExtension::from_oid_content(&oid, access);
            params.custom_extensions.push(extension);
        });
        let none = Roots::from_pem_or_der([]).unwrap();
        match EndorsedKey::open(&certificate, &public_of(&ek), &none, NOW) {
            Err(EndorsementError::MissingIssuer { url, .. }) => url,
            other => panic!("{other:?}"),
        }
    };
    let longest = format!("http://{}", "a".repeat(249));
    for good in ["http://maker.example/ca.crt", longest.as_str()] {
        assert_eq!(told(good.as_bytes()).as_deref(), Some(good));
    }
    let too_long = format!("{longest}a");
    for bad in [too_long.as_str(), "http://a b", "http://a\x1b[2J", "http://a\n"] {
        assert_eq!(told(bad.as_bytes()), None, "{bad:?}");
    }
}
