//! A TCG boot event log: an ordered list of events that knows its bytes and the PCRs it leads to.

pub mod data;
pub mod event;
pub mod modern;
pub mod server;

use serde::{Deserialize, Serialize};

use crate::bank::Bank;
use crate::bootlog::data::{Out, spec_id_event, startup_locality_event};
use crate::bootlog::event::{Event, EventType, Measured};
use crate::pcrs::{Digests, Pcrs};

pub use server::{Description, Loader, typical_server};

/// How the log is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogForm {
    /// `TCG_PCR_EVENT2` records with a digest for each bank, after a Spec ID event.
    CryptoAgile,
    /// `TCG_PCClientPCREvent` records with one SHA-1 digest, as TPM 1.2 firmware wrote; no Spec ID event.
    Sha1Only,
    /// Not at all: PCRs are extended, and the log is empty. So GRUB's `linux` leaves it without Secure Boot, as the
    /// kernel's EFI stub does not run then.
    Missing,
}

/// A boot log.
#[derive(Debug, Clone)]
pub struct BootLog {
    /// The banks that the firmware extends.
    pub banks: Vec<Bank>,
    /// How the log is written down.
    pub form: LogForm,
    /// The locality that started the TPM, when it is not 0: recorded in the log, and the start of PCR 0.
    pub startup_locality: Option<u8>,
    /// The events, without the Spec ID and StartupLocality events, which `bytes` adds.
    pub events: Vec<Event>,
}

impl BootLog {
    /// An empty crypto-agile log.
    pub fn new(banks: &[Bank]) -> BootLog {
        BootLog {
            banks: banks.to_vec(),
            form: LogForm::CryptoAgile,
            startup_locality: None,
            events: Vec::new(),
        }
    }

    /// Adds an event whose digest covers its own data.
    pub fn measure(&mut self, pcr: u8, kind: EventType, data: &[u8]) -> &mut BootLog {
        self.push(Event {
            pcr,
            kind,
            measured: Measured::Data,
            data: data.to_vec(),
        })
    }

    /// Adds an event whose digest covers `content`, while the log only says `data`.
    pub fn measure_as(&mut self, pcr: u8, kind: EventType, data: &[u8], content: &[u8]) -> &mut BootLog {
        self.push(Event {
            pcr,
            kind,
            measured: Measured::Content(content.to_vec()),
            data: data.to_vec(),
        })
    }

    /// Adds an event.
    pub fn push(&mut self, event: Event) -> &mut BootLog {
        self.events.push(event);
        self
    }

    /// The log as firmware and kernel hand it out (`binary_bios_measurements`).
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Out::new();
        if self.form == LogForm::Missing {
            return Vec::new();
        }
        if self.form == LogForm::CryptoAgile {
            out.sha1_record(0, EventType::NO_ACTION, &[0; 20], &spec_id_event(&self.banks));
        }
        if let Some(locality) = self.startup_locality {
            let data = startup_locality_event(locality);
            let zeros = self
                .banks
                .iter()
                .map(|&bank| (bank, vec![0; bank.digest_len()]))
                .collect();
            self.record(&mut out, 0, EventType::NO_ACTION, &zeros, &data);
        }
        for event in &self.events {
            self.record(
                &mut out,
                event.pcr,
                event.kind,
                &event.digests(&self.banks),
                &event.data,
            );
        }
        out.into_bytes()
    }

    fn record(&self, out: &mut Out, pcr: u8, kind: EventType, digests: &Digests, data: &[u8]) {
        match self.form {
            LogForm::CryptoAgile | LogForm::Missing => out.event2_record(pcr, kind, digests, data),
            LogForm::Sha1Only => {
                let digest = digests.get(&Bank::Sha1).cloned().unwrap_or_else(|| vec![0; 20]);
                out.sha1_record(pcr, kind, &digest, data);
            }
        }
    }

    /// What is extended, in order: PCR and a digest for each bank. Events of type EV_NO_ACTION extend nothing.
    pub fn extends(&self) -> Vec<(u8, Digests)> {
        self.events
            .iter()
            .filter(|event| event.kind != EventType::NO_ACTION)
            .map(|event| (event.pcr, event.digests(&self.banks)))
            .collect()
    }

    /// The PCRs that the log leads to, from TPM2_Startup(CLEAR) on.
    pub fn pcrs(&self) -> Pcrs {
        let mut pcrs = Pcrs::at_startup(&self.banks, self.startup_locality.unwrap_or(0));
        for (pcr, digests) in self.extends() {
            pcrs.extend(pcr, &digests);
        }
        pcrs
    }
}
