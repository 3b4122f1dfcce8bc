//! Honest evidence in its kinds, and many changes of it judged on two threads.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::thread;

use lazaret_attest::challenge::Challenge;
use lazaret_attest::claims::Claims;
use lazaret_attest::evidence::Evidence;
use lazaret_attest::policy::Policy;
use lazaret_attest::result::{AttestationResult, History};
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::typical_server;
use lazaret_forge::ima::Template;
use lazaret_forge::ima::entry::{Entry, Inode};
use lazaret_forge::softtpm::SoftTpm;
use serde_json::Value;

use crate::fields::{self, Field};
use crate::host::{Host, SELECTION, policy};

pub const SHA256_ONLY: &str = "sha256:0,1,2,3,4,5,6,7,8,9,10,14";

/// A host that answered honestly, with all that its answer is judged by.
pub struct Subject {
    pub name: &'static str,
    pub host: Host,
    pub policy: Policy,
    pub challenge: Challenge,
    pub evidence: Evidence,
    pub history: Option<History>,
    pub claims: Value,
    /// Entries of the IMA slice that the quote covers.
    pub covered: usize,
}

/// What a subject is made of.
pub struct Make {
    pub name: &'static str,
    pub rsa: bool,
    pub selection: &'static str,
    pub text: bool,
    pub template: Template,
    /// The boot log keeps so many events; all where it is none.
    pub boot_events: Option<usize>,
    pub files: usize,
    /// The slice begins here; an earlier round went so far.
    pub first: usize,
    /// Entries behind the quote.
    pub behind: usize,
}

impl Default for Make {
    fn default() -> Self {
        Self {
            name: "",
            rsa: false,
            selection: SELECTION,
            text: false,
            template: Template::ImaSig,
            boot_events: Some(28),
            files: 12,
            first: 0,
            behind: 0,
        }
    }
}

impl Make {
    /// The host, before it answers.
    pub fn host(&self) -> Host {
        let mut server = typical_server();
        server.ima.files = self.files;
        if self.template == Template::Ima {
            server.ima.hash = Bank::Sha1;
        }
        let buffers = self.template == Template::ImaBuf;
        server.ima.template = if buffers { Template::ImaSig } else { self.template };
        let mut host = Host::booting(&server);
        if self.rsa {
            host.tpm = SoftTpm::rsa2048().unwrap();
        }
        match self.boot_events {
            Some(count) => host.boot.events.truncate(count),
            None => fields::lengthen(&mut host.boot),
        }
        host.ima = server.ima.boot(&host.boot.pcrs());
        if buffers {
            for n in 0..4_u8 {
                host.ima
                    .push(Entry::buffer(Bank::Sha256, "kernel_version", &[b'6', b'.', n]));
            }
        }
        // One entry with all that its template has room for.
        if let Some(last) = host.ima.entries.last_mut().filter(|_| !buffers) {
            last.attachment = b"\x03\x02\x04no genuine signature".to_vec();
            last.modsig = Some((last.file_digest.clone(), b"no genuine PKCS#7".to_vec()));
            last.inode = Some(Inode {
                xattrs: vec![("security.ima".to_owned(), vec![4; 33])],
                owner: (0, 0, 0o755),
            });
        }
        host.selection = self.selection;
        host.text = self.text;
        host
    }

    pub fn subject(self) -> Subject {
        let mut host = self.host();
        let policy = match self.template {
            Template::Ima => self.without_files(),
            Template::ImaBuf => {
                // Measured data is golden when it is listed; a capture lists files.
                let captured = host.captured();
                policy(&captured.policy_toml, &(captured.list + &host.ima.digest_list()))
            }
            _ => host.policy(),
        };
        self.subject_of(host, policy)
    }

    /// No list holds the SHA-1 digests of the template `ima`: a policy for the same boot that does not ask for files.
    fn without_files(&self) -> Policy {
        let newer = Self {
            template: Template::ImaNg,
            ..*self
        };
        let captured = newer.host().captured();
        let (toml, _) = captured.policy_toml.split_once("[ima]").unwrap();
        policy(toml, "")
    }

