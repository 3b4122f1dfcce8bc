//! Makers whose certificates and lists have forms that real makers use, or that must be refused by name.

use super::super::*;
use super::EndorsementError as Error;

/// 2027-01-15: behind the fixtures' first day.
const LATER: i64 = 1_800_000_000;

macro_rules! maker {
    ($name:literal) => {
        ($name, include_bytes!(concat!("makers/", $name)).as_slice())
    };
}

fn roots(files: &[(&str, &[u8])]) -> Roots {
    Roots::from_pem_or_der(files.iter().copied()).unwrap()
}

fn seen(ek: (&str, &[u8]), files: &[(&str, &[u8])]) -> Looked {
    look(ek.0, ek.1, &roots(files), LATER).unwrap()
}

#[test]
fn case_07_authorities_signed_by_sha1_count_only_where_they_are_listed_and_are_shown() {
    let ek = maker!("ek.pem");
    let whole = seen(ek, &[maker!("ca.pem"), maker!("root.pem")]);
    assert_eq!(whole.ended, Ok(()));
    let shown: Vec<_> = whole
        .chain
        .iter()
        .map(|link| {
            (
                link.signed_by.as_str(),
                link.sha1,
                link.standing == Standing::Anchor,
            )
        })
        .collect();
    let expected = [
        ("RSA with sha256", false, false),
        ("RSA with sha1", true, false),
        ("RSA with sha1", true, true),
    ];
    assert_eq!(shown, expected);
    // A root that another one signed, which is not here: the operator vouches for it.
    let cross = seen(ek, &[maker!("ca.pem"), maker!("cross.pem")]);
    assert_eq!(cross.ended, Ok(()));
    assert_eq!(cross.chain[2].issuer, "CN=old maker above");
    // An intermediate alone is none.
    let alone = seen(ek, &[maker!("ca.pem")]);
    let Err(Error::MissingIssuer {
        subject, issuer, url, ..
    }) = &alone.ended
    else {
        panic!("{:?}", alone.ended)
    };
    assert_eq!(
        (subject.as_str(), issuer.as_str()),
        ("CN=old maker CA", "CN=old maker root")
    );
    assert_eq!(url.as_deref(), Some("http://maker.example/root.crt"));
    assert_eq!(alone.chain.len(), 2, "what was found is shown");
    // The EK's own certificate came from the host: SHA-1 proves nothing about it.
    let own = seen(maker!("ek-sha1.pem"), &[maker!("ca.pem"), maker!("root.pem")]);
    assert!(
        matches!(&own.ended, Err(Error::SignatureAlgorithm { algorithm, .. }) if algorithm == "RSA with sha1"),
        "{:?}",
        own.ended
    );
}

#[test]
fn an_authority_signed_by_sha1_stands_for_itself_only_while_its_issuer_is_not_listed() {
    let ek = maker!("between-ek.pem");
    let standings = |files: &[(&str, &[u8])]| {
        let looked = seen(ek, files);
        assert_eq!(looked.ended, Ok(()));
        let anchors = looked.chain.iter().map(|link| link.standing == Standing::Anchor);
        anchors.collect::<Vec<_>>()
    };
    assert_eq!(standings(&[maker!("between.pem")]), [false, true]);
    assert_eq!(
        standings(&[maker!("between.pem"), maker!("above.pem")]),
        [false, false, true]
    );
    // A list of roots says nothing of authorities that did not sign it.
    assert_eq!(
        standings(&[maker!("between.pem"), maker!("root.pem")]),
        [false, true]
    );
}

#[test]
fn an_ek_certificate_signed_by_sha1_counts_where_the_operator_listed_it() {
    let listed = seen(
        maker!("ek-sha1.pem"),
        &[maker!("ca.pem"), maker!("root.pem"), maker!("ek-sha1.pem")],
    );
    assert_eq!(listed.ended, Ok(()));
}

