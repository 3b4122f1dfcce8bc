//! A list as people look at it: every kind of entry is counted and named, and the values it leads to are those of a TPM.

use std::collections::BTreeMap;

use lazaret_attest::ima::{ImaList, ImaSummary, ListedEntry, MAX_NOTES};
use lazaret_attest::pcr::HashAlg;
use lazaret_forge::bank::Bank;
use lazaret_forge::ima::{Entry, FileSigner, List, Template, signer};
use lazaret_forge::pcrs::Pcrs;

use crate::host::Host;

fn summary(bytes: &[u8], sought: &[(HashAlg, Vec<u8>)]) -> ImaSummary {
    ImaSummary::of(&ImaList::new(bytes), sought, &mut |_| {}).unwrap()
}

fn counts<'a>(of: impl IntoIterator<Item = (&'a str, u64)>) -> BTreeMap<String, u64> {
    of.into_iter().map(|(name, n)| (name.to_owned(), n)).collect()
}

/// One entry of every kind; `list.entries` begins with a boot aggregate and two files.
fn every_kind(signer: &FileSigner) -> List {
    let mut list = Host::new().ima;
    list.entries.truncate(3);
    let content = Bank::Sha256.hash(&[b"v"]);
    let signed = |template, path: &str, attachment| Entry {
        attachment,
        ..Entry::new(template, Bank::Sha256, path, content.clone())
    };
    let file = signed(Template::ImaSig, "/signed", signer.file(Bank::Sha256, b"v"));
    let verity = Entry {
        verity: true,
        ..signed(
            Template::ImaSigv2,
            "/verity",
            signer.typed(signer::KIND_VERITY, Bank::Sha256, &content),
        )
    };
    let appended = Entry {
        modsig: Some((Bank::Sha256.hash(&[b"without"]), vec![0x30; 70])),
        ..Entry::new(Template::ImaModsig, Bank::Sha256, "/module.ko", content.clone())
    };
    let elsewhere = Entry {
        pcr: 11,
        ..Entry::new(
            Template::ImaNg,
            Bank::Sha1,
            "/elsewhere",
            Bank::Sha1.hash(&[b"e"]),
        )
    };
    list.entries.extend([
        file,
        verity,
        appended,
        elsewhere,
        Entry::buffer(Bank::Sha256, "kexec-cmdline", b"root=/dev/sda quiet"),
        Entry::buffer(Bank::Sha256, ".ima", b"no certificate"),
        Entry::buffer(Bank::Sha256, "ima_policy_loaded", b"measure\n"),
        Entry::buffer(Bank::Sha256, "ima_log_trim", b"num=3 total=10"),
        Entry::buffer(Bank::Sha256, "selinux-state", b""),
        Entry::violation(Template::ImaSig, Bank::Sha256, "/var/log/x"),
    ]);
    list
}