    /// The host's honest answer, judged by a policy of its own.
    pub fn subject_of(self, mut host: Host, policy: Policy) -> Subject {
        let mut history = None;
        if self.first > 0 {
            let mut earlier = host.clone();
            earlier.ima.entries.truncate(self.first);
            history = earlier.round(&policy).history;
            host.tpm = earlier.tpm;
        }
        let covered = host.ima.entries.len() - self.behind;
        host.covered = Some(covered);
        let challenge = host.challenge(u64::try_from(self.first).unwrap());
        let evidence = host.answer(&challenge);
        let honest = host.judge(&evidence, &challenge, &policy, history.as_ref());
        assert_eq!(
            honest.verdict,
            Verdict::Affirming,
            "{}: {:?}",
            self.name,
            honest.findings
        );
        assert!(honest.findings.is_empty(), "{}", self.name);
        Subject {
            name: self.name,
            host,
            policy,
            challenge,
            evidence,
            history,
            claims: comparable(&honest.claims),
            covered: covered - self.first,
        }
    }
}

/// Claims in the form in which they are compared.
pub fn comparable(claims: &Claims) -> Value {
    serde_json::to_value(claims).unwrap()
}

/// Whether a changed log claims nothing that the honest one does not: facts may become unproven and texts may go missing,
/// and what was known to be text may count as code. Everything else stays equal.
pub fn claims_nothing_new(mut found: Value, mut honest: Value) -> bool {
    let (mut new, mut old) = (found["boot_log"].take(), honest["boot_log"].take());
    let take = |claims: &mut Value, key: &str| claims.as_object_mut().unwrap().remove(key).unwrap();
    let facts = [
        "secure_boot",
        "debug_mode",
        "dma_protection",
        "exit_boot_services",
    ]
    .map(|key| {
        let (new, old) = (take(&mut new, key), take(&mut old, key));
        new == old || ["unproven", "not-seen", "invoked"].contains(&new.as_str().unwrap())
    });
    let code = ["boot_loaders", "drivers", "firmware_blobs"].map(|key| {
        let (new, old) = (take(&mut new, key), take(&mut old, key));
        let digests = |claims: &Value| -> Vec<String> {
            let listed = claims["listed"].as_array().into_iter().flatten();
            listed.map(|code| code["digest"].to_string()).collect()
        };
        let (new, old) = (digests(&new), digests(&old));
        old.iter().all(|digest| new.contains(digest))
    });
    let equal = [
        "separators",
        "files",
        "machine_owner_keys",
        "phases",
        "grub_texts",
    ]
    .map(|key| take(&mut new, key) == take(&mut old, key));
    let mut known = BTreeSet::new();
    texts(&old, &mut known);
    let mut claimed = BTreeSet::new();
    texts(&new, &mut claimed);
    found == honest
        && facts.into_iter().chain(code).chain(equal).all(|holds| holds)
        && claimed.is_subset(&known)
}

fn texts(value: &Value, all: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, all)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, all)),
        Value::String(text) => drop(all.insert(text.clone())),
        Value::Bool(_) | Value::Number(_) | Value::Null => {}
    }
}

/// The number of entries behind the quote, which anyone can change who can change the list.
pub fn without_count_behind(mut claims: Value) -> Value {
    claims["ima"]["uncovered"] = Value::Null;
    claims
}

impl Subject {
    pub fn judge(&self, evidence: &Evidence) -> AttestationResult {
        self.host
            .judge(evidence, &self.challenge, &self.policy, self.history.as_ref())
    }

    /// The fields of the boot log, to its last byte.
    pub fn boot_fields(&self) -> Vec<Field> {
        fields::boot_log(&self.evidence.boot_log, self.host.selection)
    }

    /// The fields of the IMA list, to its last byte.
    pub fn ima_fields(&self) -> Vec<Field> {
        if self.host.text {
            fields::ima_text(&self.evidence.ima_log, self.covered)
        } else {
            fields::ima_binary(&self.evidence.ima_log, self.covered)
        }
    }

    /// Judges `count` changed copies of the evidence, half of them on another thread. `each` makes the change number n,
    /// has it judged, and puts it back; what it returns is collected in order.
    pub fn each<T: Send + Debug>(
        &self,
        count: usize,
        each: impl Fn(&mut Evidence, usize) -> Option<T> + Sync,
    ) -> Vec<T> {
        let half = |odd: usize| {
            let mut evidence = self.evidence.clone();
            (odd..count)
                .step_by(2)
                .filter_map(|n| each(&mut evidence, n))
                .collect::<Vec<T>>()
        };
        thread::scope(|scope| {
            let other = scope.spawn(|| half(1));
            let mut found = half(0);
            found.extend(other.join().unwrap());
            found
        })
    }
}
