//! Bundles: what condemned a host can be appraised again, years later, to the same result.

use std::collections::BTreeMap;

use lazaret::{
    clock::Timestamp,
    verifier::{
        bundle::{Bundle, Parts, not_appraised},
        policies::PolicyText,
    },
};
use lazaret_attest::{
    finding::{Code, Finding},
    policy::DigestForm,
    result::AttestationResult,
    verdict::Verdict,
};
use sha2::{Digest as _, Sha256};

#[expect(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the core's own forged host; not all of it is needed here"
)]
#[path = "../attest/tests/core/host.rs"]
mod host;

use host::{Host, NOW};

fn text_of(host: &mut Host) -> PolicyText {
    let captured = host.captured();
    PolicyText {
        toml: captured.policy_toml,
        lists: BTreeMap::from([(captured.list_name, captured.list.into())]),
        model: None,
        signature: None,
    }
}

/// A round's bundle, with the result that the round came to.
fn bundle(host: &mut Host, text: &PolicyText, form: DigestForm, refused: Option<&Finding>) -> Bundle {
    let policy = text.parse(form).unwrap();
    let first = host.round(&policy);
    let history = first.history.unwrap();
    let challenge = host.challenge(history.ima.as_ref().unwrap().entries);
    host.ima.measure("/opt/new", b"new");
    let evidence = host.answer(&challenge);
    let result = match refused {
        Some(refused) => not_appraised(refused),
        None => host.judge(&evidence, &challenge, &policy, Some(&history)),
    };
    Bundle::new(&Parts {
        host: &"cmp-1".parse().unwrap(),
        received_at: Timestamp::from_millis(NOW * 1000),
        challenge: &challenge,
        evidence: &evidence,
        ak_public: &host.tpm.key.public(),
        ek_certificate: b"",
        policy: text,
        refused,
        history: Some(&history),
        result: &result,
    })
}

fn replayed(bytes: &[u8]) -> AttestationResult {
    Bundle::from_bytes(bytes).unwrap().replay(None).unwrap()
}

#[test]
fn a_bundle_comes_to_the_same_result_again_and_stays_the_same_bytes() {
    let mut host = Host::new();
    let text = text_of(&mut host);
    let bundle = bundle(&mut host, &text, DigestForm::Files, None);
    assert_eq!(bundle.result.verdict, Verdict::Contraindicated);
    assert_eq!(
        bundle.result.findings.len(),
        1,
        "a slice that the checkpoint joins"
    );
    let bytes = bundle.to_bytes().unwrap();
    assert_eq!(replayed(&bytes), bundle.result);
    assert_eq!(Bundle::from_bytes(&bytes).unwrap().to_bytes().unwrap(), bytes);
}

/// SHA-256 over the texts, each behind its length: what the first format's checkpoints were bound to.
fn first_digest(text: &PolicyText) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap().to_be_bytes());
        hash.update(bytes);
    };
    part(text.toml.as_bytes());
    for (name, list) in &text.lists {
        part(name.as_bytes());
        part(list.as_bytes());
    }
    hex::encode(hash.finalize())
}

#[test]
fn a_bundle_of_the_first_format_comes_to_the_same_result_again() {
    let mut host = Host::new();
    let text = text_of(&mut host);
    let bundle = bundle(&mut host, &text, DigestForm::Texts, None);
    let bytes = bundle.to_bytes().unwrap();
    let json = String::from_utf8(bytes).unwrap();
    assert!(
        json.contains(&first_digest(&text)),
        "the checkpoint is bound to it"
    );
    let old = json.replace("lazaret-bundle/2", "lazaret-bundle/1");
    assert_eq!(replayed(old.as_bytes()), bundle.result);
    assert_eq!(
        Bundle::from_bytes(old.as_bytes()).unwrap().to_bytes().unwrap(),
        old.as_bytes()
    );
    // In the second format the same checkpoint belongs to no policy.
    assert!(replayed(json.as_bytes()).full_list_needed);
    assert!(Bundle::from_bytes(json.replace("bundle/2", "bundle/3").as_bytes()).is_err());
}

#[test]
fn case_77_a_bundle_keeps_why_nothing_was_appraised() {
    let mut host = Host::new();
    let text = text_of(&mut host);
    let refused = Finding::new(Code::PolicyRolledBack, "policy \"forged\"").found("version 1");
    let bundle = bundle(&mut host, &text, DigestForm::Files, Some(&refused));
    assert_eq!(bundle.result.verdict, Verdict::Indeterminate);
    assert!(bundle.result.history.is_none(), "nothing is remembered of it");
    let again = Bundle::from_bytes(&bundle.to_bytes().unwrap()).unwrap();
    assert_eq!(again.replay(None).unwrap(), bundle.result);
    // Whoever brings other golden values appraises the evidence by them.
    assert_ne!(
        again.replay(Some(&text)).unwrap().findings,
        bundle.result.findings
    );
}

#[test]
fn a_list_with_a_path_that_is_no_text_is_carried_byte_for_byte() {
    let mut host = Host::new();
    let mut text = text_of(&mut host);
    let (name, list) = text.lists.pop_first().unwrap();
    let bytes = [list.as_bytes(), "ab".repeat(32).as_bytes(), b"  /opt/\xff\n"].concat();
    let file = lazaret::verifier::policies::FileText::Bytes(bytes.clone().into());
    text.lists.insert(name.clone(), file);
    let json = serde_json::to_string(&text).unwrap();
    assert!(json.contains("base64"));
    let again: PolicyText = serde_json::from_str(&json).unwrap();
    assert_eq!(again.lists[&name].as_bytes(), bytes);
    assert_eq!(again, text);
    for bad in ["{}", "{\"base64\": 1}", "{\"base64\": \"AAAA\", \"x\": 1}", "7"] {
        let broken = json.replace(&serde_json::to_string(&text.lists[&name]).unwrap(), bad);
        assert!(serde_json::from_str::<PolicyText>(&broken).is_err(), "{bad}");
    }
}
