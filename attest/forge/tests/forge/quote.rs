//! Quotes: signed by the key that the public area names, over the values that are handed out.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::typical_server;
use lazaret_forge::host::HonestHost;
use lazaret_forge::softtpm::SoftTpm;

use crate::read::{self, Cursor, Replayed};

/// Whether `signature` is one of `public` over `message`; reads TPM2B_PUBLIC and TPMT_SIGNATURE.
fn verifies(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let mut public = Cursor(public);
    assert_eq!(public.be(2) as usize, public.0.len());
    let kind = public.be(2);
    assert_eq!(public.be(2), 0xB);
    assert_eq!(public.be(4), 0x0005_0072);
    assert!(public.sized().is_empty());
    assert_eq!(public.be(2), 0x10);
    let mut signature = Cursor(signature);
    let scheme = public.be(2);
    assert_eq!((signature.be(2), signature.be(2)), (scheme, public.be(2)));
    let verified = if kind == 0x23 {
        assert_eq!((scheme, public.be(2), public.be(2)), (0x18, 3, 0x10));
        let point = [&[4], public.sized(), public.sized()].concat();
        let fixed = [signature.sized(), signature.sized()].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(message, &fixed)
            .is_ok()
    } else {
        assert_eq!((kind, scheme, public.be(2), public.be(4)), (1, 0x14, 2048, 0));
        let key = RsaPublicKeyComponents {
            n: public.sized(),
            e: &[1_u8, 0, 1],
        };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature.sized())
            .is_ok()
    };
    assert!(public.0.is_empty() && signature.0.is_empty());
    verified
}

#[test]
fn a_quote_is_signed_over_the_values_that_come_with_it() {
    for tpm in [SoftTpm::p256("quote"), SoftTpm::rsa2048().unwrap()] {
        let mut host = HonestHost::booted(tpm, typical_server());
        let evidence = host
            .evidence(b"nonce", &[(Bank::Sha256, &[10, 0, 7]), (Bank::Sha1, &[10])])
            .unwrap();
        assert!(verifies(
            &evidence.ak_public,
            &evidence.quote,
            &evidence.signature
        ));
        let mut other = evidence.quote.clone();
        *other.last_mut().unwrap() ^= 1;
        assert!(!verifies(&evidence.ak_public, &other, &evidence.signature));

        let mut attest = Cursor(&evidence.quote);
        assert_eq!((attest.be(4), attest.be(2)), (0xFF54_4347, 0x8018));
        assert_eq!(attest.sized(), host.tpm.key.qualified_name());
        assert_eq!(attest.sized(), b"nonce");
        assert_eq!(
            (attest.be(8), attest.be(4), attest.be(4), attest.be(1)),
            (61_000, 1, 0, 1)
        );
        attest.be(8);
        assert_eq!(
            attest.take(16),
            hex::decode("00000002000b03810400000403000400").unwrap()
        );
        let order: Vec<(u16, u8)> = evidence
            .pcrs
            .iter()
            .map(|(bank, index, _)| (*bank, *index))
            .collect();
        assert_eq!(order, [(0xB, 0), (0xB, 7), (0xB, 10), (4, 10)]);
        let values: Vec<u8> = evidence
            .pcrs
            .iter()
            .flat_map(|(_, _, value)| value.clone())
            .collect();
        assert_eq!(attest.sized(), read::hash(0xB, &values));
        assert!(attest.0.is_empty());
    }
}

/// Every quoted value follows from the logs; gives the names of the IMA list.
fn explained(host: &mut HonestHost) -> Vec<String> {
    let evidence = host
        .evidence(
            b"",
            &[(Bank::Sha256, &HonestHost::USUAL_PCRS), (Bank::Sha1, &[0, 10])],
        )
        .unwrap();
    let (_, boot) = read::boot_log(&evidence.boot_log);
    let (mut binary, mut text) = (boot.clone(), boot);
    let names = read::ima_binary(&evidence.ima_binary, &mut binary);
    assert_eq!(read::ima_text(&evidence.ima_text, &mut text), names);
    assert_eq!(binary, text);
    assert_eq!(evidence.pcrs.len(), 14);
    for (bank, index, value) in evidence.pcrs {
        assert_eq!(binary[&(bank, u32::from(index))], value, "{bank:#x} PCR {index}");
    }
    names
}