#[test]
fn signatures_with_sha512_are_verified_by_every_algorithm() {
    for (ek, root, name) in [
        (maker!("between-ek.pem"), maker!("between.pem"), "RSA with sha512"),
        (maker!("ec-ek.pem"), maker!("ec.pem"), "ECDSA with sha512"),
        (
            maker!("pss512-ek.pem"),
            maker!("pss512.pem"),
            "RSA-PSS with sha512",
        ),
    ] {
        let found = seen(ek, &[root]);
        assert_eq!(found.ended, Ok(()), "{name}");
        assert_eq!(found.chain[0].signed_by, name);
        let der = pem_contents(ek.1);
        let mut changed = der.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        let changed = seen(("changed", &changed), &[root]);
        assert!(
            matches!(changed.ended, Err(Error::SignatureInvalid { .. })),
            "{name}"
        );
    }
    // The operator vouches for an authority that signed itself by ECDSA with SHA-1, as for one by RSA.
    let weak = seen(maker!("ec-ek.pem"), &[maker!("ec-sha1.pem")]);
    assert_eq!(weak.ended, Ok(()));
    assert_eq!(weak.chain[1].signed_by, "ECDSA with sha1");
}

#[test]
fn padding_behind_a_certificate_may_fill_it_to_the_largest_size_and_no_further() {
    let roots = [maker!("ca.pem"), maker!("root.pem")];
    let padded = |length: usize| {
        let mut der = pem_contents(maker!("ek.pem").1);
        der.resize(length, 0xff);
        look("padded", &der, &self::roots(&roots), LATER).map(|looked| looked.ended)
    };
    assert_eq!(padded(16 * 1024), Ok(Ok(())));
    let error = padded(16 * 1024 + 1).unwrap_err().to_string();
    assert!(
        error.contains("16385 bytes are more than any certificate has"),
        "{error}"
    );
}

#[test]
fn roots_count_their_certificates_and_lists() {
    let some = roots(&[maker!("pss.pem"), maker!("root.pem"), maker!("crl-plain.pem")]);
    assert_eq!((some.len(), some.lists(), some.is_empty()), (2, 1, false));
    let none = roots(&[]);
    assert_eq!((none.len(), none.lists(), none.is_empty()), (0, 0, true));
}

#[test]
fn a_listed_authority_is_looked_at_as_one_and_never_as_an_endorsement_key() {
    let (ca, root) = (maker!("ca.pem"), maker!("root.pem"));
    let anchor = seen(root, &[ca, root]);
    assert!(anchor.is_listed_authority);
    assert_eq!(
        (anchor.chain.len(), &anchor.chain[0].standing, &anchor.ended),
        (1, &Standing::Anchor, &Ok(()))
    );
    let early = look(root.0, root.1, &roots(&[root]), 0).unwrap();
    assert!(
        matches!(early.ended, Err(Error::NotValidNow { .. })),
        "{:?}",
        early.ended
    );
    let below = seen(ca, &[ca, root]);
    assert!(below.is_listed_authority);
    assert_eq!(
        (below.chain.len(), &below.ended),
        (2, &Ok(())),
        "SHA-1 counts where it is listed"
    );
    let early = look(ca.0, ca.1, &roots(&[ca, root]), 0).unwrap();
    assert!(matches!(early.ended, Err(Error::NotValidNow { subject, .. }) if subject == "CN=old maker CA"));
    let unlisted = seen(ca, &[root]);
    assert!(!unlisted.is_listed_authority);
    assert!(
        matches!(unlisted.ended, Err(Error::IsAuthority { .. })),
        "{:?}",
        unlisted.ended
    );
}

