//! The covered IMA entries against golden digests, signatures and rules.

use std::collections::BTreeSet;

use super::{shown, some_of};
use crate::claims::{BootAggregate, ImaClaims, ImaEvent, MAX_EVENTS};
use crate::finding::{Code, Finding, FindingList};
use crate::ima::{
    self, DigestKind, Fields, FileSignature, IMA_PCR, ImaEntry, KeyId, MeasuredKey, NotSigned,
    ReplayedImaLog, SignedDigest, Subject,
};
use crate::pcr::HashAlg;
use crate::policy::{ImaReference, Judgement, PathHash, Policy, Standing};
use crate::quote::QuotedPcrs;
use crate::result::SeenKeys;

/// What goes on from round to round.
pub(crate) struct Memory<'m, 'p> {
    /// The components that the files belong to.
    pub(crate) standing: &'m mut Standing<'p>,
    /// Keys that signed files, and keys that the kernel learned.
    pub(crate) seen: &'m mut SeenKeys,
}

/// The covered IMA entries against golden digests. `memory` goes on from the checkpoint's.
pub(crate) fn ima(
    log: &ReplayedImaLog<'_>,
    quoted: &QuotedPcrs,
    policy: &Policy,
    now: i64,
    memory: Memory<'_, '_>,
    findings: &mut FindingList<'_>,
) -> ImaClaims {
    let Memory { standing, seen } = memory;
    let mut walk = Walk {
        reference: policy.ima(),
        now,
        standing,
        seen,
        findings,
        claims: ImaClaims {
            first: log.first(),
            covered: log.covered(),
            uncovered: log.uncovered(),
            violations: 0,
            boot_aggregate: if log.first() == 0 {
                BootAggregate::Missing
            } else {
                BootAggregate::SeenBefore
            },
            by_sha1_alone: log.by_sha1_alone(),
            signed_files: 0,
            events: Vec::new(),
        },
        beyond_the_first: false,
    };
    let mut hashes = Vec::new();
    log.each_block(&mut |block| {
        let path = |entry: &ImaEntry<'_>| PathHash::of(entry.fields.map_or(&[][..], |fields| fields.path));
        hashes.clear();
        hashes.extend(block.iter().map(|(_, entry)| path(entry)));
        if let Some(reference) = walk.reference {
            reference.fetch(&hashes);
        }
        for ((number, entry), hash) in block.iter().zip(&hashes) {
            walk.entry(*number, entry, *hash, quoted);
        }
    });
    walk.finish()
}

/// Entries that an earlier round of this boot saw behind its quote at `since`, and that this quote still does not cover.
/// The kernel extends PCR 10 when it lists an entry, so the next round's quote covers it; only a policy that gives a limit
/// lets it lag for so long.
pub(crate) fn ima_lag(
    log: &ReplayedImaLog<'_>,
    (listed_before, since): (u64, i64),
    policy: &Policy,
    now: i64,
    findings: &mut FindingList<'_>,
) {
    let Some(reference) = policy.ima() else { return };
    let limit = reference
        .lag_limit_s()
        .and_then(|limit| i64::try_from(limit).ok())
        .unwrap_or(0);
    // A clock that was put back says nothing about how long it lasts.
    let lasted = now.saturating_sub(since);
    if log.covered() < listed_before && !(0..limit).contains(&lasted) {
        findings.add(
            Finding::new(Code::ImaLag, format!("PCR {IMA_PCR}"))
                .expected(format!(
                    "the {listed_before} entries covered that an earlier round saw listed"
                ))
                .found(format!(
                    "{} entries covered, {lasted} seconds later",
                    log.covered()
                )),
        );
    }
}

/// PCR 10 was not quoted: what the policy asks of IMA is missing.
pub(crate) fn no_ima(policy: &Policy, findings: &mut FindingList<'_>) {
    if policy.ima().is_some() {
        findings.add(Finding::new(Code::PcrNotQuoted, format!("PCR {IMA_PCR}")));
    }
}