#[test]
fn every_kind_of_entry_is_counted_and_named() {
    let signer = FileSigner::p256().unwrap();
    let list = every_kind(&signer);
    for (form, bytes) in [("text", list.text()), ("binary", list.binary())] {
        let found = summary(&bytes, &[]);
        assert_eq!((found.form, found.entries, found.violations), (form, 13, 1));
        assert_eq!(
            found.templates,
            counts([
                ("ima-buf", 5),
                ("ima-modsig", 1),
                ("ima-ng", 1),
                ("ima-sig", 5),
                ("ima-sigv2", 1)
            ])
        );
        let subjects = found
            .subjects
            .iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect::<BTreeMap<_, _>>();
        assert_eq!(
            subjects,
            counts([
                ("boot-aggregate", 1),
                ("critical-data", 1),
                ("file", 6),
                ("ima-policy", 1),
                ("kexec", 1),
                ("key", 1),
                ("list-trimmed", 1),
                ("violation", 1)
            ])
        );
        assert_eq!(
            found.algorithms,
            counts([("sha1", 1), ("sha256", 10), ("verity:sha256", 1)])
        );
        assert_eq!(found.other_pcrs, BTreeMap::from([(11, 1)]));
        let keys: Vec<_> = found.signatures.iter().map(|(key, n)| (key.0, *n)).collect();
        assert_eq!(keys, [(signer.key_id, 2)]);
        let numbers = |entries: &[ListedEntry]| entries.iter().map(|entry| entry.entry).collect::<Vec<_>>();
        assert_eq!(numbers(&found.boot_aggregates), [0]);
        assert_eq!(numbers(&found.events), [7, 8, 9, 10, 11]);
        assert_eq!(numbers(&found.violation_labels), [12]);
        assert_eq!(found.first.unwrap().entry, 0);
        assert_eq!(found.last.unwrap().path.as_deref(), Some("/var/log/x"));
        assert_eq!(found.reached, None);
        let data: Vec<_> = found
            .events
            .iter()
            .map(|event| event.data.clone().unwrap())
            .collect();
        let policy: String = b"measure\n".iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            data,
            [
                "root=/dev/sda quiet",
                "no certificate",
                &policy,
                "num=3 total=10",
                ""
            ],
            "text that cannot be printed is hex"
        );
    }
}

#[test]
fn an_entry_is_shown_with_its_kind_signature_and_key() {
    let signer = FileSigner::p256().unwrap();
    let key = rcgen::KeyPair::try_from(signer.pkcs8()).unwrap();
    let mut params = rcgen::CertificateParams::default();
    // Only then does rcgen write the identifier.
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![9; 20]);
    let certificate = params.self_signed(&key).unwrap();
    let mut list = every_kind(&signer);
    list.entries
        .push(Entry::buffer(Bank::Sha256, ".ima", certificate.der()));
    let mut shown = Vec::new();
    ImaSummary::of(&ImaList::new(&list.binary()), &[], &mut |entry| {
        shown.push(ListedEntry::of(entry));
    })
    .unwrap();
    assert_eq!(shown.len(), 14);
    let signature = |at: usize| {
        let signature = shown[at].signature.clone().unwrap();
        assert_eq!(
            (signature.hash.as_str(), signature.key.0),
            ("sha256", signer.key_id)
        );
        (signature.kind, signature.version)
    };
    assert_eq!(signature(3), ("file".to_owned(), 2));
    assert_eq!(signature(4), ("verity".to_owned(), 3));
    assert_eq!((shown[3].kind, shown[4].kind), (None, Some("verity")));
    assert_eq!(shown[5].appended_signature_bytes, Some(70));
    assert_eq!((shown[6].pcr, shown[6].algorithm.as_deref()), (11, Some("sha1")));
    assert!(shown[8].keys.is_empty(), "no certificate, no key");
    let ids: Vec<_> = shown[13].keys.iter().map(|id| id.0).collect();
    assert_eq!(
        ids,
        [signer.key_id, [9; 4]],
        "of the key, and as its certificate says"
    );
}

/// PCR 10 as a TPM has it behind the first entries, with both ways of kernels to extend it.
fn pcr_10(list: &List, entries: usize, padded: bool) -> Pcrs {
    let mut pcrs = Pcrs::at_startup(&Bank::ALL, 0);
    if padded {
        list.extend_padded(entries, &mut pcrs);
    } else {
        list.extend_first(entries, &mut pcrs);
    }
    pcrs
}