#[test]
fn a_missing_intermediate_is_named_with_the_address_that_the_certificate_gives() {
    let error = seen(maker!("ek.pem"), &[maker!("root.pem")]).ended.unwrap_err();
    let text = error.to_string();
    for part in [
        "CN=old maker CA",
        "http://maker.example/ca.crt",
        "authority key identifier",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn signatures_by_rsa_pss_are_verified_and_odd_salts_are_refused_by_name() {
    let good = seen(maker!("pss-ek.pem"), &[maker!("pss.pem")]);
    assert_eq!(good.ended, Ok(()));
    assert_eq!(good.chain[0].signed_by, "RSA-PSS with sha384");
    // A salt that is not as long as the hash, and a mask by another hash.
    for odd in [maker!("pss-odd.pem"), maker!("pss-mask.pem")] {
        let ended = seen(odd, &[maker!("pss.pem")]).ended;
        assert!(
            matches!(&ended, Err(Error::SignatureAlgorithm { algorithm, .. }) if algorithm == "1.2.840.113549.1.1.10"),
            "{ended:?}"
        );
    }
    let mut changed = pem_contents(maker!("pss-ek.pem").1);
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let changed = seen(("changed", &changed), &[maker!("pss.pem")]);
    assert!(
        matches!(changed.ended, Err(Error::SignatureInvalid { .. })),
        "{:?}",
        changed.ended
    );
}

/// A genuine list, in DER.
pub(super) fn a_list() -> Vec<u8> {
    pem_contents(maker!("crl-plain.pem").1)
}

fn pem_contents(text: &[u8]) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(text).unwrap().1.contents
}

#[test]
fn case_07_a_certificate_on_its_issuers_list_is_refused_with_serial_and_date() {
    for list in [maker!("crl-plain.pem"), maker!("crl-users.pem")] {
        let revoked = seen(maker!("pss-ek.pem"), &[maker!("pss.pem"), list]);
        let error = revoked.ended.unwrap_err();
        assert_eq!(
            error,
            Error::Revoked {
                subject: "CN=ek".to_owned(),
                serial: "03".to_owned(),
                revoked_at: 1_735_689_600,
                file: list.0.to_owned(),
            }
        );
        assert!(error.to_string().contains("2025-01-01 00:00:00 UTC"), "{error}");
    }
    // A DER list says the same.
    let der = pem_contents(maker!("crl-plain.pem").1);
    let revoked = seen(maker!("pss-ek.pem"), &[maker!("pss.pem"), ("list.crl", &der)]);
    assert!(matches!(revoked.ended, Err(Error::Revoked { .. })));
    // Another maker's list says nothing of it.
    let other = seen(
        maker!("ek.pem"),
        &[
            maker!("ca.pem"),
            maker!("root.pem"),
            maker!("pss.pem"),
            maker!("crl-plain.pem"),
        ],
    );
    assert_eq!(other.ended, Ok(()));
    assert_eq!(other.chain[0].standing, Standing::Issued(Revocation::NotLookedAt));
}

#[test]
fn lists_that_say_only_a_part_are_refused_by_name() {
    for (list, word) in [
        (maker!("crl-delta.pem"), "delta"),
        (maker!("crl-indirect.pem"), "indirect"),
        (maker!("crl-reasons.pem"), "some reasons"),
        (maker!("crl-unknown.pem"), "1.2.3.4"),
        (maker!("crl-sha1.pem"), "sha1"),
    ] {
        let error = Roots::from_pem_or_der([maker!("pss.pem"), list]).unwrap_err();
        assert!(
            matches!(&error, Error::RevocationList { file, reason } if file == list.0 && reason.contains(word)),
            "{error}"
        );
    }
}

#[test]
fn a_list_that_no_listed_authority_signed_is_refused() {
    let nobody = Roots::from_pem_or_der([maker!("root.pem"), maker!("crl-plain.pem")]).unwrap_err();
    assert!(
        matches!(&nobody, Error::RevocationList { reason, .. } if reason.contains("CN=pss root")),
        "{nobody}"
    );
    let der = pem_contents(maker!("crl-plain.pem").1);
    for at in 0..der.len() {
        let mut changed = der.clone();
        changed[at] ^= 1;
        let found = Roots::from_pem_or_der([maker!("pss.pem"), ("list", changed.as_slice())]);
        assert!(found.is_err(), "byte {at}");
        let cut = Roots::from_pem_or_der([maker!("pss.pem"), ("list", &der[..at])]);
        assert!(cut.is_err(), "prefix {at}");
    }
}