struct Walk<'w, 's, 'p> {
    /// Without golden file digests the operator does not ask what was measured, only that it is proven; another kernel is
    /// told all the same, for it takes the ground from under the boot PCRs.
    reference: Option<&'w ImaReference>,
    now: i64,
    standing: &'w mut Standing<'s>,
    seen: &'w mut SeenKeys,
    findings: &'w mut FindingList<'p>,
    claims: ImaClaims,
    beyond_the_first: bool,
}

impl Walk<'_, '_, '_> {
    fn entry(&mut self, number: u64, entry: &ImaEntry<'_>, hash: PathHash, quoted: &QuotedPcrs) {
        let reference = self.reference;
        if entry.pcr != u32::from(IMA_PCR) {
            if reference.is_some() {
                let (expected, found) = (format!("PCR {IMA_PCR}"), format!("PCR {}", entry.pcr));
                self.add(Code::ImaEntryOtherPcr, number, &[], Some(expected), Some(found));
            }
            return;
        }
        self.beyond_the_first |= number > 0;
        let subject = entry.subject();
        let fields = match (subject, &entry.fields) {
            (Subject::Violation, fields) => return self.violation(number, fields.map(|fields| fields.path)),
            (Subject::Unknown, _) | (_, None) => {
                if reference.is_some() {
                    let expected = Some("a template of the kernel's, with a digest and a name".to_owned());
                    let name = Some(shown(entry.template.name()));
                    self.add(Code::ImaTemplateUnknown, number, &[], expected, name);
                }
                return;
            }
            (_, Some(fields)) => fields,
        };
        match subject {
            Subject::BootAggregate if number == 0 => {
                self.claims.boot_aggregate = ima::compare_boot_aggregate(fields, quoted);
            }
            Subject::BootAggregate => {
                self.event(number, "boot-aggregate", fields, &[]);
                self.add(
                    Code::ImaKexec,
                    number,
                    &[],
                    None,
                    Some("a second boot_aggregate".to_owned()),
                );
            }
            Subject::Kexec => self.kexec(number, fields),
            Subject::Key(key) => self.key(number, fields, &key),
            Subject::ImaPolicy => self.ima_policy(number, fields),
            Subject::Trimmed => self.event(number, "list-trimmed", fields, &[]),
            Subject::CriticalData => {
                self.event(number, "critical-data", fields, &[]);
                if reference.is_some_and(|reference| !self.is_listed(reference, fields)) {
                    self.data(Code::ImaDataNotGolden, number, fields);
                }
            }
            Subject::Misnamed => {
                if reference.is_some() {
                    self.data(Code::ImaDataNotGolden, number, fields);
                }
                self.file(number, fields, hash);
            }
            Subject::File => self.file(number, fields, hash),
            Subject::Violation | Subject::Unknown => {}
        }
    }

    /// Nothing but the extended ones is authentic: the label is the list's word.
    fn violation(&mut self, number: u64, label: Option<&[u8]>) {
        self.claims.violations = self.claims.violations.saturating_add(1);
        let Some(reference) = self.reference else { return };
        let code = match label {
            Some(label) if reference.protected(label) => Code::ImaViolationProtected,
            _ => Code::ImaViolation,
        };
        let label = label.map(|label| format!("labelled {}", shown(label)));
        self.add(code, number, &[], None, label);
    }

    fn kexec(&mut self, number: u64, fields: &Fields<'_>) {
        self.event(number, "kexec", fields, &[]);
        if self
            .reference
            .is_some_and(|reference| self.is_listed(reference, fields))
        {
            return;
        }
        let found = format!(
            "{}: {}",
            shown(fields.path),
            shown(fields.buffer.unwrap_or_default())
        );
        self.add(Code::ImaKexec, number, &[], None, Some(found));
    }

    fn key(&mut self, number: u64, fields: &Fields<'_>, key: &MeasuredKey<'_>) {
        let ids = key.ids();
        self.event(number, "key", fields, &ids);
        let Some(reference) = self.reference else { return };
        // By the ids that the policy's keyrings have for it: a certificate may give any other, one after the other.
        let known: BTreeSet<KeyId> = reference
            .keyrings()
            .iter()
            .flat_map(|keyring| key.known_in(keyring))
            .flat_map(|key| key.ids().iter().copied())
            .collect();
        if !known.is_empty() {
            for id in known {
                // Once learned it may be added to other keyrings as well.
                if self.seen.learned.insert(id) && self.seen.used.contains(&id) {
                    let found = format!("{id}, added to {}", shown(fields.path));
                    let expected = "in a keyring before the first file that it signed".to_owned();
                    self.add(Code::ImaKeyAfterUse, number, &[], Some(expected), Some(found));
                }
            }
        } else if !self.is_listed(reference, fields) {
            self.data(Code::ImaKeyNotGolden, number, fields);
        }
    }

    fn ima_policy(&mut self, number: u64, fields: &Fields<'_>) {
        self.event(number, "ima-policy", fields, &[]);
        let Some(reference) = self.reference else { return };
        let allowed = if reference.policies().is_empty() {
            // The operator who lists no policies may have the file among the golden ones.
            self.is_listed(reference, fields)
        } else {
            fields.algorithm == b"sha256"
                && fields.kind == DigestKind::Content
                && reference
                    .policies()
                    .iter()
                    .any(|policy| policy.as_slice() == fields.digest)
        };
        if !allowed {
            self.data(Code::ImaPolicyLoaded, number, fields);
        }
    }

    fn file(&mut self, number: u64, fields: &Fields<'_>, hash: PathHash) {
        let Some(reference) = self.reference else { return };
        // A digest of another kind is compared with none of the list's: it has no algorithm there.
        let algorithm = match fields.kind {
            DigestKind::Content => fields.algorithm,
            DigestKind::Verity | DigestKind::Unknown => &[],
        };
        let judgement = self
            .standing
            .file(reference, hash, fields.path, algorithm, fields.digest);
        if matches!(judgement, Judgement::Golden | Judgement::Excluded) {
            return;
        }
        if in_memory(fields.path) {
            self.add(
                Code::ImaBlindSpot,
                number,
                fields.path,
                None,
                Some(digest_of(fields)),
            );
        }
        let refusal = if reference.signed(fields.path) {
            match signer(reference, fields, self.now) {
                Ok(key) => {
                    self.claims.signed_files = self.claims.signed_files.saturating_add(1);
                    self.seen.used.insert(key);
                    return;
                }
                Err(refusal) => Some(refusal),
            }
        } else {
            None
        };
        let found = Some(digest_of(fields));
        match (judgement, refusal) {
            (Judgement::Golden | Judgement::Excluded, _) => {}
            (_, Some(refusal)) => {
                let found = Some(format!("{}: {refusal}", digest_of(fields)));
                let expected = Some("a signature by a key of the allowed keyrings".to_owned());
                self.add(Code::ImaSignatureRefused, number, fields.path, expected, found);
            }
            (Judgement::Unknown, None) => self.add(Code::ImaFileUnknown, number, fields.path, None, found),
            (Judgement::NotGolden(golden), None) => {
                let expected = Some(some_of(golden.iter().cloned(), golden.len()));
                self.add(Code::ImaFileNotGolden, number, fields.path, expected, found);
            }
            (Judgement::Unsuitable, None) if fields.kind != DigestKind::Content => {
                let expected = Some("a digest of the file's content".to_owned());
                self.add(Code::ImaDigestKind, number, fields.path, expected, found);
            }
            (Judgement::Unsuitable, None) => {
                self.add(Code::ImaAlgorithmUnsuitable, number, fields.path, None, found);
            }
        }
    }

    /// Whether a list holds this digest under this name, and, of data that the entry holds, whether it is its digest.
    fn is_listed(&mut self, reference: &ImaReference, fields: &Fields<'_>) -> bool {
        let alg = std::str::from_utf8(fields.algorithm)
            .ok()
            .and_then(|name| name.parse::<HashAlg>().ok());
        let of_its_data = match (fields.buffer, alg) {
            (Some(data), Some(alg)) => alg.digest(data) == fields.digest,
            (Some(_), None) => false,
            (None, _) => fields.kind == DigestKind::Content,
        };
        let judgement = self.standing.file(
            reference,
            PathHash::of(fields.path),
            fields.path,
            fields.algorithm,
            fields.digest,
        );
        of_its_data && matches!(judgement, Judgement::Golden | Judgement::Excluded)
    }

    fn data(&mut self, code: Code, number: u64, fields: &Fields<'_>) {
        self.add(code, number, fields.path, None, Some(digest_of(fields)));
    }

    fn event(&mut self, number: u64, subject: &str, fields: &Fields<'_>, keys: &[KeyId]) {
        if self.claims.events.len() < MAX_EVENTS {
            self.claims.events.push(ImaEvent {
                entry: number,
                subject: subject.to_owned(),
                name: shown(fields.path),
                digest: digest_of(fields),
                keys: keys.to_vec(),
            });
        }
    }

    fn add(&mut self, code: Code, number: u64, path: &[u8], expected: Option<String>, found: Option<String>) {
        self.findings.add_with(code, |finding| Finding {
            subject: if path.is_empty() {
                format!("IMA entry {number}")
            } else {
                shown(path)
            },
            expected,
            found,
            ..finding
        });
    }

    fn finish(self) -> ImaClaims {
        let Self {
            reference,
            findings,
            claims,
            beyond_the_first,
            ..
        } = self;
        let asked = reference.is_some();
        let nothing = |expected, found: &str| {
            Finding::new(Code::ImaNothingMeasured, format!("PCR {IMA_PCR}"))
                .expected(expected)
                .found(found)
        };
        if claims.covered == 0 {
            if asked {
                findings.add(nothing("at least boot_aggregate", "PCR 10 at its reset value"));
            }
            return claims;
        }
        // Every kernel with IMA measures boot_aggregate; only one with an IMA policy measures more, its first program at
        // least.
        if asked && claims.first == 0 && !beyond_the_first {
            findings.add(nothing("measured files", "boot_aggregate only"));
        }
        if asked && claims.by_sha1_alone {
            findings.add(
                Finding::new(Code::ImaSha1Only, format!("PCR {IMA_PCR}"))
                    .expected("a bank better than SHA-1 that is extended with its own digests"),
            );
        }
        let subject = "IMA entry 0: boot_aggregate";
        match claims.boot_aggregate {
            BootAggregate::Matches | BootAggregate::SeenBefore => {}
            BootAggregate::Differs => findings.add(Finding::new(Code::ImaBootAggregateDiffers, subject)),
            BootAggregate::NotComparable => {
                findings.add(Finding::new(Code::ImaBootAggregateUnproven, subject));
            }
            BootAggregate::Missing => findings.add(Finding::new(Code::ImaBootAggregateMissing, subject)),
        }
        claims
    }
}