#[test]
fn the_values_that_a_list_leads_to_are_those_of_a_tpm() {
    let list = every_kind(&FileSigner::p256().unwrap());
    let found = summary(&list.binary(), &[]);
    let hex = |digest: &[u8]| {
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let all = list.entries.len();
    for bank in Bank::ALL {
        let alg = HashAlg::from_id(bank.id()).unwrap();
        let value = |padded| hex(pcr_10(&list, all, padded).value(bank, 10).unwrap());
        assert_eq!(found.pcr10[&alg], value(false), "{bank}");
        let padded = found.pcr10_padded_sha1.get(&alg);
        assert_eq!(
            padded.cloned(),
            (bank != Bank::Sha1).then(|| value(true)),
            "{bank}"
        );
    }
}

#[test]
fn a_value_that_is_looked_for_is_found_behind_the_entry_that_leads_to_it() {
    let list = every_kind(&FileSigner::p256().unwrap());
    let bytes = list.binary();
    let at = |bank, entries, padded| {
        let value = pcr_10(&list, entries, padded).value(bank, 10).unwrap().to_vec();
        (HashAlg::from_id(bank.id()).unwrap(), value)
    };
    let sought = |values: &[(HashAlg, Vec<u8>)]| {
        let found = summary(&bytes, values).reached.unwrap();
        let each: Vec<_> = found
            .values
            .iter()
            .map(|one| (one.entries, one.extended))
            .collect();
        (found.entries, each)
    };
    let own = Some("own-digest");
    let (sha1, sha256) = (at(Bank::Sha1, 4, false), at(Bank::Sha256, 4, false));
    assert_eq!(
        sought(&[sha1.clone(), sha256]),
        (Some(4), vec![(Some(4), own), (Some(4), own)])
    );
    // Each is reached, but never at once.
    let later = at(Bank::Sha256, 6, false);
    assert_eq!(
        sought(&[sha1.clone(), later]),
        (None, vec![(Some(4), own), (Some(6), own)])
    );
    let padded = at(Bank::Sha256, 4, true);
    assert_eq!(
        sought(&[sha1.clone(), padded]),
        (Some(4), vec![(Some(4), own), (Some(4), Some("padded-sha1"))])
    );
    // The entry for PCR 11 leaves PCR 10 as it is: the shortest prefix counts.
    let before = at(Bank::Sha384, 6, false);
    assert_eq!(before, at(Bank::Sha384, 7, false));
    assert_eq!(sought(&[before]), (Some(6), vec![(Some(6), own)]));
    let none = (HashAlg::Sha256, vec![7; 32]);
    assert_eq!(sought(&[sha1, none]), (None, vec![(Some(4), own), (None, None)]));
    // A PCR that nothing extended yet, and a value under the wrong bank's name.
    assert_eq!(
        sought(&[(HashAlg::Sha256, vec![0; 32])]),
        (Some(0), vec![(Some(0), own)])
    );
    let (_, value) = at(Bank::Sha256, 4, false);
    assert_eq!(sought(&[(HashAlg::Sha384, value)]), (None, vec![(None, None)]));
}

#[test]
fn a_text_list_of_an_unknown_template_leads_to_no_value_but_padded_sha1() {
    let mut list = every_kind(&FileSigner::p256().unwrap());
    let mut text = list.text();
    let unknown = Entry::new(
        Template::Custom(lazaret_forge::ima::Format("d-ng|n-ng|unheard")),
        Bank::Sha256,
        "/x",
        Bank::Sha256.hash(&[b"x"]),
    );
    text.extend(unknown.text());
    list.entries.push(unknown);
    let found = summary(&text, &[]);
    let banks: Vec<_> = found.pcr10.keys().copied().collect();
    assert_eq!(banks, [HashAlg::Sha1], "the line has no other digest");
    assert_eq!(found.pcr10_padded_sha1.len(), 3);
    assert_eq!(summary(&list.binary(), &[]).pcr10.len(), 4);
    assert_eq!(found.subjects["unknown"], 1);
}

#[test]
fn a_list_of_violations_names_a_thousand_and_counts_the_rest() {
    let mut list = List::empty(Template::ImaNg, Bank::Sha256);
    for _ in 0..MAX_NOTES + 5 {
        list.violation("/x");
    }
    let found = summary(&list.binary(), &[]);
    assert_eq!(found.violation_labels.len(), MAX_NOTES);
    assert_eq!(found.violations, 1005);
    assert!(found.algorithms.is_empty(), "a violation has no digest");
}
