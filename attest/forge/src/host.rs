//! A whole honest host in memory: it boots, measures and quotes; tests then change what they want to have wrong.

use crate::bank::Bank;
use crate::bootlog::{BootLog, Description, typical_server};
use crate::ima::List;
use crate::pcrs::Pcrs;
use crate::softtpm::{KeyError, Selection, SoftTpm, selected};

/// A host. Every part is public, so that an attack is one assignment.
#[derive(Debug, Clone)]
pub struct HonestHost {
    /// What it boots.
    pub description: Description,
    /// Its TPM's key and counters.
    pub tpm: SoftTpm,
    /// The boot log of this boot.
    pub boot: BootLog,
    /// The IMA list of this boot.
    pub ima: List,
    /// The PCRs as they stand.
    pub pcrs: Pcrs,
}

/// What an agent hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEvidence {
    /// TPM2B_PUBLIC of the attestation key.
    pub ak_public: Vec<u8>,
    /// TPMS_ATTEST.
    pub quote: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// The quoted values: TPM_ALG_ID of the bank, index, digest; in the order of the quote.
    pub pcrs: Vec<(u16, u8, Vec<u8>)>,
    /// The boot log.
    pub boot_log: Vec<u8>,
    /// The IMA list as text.
    pub ima_text: Vec<u8>,
    /// The same IMA list in its binary form.
    pub ima_binary: Vec<u8>,
    /// The number of the first entry in the two lists.
    pub ima_first: u64,
}

impl HonestHost {
    /// The PCRs that the product asks for by default.
    pub const USUAL_PCRS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14];

    /// A typical server, booted, with the P-256 key of `seed`. Thirty measured files keep tests quick.
    pub fn new(seed: &str) -> HonestHost {
        let mut description = typical_server();
        description.ima.files = 30;
        HonestHost::booted(SoftTpm::p256(seed), description)
    }

    /// A host with this TPM, booted as described.
    pub fn booted(tpm: SoftTpm, description: Description) -> HonestHost {
        let boot = description.boot();
        let mut pcrs = boot.pcrs();
        let ima = description.ima.boot(&pcrs);
        ima.extend(&mut pcrs);
        HonestHost {
            description,
            tpm,
            boot,
            ima,
            pcrs,
        }
    }

    /// Boots again by the description as it stands now; what ran before is forgotten.
    pub fn reboot(&mut self) {
        self.tpm.reset();
        *self = HonestHost::booted(self.tpm.clone(), self.description.clone());
    }

    /// Runs a file: IMA measures it. Nothing happens when this content was measured under this path before.
    pub fn run(&mut self, path: &str, content: &[u8]) {
        let before = self.ima.entries.len();
        self.ima.measure(path, content);
        self.extend_from(before);
    }

    /// A measured file is open for writing: IMA records a violation.
    pub fn violate(&mut self, path: &str) {
        let before = self.ima.entries.len();
        self.ima.violation(path);
        self.extend_from(before);
    }

    fn extend_from(&mut self, first: usize) {
        let banks = self.pcrs.banks();
        for entry in self.ima.entries.iter().skip(first) {
            self.pcrs.extend(entry.pcr, &entry.extends(&banks));
        }
    }

    /// Honest evidence over the usual PCRs of the SHA-256 bank.
    pub fn usual_evidence(&mut self, qualifying_data: &[u8]) -> Result<HostEvidence, KeyError> {
        self.evidence(qualifying_data, &[(Bank::Sha256, &HonestHost::USUAL_PCRS)])
    }

    /// Honest evidence over `selection`, with the whole IMA list.
    pub fn evidence(
        &mut self,
        qualifying_data: &[u8],
        selection: &Selection<'_>,
    ) -> Result<HostEvidence, KeyError> {
        self.evidence_from(qualifying_data, selection, 0)
    }

    /// Honest evidence with the IMA list from entry `ima_first` on.
    pub fn evidence_from(
        &mut self,
        qualifying_data: &[u8],
        selection: &Selection<'_>,
        ima_first: usize,
    ) -> Result<HostEvidence, KeyError> {
        self.evidence_while(qualifying_data, selection, ima_first, |_| ())
    }

    /// Honest evidence of a host on which `meanwhile` happens after the quote and before the logs are read: the IMA
    /// list then runs ahead of the quote, as it does on every busy host.
    pub fn evidence_while(
        &mut self,
        qualifying_data: &[u8],
        selection: &Selection<'_>,
        ima_first: usize,
        meanwhile: impl FnOnce(&mut HonestHost),
    ) -> Result<HostEvidence, KeyError> {
        let quote = self.tpm.quote(qualifying_data, selection, &self.pcrs)?;
        let pcrs = selected(selection, &self.pcrs)
            .map(|(bank, index, value)| (bank.id(), index, value.to_vec()))
            .collect();
        meanwhile(self);
        Ok(HostEvidence {
            ak_public: self.tpm.key.public(),
            quote: quote.attest,
            signature: quote.signature,
            pcrs,
            boot_log: self.boot.bytes(),
            ima_text: self.ima.text_from(ima_first),
            ima_binary: self.ima.binary_from(ima_first),
            ima_first: u64::try_from(ima_first).unwrap_or(u64::MAX),
        })
    }
}