#[test]
fn logs_explain_every_quoted_value_through_a_hosts_life() {
    let mut host = HonestHost::new("life");
    let at_boot = explained(&mut host);
    assert_eq!(at_boot.len(), 31);

    host.run("/usr/local/bin/new", b"content");
    host.run("/usr/local/bin/new", b"content");
    host.violate("/var/log/wtmp");
    assert_eq!(
        explained(&mut host)[31..],
        ["/usr/local/bin/new", "/var/log/wtmp"]
    );

    host.description.command_line.push_str(" single");
    let (clock, pcr9) = (host.tpm.clock, host.pcrs.value(Bank::Sha256, 9).unwrap().to_vec());
    host.reboot();
    assert_eq!(explained(&mut host), at_boot);
    assert_eq!((host.tpm.reset_count, host.tpm.restart_count), (2, 0));
    assert!(host.tpm.clock > clock);
    assert_ne!(host.pcrs.value(Bank::Sha256, 9).unwrap(), pcr9);
}

#[test]
fn the_tail_of_a_list_begins_at_the_entry_asked_for() {
    let mut host = HonestHost::new("tail");
    host.run("/usr/local/bin/new", b"content");
    let tail = host.evidence_from(b"", &[(Bank::Sha256, &[10])], 31).unwrap();
    assert_eq!(
        read::ima_binary(&tail.ima_binary, &mut Replayed::new()),
        ["/usr/local/bin/new"]
    );
    assert_eq!(
        read::ima_text(&tail.ima_text, &mut Replayed::new()),
        ["/usr/local/bin/new"]
    );
    assert_eq!(tail.ima_first, 31);
}

#[test]
fn what_happens_meanwhile_is_listed_and_not_quoted() {
    let mut host = HonestHost::new("busy");
    let before = host.pcrs.clone();
    let pcr10 = [(Bank::Sha256, [10].as_slice())];
    let evidence = host
        .evidence_while(b"", &pcr10, 0, |host| host.run("/usr/local/bin/new", b"content"))
        .unwrap();
    assert_eq!(
        evidence.pcrs,
        [(0xB, 10, before.value(Bank::Sha256, 10).unwrap().to_vec())]
    );
    let names = read::ima_text(&evidence.ima_text, &mut Replayed::new());
    assert_eq!(names.last().unwrap(), "/usr/local/bin/new");
    assert_ne!(host.pcrs.value(Bank::Sha256, 10), before.value(Bank::Sha256, 10));
}

#[test]
fn the_same_seed_gives_the_same_key() {
    assert_eq!(SoftTpm::p256("a").key.public(), SoftTpm::p256("a").key.public());
    assert_ne!(SoftTpm::p256("a").key.public(), SoftTpm::p256("b").key.public());
}

#[test]
fn every_field_of_a_forged_quote_is_what_the_test_wrote() {
    let tpm = SoftTpm::p256("forged");
    let pcrs = typical_server().boot().pcrs();
    let mut attest = tpm.attest(b"nonce", &[(Bank::Sha256, &[0])], &pcrs);
    (attest.magic, attest.kind, attest.safe) = (0xFF54_4348, 0x8017, 2);
    attest.trailing = vec![9];
    let quote = tpm.sign(&attest).unwrap();
    assert!(verifies(&tpm.key.public(), &quote.attest, &quote.signature));
    assert_eq!(quote.attest[..6], [0xFF, 0x54, 0x43, 0x48, 0x80, 0x17]);
    assert_eq!(quote.attest.last(), Some(&9));
}
