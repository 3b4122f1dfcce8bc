//! Rules of `[ima]`: signed files and their keys, protected paths, policy loads, lags; and lists that the kernel trimmed.

mod events;
mod keys;
mod list;
mod signed;

use lazaret_attest::claims::BootAggregate;
use lazaret_attest::finding::Code;
use lazaret_attest::ima::Keyring;
use lazaret_attest::policy::Policy;
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::ima::{Entry, FileSigner, Template, signer};

use crate::host::{Host, NOW, expect};

const DAY: i64 = 86_400;

/// A certificate of the signer's key, valid from a day of 2026-06 (counted from 1) for some days, as PEM and DER.
fn certificate(signer: &FileSigner, first_day: u8, days: u8) -> (String, Vec<u8>) {
    let key = rcgen::KeyPair::try_from(signer.pkcs8()).unwrap();
    let mut params = certificate_params(first_day, days);
    // As evmctl and openssl do it; rcgen's own default is SHA-256.
    params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(signer.key_digest());
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), certificate.der().to_vec())
}

fn certificate_params(first_day: u8, days: u8) -> rcgen::CertificateParams {
    let mut params = rcgen::CertificateParams::default();
    // Only then does rcgen write a key identifier.
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.not_before = rcgen::date_time_ymd(2026, 6, first_day);
    params.not_after = rcgen::date_time_ymd(2026, 6, first_day + days);
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "file signing");
    params
}

/// A policy over the host's honest files, with more rules and one keyring.
fn rules(host: &Host, more: &str, keyring: &str) -> Policy {
    let toml = format!("name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]\n{more}\n");
    let list = host.ima.digest_list();
    let read = |name: &str| {
        Ok(match name {
            "k.pem" => keyring.to_owned(),
            _ => list.clone(),
        })
    };
    let mut read = read;
    Policy::parse(&toml, &mut read).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

const SIGNED: &str = "keyrings = [\"k.pem\"]\nsigned = [\"/usr/**\"]";

fn signed_file(template: Template, path: &str, content: &[u8], signature: Vec<u8>) -> Entry {
    Entry {
        attachment: signature,
        ..Entry::new(template, Bank::Sha256, path, Bank::Sha256.hash(&[content]))
    }
}

#[track_caller]
fn refused(result: &AttestationResult, reason: &str) {
    expect(result, Verdict::Contraindicated, &[Code::ImaSignatureRefused]);
    let found = result.findings[0].found.clone().unwrap();
    assert!(found.contains(reason), "{found}");
}
