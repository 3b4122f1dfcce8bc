//! The IMA list in its two forms.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use lazaret_attest::finding::Code;
use lazaret_attest::ima::{BOOT_AGGREGATE, DigestKind, Form, ImaList};
use lazaret_attest::pcr::HashAlg;
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::pcrs::Pcrs;

use crate::memory::bounded;
use crate::oracle::{self, Entry, sized_le32};
use crate::scene::{BANKS, Scene, scene};

/// An entry as the core reads it, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Read {
    pcr: u32,
    known: bool,
    violation: bool,
    path: Vec<u8>,
    algorithm: Vec<u8>,
    digest: Vec<u8>,
    measured: Vec<Option<Vec<u8>>>,
}

/// Reads to the end; none where it is no list.
fn read(data: &[u8]) -> Option<Vec<Read>> {
    let mut cursor = ImaList::new(data).cursor();
    let mut entries = Vec::new();
    while let Some(entry) = cursor.next_entry().ok()? {
        let fields = entry.fields;
        let of = |field: fn(&lazaret_attest::ima::Fields<'_>) -> Vec<u8>| {
            fields.as_ref().map(field).unwrap_or_default()
        };
        entries.push(Read {
            pcr: entry.pcr,
            known: entry.template.is_known() && fields.is_some(),
            violation: entry.violation,
            path: of(|fields| fields.path.to_vec()),
            algorithm: of(|fields| fields.algorithm.to_vec()),
            digest: of(|fields| fields.digest.to_vec()),
            measured: HashAlg::ALL
                .into_iter()
                .filter(|alg| BANKS.iter().any(|bank| bank.id() == alg.id()))
                .map(|alg| entry.measured(alg))
                .collect(),
        });
    }
    Some(entries)
}

fn drain(data: &[u8]) {
    let mut cursor = ImaList::new(data).cursor();
    while let Ok(Some(_)) = cursor.next_entry() {}
}

/// A binary list is read as the kernel writes it, and extends what the kernel extends.
pub fn ima_binary(data: &[u8]) {
    if ImaList::new(data).form() != Form::Binary {
        return;
    }
    bounded(data, 2, 16 * 1024, || drain(data));
    let entries = read(data);
    assert_eq!(entries, read(data));
    if let Some(entries) = &entries {
        // The template digest is SHA-1's in the usual list, and as long as another bank's in the lists for each bank.
        let agrees = [20, 32, 48, 64]
            .into_iter()
            .any(|printed| oracle::ima_binary(data, printed).is_some_and(|kernel| same(entries, &kernel)));
        assert!(
            agrees || entries.is_empty(),
            "no reading of the list agrees: {entries:?}"
        );
    }
    judged(data, entries.as_deref());
}

fn same(entries: &[Read], kernel: &[Entry]) -> bool {
    let all = |kernel: &Entry| {
        BANKS
            .iter()
            .map(|bank| Some(kernel.measured(*bank)))
            .collect::<Vec<_>>()
    };
    entries.len() == kernel.len()
        && entries
            .iter()
            .zip(kernel)
            .all(|(entry, kernel)| entry.pcr == kernel.pcr && entry.measured == all(kernel))
}

/// A text list says the same as the binary list of its entries.
pub fn ima_text(data: &[u8]) {
    if ImaList::new(data).form() != Form::Text {
        return;
    }
    bounded(data, 4, 16 * 1024, || drain(data));
    let entries = read(data);
    assert_eq!(entries, read(data));
    if let Some(entries) = &entries
        && let Some(binary) = as_binary(data)
    {
        assert_eq!(read(&binary).as_ref(), Some(entries), "text and binary disagree");
    }
    judged(data, entries.as_deref());
}