/// File systems in memory, by where they are mounted everywhere, and files without a name.
fn in_memory(path: &[u8]) -> bool {
    const PLACES: [&[u8]; 4] = [b"memfd:", b"/memfd:", b"/dev/shm/", b"/run/"];
    PLACES.iter().any(|place| path.starts_with(place))
}

fn digest_of(fields: &Fields<'_>) -> String {
    let kind = match fields.kind {
        DigestKind::Content => "",
        DigestKind::Verity => "verity:",
        DigestKind::Unknown => "(unknown kind):",
    };
    format!("{kind}{}:{}", shown(fields.algorithm), hex::encode(fields.digest))
}

/// The key of the policy's keyrings that signed a file. Of the reasons why none did, that of a known key says most.
fn signer(reference: &ImaReference, fields: &Fields<'_>, now: i64) -> Result<KeyId, NotSigned> {
    if fields.signature.is_empty() {
        return Err(NotSigned::Form("the file has no signature".to_owned()));
    }
    let signature = FileSignature::parse(fields.signature)
        .map_err(|error| NotSigned::Form(format!("the signature cannot be read: {error}")))?;
    if fields.kind == DigestKind::Unknown {
        return Err(NotSigned::Kind);
    }
    let measured = SignedDigest {
        verity: fields.kind == DigestKind::Verity,
        algorithm: fields.algorithm,
        digest: fields.digest,
    };
    let mut refusal = NotSigned::UnknownKey(signature.key);
    for keyring in reference.keyrings() {
        match keyring.signer(&signature, &measured, now) {
            Ok(_) => return Ok(signature.key),
            Err(NotSigned::UnknownKey(_)) => {}
            Err(reason) => refusal = reason,
        }
    }
    Err(refusal)
}