/// The binary list of a text list's entries, made from their fields; none where it has other templates than those that
/// are digest, path, and a signature or data.
fn as_binary(text: &[u8]) -> Option<Vec<u8>> {
    let mut cursor = ImaList::new(text).cursor();
    let mut binary = Vec::new();
    while let Some(entry) = cursor.next_entry().ok()? {
        // A binary list is known by its first entry's PCR; text may begin with one that no TPM has.
        if entry.number == 0 && entry.pcr > 23 {
            return None;
        }
        let fields = entry.fields?;
        let kind: &[u8] = match (entry.template.name(), fields.kind) {
            (b"ima-ngv2" | b"ima-sigv2", DigestKind::Content) => b"ima:",
            (b"ima-ngv2" | b"ima-sigv2", DigestKind::Verity) => b"verity:",
            (b"ima-ngv2" | b"ima-sigv2", DigestKind::Unknown) => return None,
            _ => b"",
        };
        // The name of an algorithm ends at its first zero; what stands behind one is read as the digest's.
        if fields.algorithm.is_empty() && fields.digest.windows(2).any(|pair| pair == b":\0") {
            return None;
        }
        let digest = sized_le32(&[kind, fields.algorithm, b":\0", fields.digest].concat());
        let path = sized_le32(&[fields.path, b"\0"].concat());
        let data = match entry.template.name() {
            // The zeros behind its name are hashed, so one more or less is the same entry.
            b"ima" if fields.path.ends_with(b"\0") => return None,
            b"ima" => {
                let mut data = [fields.digest, fields.path].concat();
                data.resize((fields.digest.len() + 256).max(data.len()), 0);
                data
            }
            b"ima-ng" | b"ima-ngv2" => [digest, path].concat(),
            b"ima-sig" | b"ima-sigv2" => [digest, path, sized_le32(fields.signature)].concat(),
            b"ima-buf" => [digest, path, sized_le32(fields.buffer?)].concat(),
            _ => return None,
        };
        let entry = Entry {
            pcr: entry.pcr,
            printed: vec![u8::from(!entry.violation); 20],
            template: entry.template.name().to_vec(),
            old_digest: fields.digest.len(),
            data,
        };
        binary.extend(entry.bytes());
    }
    Some(binary)
}

/// Against the honest quote the list affirms only as the honest list; against a quote over what it leads to, only if
/// every entry is golden.
fn judged(data: &[u8], entries: Option<&[Read]>) {
    let scene = scene();
    let mut evidence = scene.honest.clone();
    evidence.ima_log = data.to_vec();
    let result = scene.judge(&evidence);
    assert_eq!(
        scene.judge(&evidence),
        result,
        "the same evidence, the same result"
    );
    let Some(entries) = entries else {
        assert_ne!(result.verdict, Verdict::Affirming, "what is no list affirms");
        return;
    };
    if result.verdict == Verdict::Affirming {
        let honest = read(&scene.honest.ima_log).unwrap_or_default();
        let covered: Vec<&Read> = entries.iter().filter(|entry| entry.pcr == 10).collect();
        for (entry, honest) in covered.iter().zip(&honest) {
            assert_eq!(entry.measured, honest.measured);
        }
        assert!(covered.len() >= honest.len(), "a shorter list affirms");
    }
    let Some(pcrs) = leads_to(scene, entries) else {
        return;
    };
    let evidence = scene.evidence(&pcrs, scene.honest.boot_log.clone(), data.to_vec());
    let result = scene.judge(&evidence);
    replays(&result, entries);
    if result.verdict == Verdict::Affirming {
        let Some(ima) = &result.claims.ima else {
            panic!("a policy with files affirms without a list");
        };
        let covered = usize::try_from(ima.covered).unwrap_or(usize::MAX);
        assert!(covered > 1, "a list of nothing affirms");
        for (number, entry) in entries.iter().take(covered).enumerate() {
            let golden = golden().contains(&(entry.path.clone(), entry.digest.clone()))
                && entry.algorithm == b"sha256";
            let aggregate = number == 0 && entry.path == BOOT_AGGREGATE;
            assert!(
                entry.known && !entry.violation && entry.pcr == 10 && (golden || aggregate),
                "{entry:?}"
            );
        }
    }
}

/// PCR 10 after all entries, in the scene's other PCRs.
fn leads_to(scene: &Scene, entries: &[Read]) -> Option<Pcrs> {
    let mut pcrs = scene.pcrs();
    for (n, bank) in BANKS.into_iter().enumerate() {
        let mut value = vec![0; bank.digest_len()];
        for entry in entries.iter().filter(|entry| entry.pcr == 10) {
            value = bank.hash(&[&value, entry.measured.get(n)?.as_ref()?]);
        }
        pcrs.force(bank, 10, value);
    }
    Some(pcrs)
}

fn replays(result: &AttestationResult, entries: &[Read]) {
    let refused = [
        Code::ImaReplayMismatch,
        Code::ImaListGarbled,
        Code::ImaFullListNeeded,
        Code::PcrValuesDiffer,
    ];
    for finding in &result.findings {
        assert!(!refused.contains(&finding.code), "{finding}: {entries:?}");
    }
}

fn golden() -> &'static BTreeSet<(Vec<u8>, Vec<u8>)> {
    static GOLDEN: OnceLock<BTreeSet<(Vec<u8>, Vec<u8>)>> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let entries = read(&scene().honest.ima_log).unwrap_or_default();
        entries
            .into_iter()
            .map(|entry| (entry.path, entry.digest))
            .collect()
    })
}
