//! What proven events say about the boot, where their digests cover it.
//!
//! Event types are never asked: nothing covers them. A fact is decided by the PCR, by the order of the events within it
//! (both replayed), and by bytes whose digest was measured. What a digest covers is tried, not looked up: the logged bytes
//! as they are, or the part of them that a known program hashes. Bytes that no digest covers are never read.

use aws_lc_rs::digest::{Digest, digest};

use super::coverage::Coverage;
use super::event::BootEvent;
use super::parse::BootLog;
use super::replay::ReplayedBootLog;
use super::secure_boot::Pcr7;
use super::separator::{Separator, Separators};
use super::variable::{self, Variable};
use crate::pcr::HashAlg;

/// Longest event data that is taken for a word of the firmware's, in bytes: versions and actions are short.
const MAX_WORD: usize = 512;

/// Where a PCR's separator stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The PCR was not quoted.
    NotQuoted,
    /// Exactly one, a normal one.
    Once,
    /// None.
    Missing,
    /// More than one.
    Several,
    /// One that tells of an error, or that is one in some banks only.
    Error,
}

/// How far the firmware said that it handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// PCR 5 was not quoted.
    NotQuoted,
    /// Nothing said.
    NotSeen,
    /// Asked for, no answer logged.
    Invoked,
    /// It failed, and no later attempt succeeded.
    Failed,
    /// It succeeded.
    Succeeded,
}

/// The facts of a log, found when they are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'l, 'a> {
    log: &'l BootLog<'a>,
    coverage: Coverage,
    separators: Separators,
    actions: Vec<(HashAlg, Digest)>,
    /// Read once: its variables are most of what a log holds, and every use would hash them again.
    pcr7: Pcr7<'a>,
}

/// What firmware says in PCR 4 and 5 (PC Client profile, EV_EFI_ACTION).
const ACTIONS: [&str; 5] = [
    "Calling EFI Application from Boot Option",
    "Returning from EFI Application from Boot Option",
    "Exit Boot Services Invocation",
    "Exit Boot Services Returned with Failure",
    "Exit Boot Services Returned with Success",
];

impl<'l, 'a> Facts<'l, 'a> {
    pub(super) fn new(log: &'l BootLog<'a>, coverage: Coverage) -> Self {
        // One bank tells: what it says is compared with the logged data, in every bank.
        let bank = coverage.shown_bank(5).or_else(|| coverage.shown_bank(4));
        let mut facts = Self {
            log,
            coverage,
            separators: Separators::new(&coverage),
            actions: bank
                .into_iter()
                .flat_map(|bank| ACTIONS.map(|action| (bank, digest(bank.algorithm(), action.as_bytes()))))
                .collect(),
            pcr7: Pcr7::default(),
        };
        facts.pcr7 = Pcr7::read(&facts);
        facts
    }

    /// Facts of a proven log.
    pub(crate) fn of(log: &'l ReplayedBootLog<'a>) -> Self {
        Self::new(log.log(), *log.coverage())
    }

    /// Which registers are proven.
    pub(crate) fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Whether a register is proven in any bank.
    pub(crate) fn quotes(&self, index: u8) -> bool {
        self.coverage.banks(index).next().is_some()
    }

    /// The proven events of a PCR.
    pub(crate) fn events(&self, index: u8) -> impl Iterator<Item = &'l BootEvent<'a>> + use<'l, 'a> {
        let proven = self.quotes(index);
        self.log
            .events()
            .iter()
            .filter(move |event| proven && event.pcr == u32::from(index) && event.is_extended())
    }

    /// How many events are proven, in whatever PCR.
    pub(crate) fn proven_events(&self) -> usize {
        let quoted = |event: &&BootEvent<'_>| u8::try_from(event.pcr).is_ok_and(|index| self.quotes(index));
        let events = self.log.events().iter();
        events.filter(|event| event.is_extended()).filter(quoted).count()
    }

    /// What a separator says, if an event is one.
    pub(crate) fn separator(&self, event: &BootEvent<'_>) -> Option<Separator> {
        self.separators.kind(event, &self.coverage)
    }

    /// Whether the event's digests cover exactly these bytes.
    pub(crate) fn covers(&self, event: &BootEvent<'_>, bytes: &[u8]) -> bool {
        self.coverage.covers(event, bytes)
    }

    /// The event's text, if its data is one and its digest covers it, with or without the zero at its end.
    pub(crate) fn word(&self, event: &BootEvent<'a>) -> Option<String> {
        let text = variable::text(event.data).filter(|_| event.data.len() <= MAX_WORD)?;
        let bare = event.data.strip_suffix(b"\0").unwrap_or(event.data);
        (self.covers(event, event.data) || (bare.len() < event.data.len() && self.covers(event, bare)))
            .then_some(text)
    }

    /// How a firmware PCR (0 to 7) was closed.
    pub(crate) fn closing(&self, index: u8) -> Closing {
        if !self.quotes(index) {
            return Closing::NotQuoted;
        }
        let mut closing = Closing::Missing;
        for event in self.events(index) {
            closing = match (self.separator(event), closing) {
                (None, before) => before,
                (Some(Separator::Error | Separator::Torn), _) | (_, Closing::Error) => Closing::Error,
                (Some(Separator::Normal), Closing::Missing) => Closing::Once,
                (Some(Separator::Normal), _) => Closing::Several,
            };
        }
        closing
    }

    /// What the firmware measured into a PCR before it closed it.
    pub(crate) fn before_separator(&self, index: u8) -> impl Iterator<Item = &'l BootEvent<'a>> {
        self.events(index)
            .take_while(|event| self.separator(event).is_none())
    }

    /// Words of the firmware in PCR 0, before its separator: its version, and what it says of its parts.
    pub(crate) fn firmware_words(&self) -> impl Iterator<Item = String> {
        self.before_separator(0)
            .filter_map(|event| self.word(event))
            .filter(|word| !word.is_empty())
    }

    /// Measurements of PCR 0 before its separator that are no words: firmware volumes, tables, microcode.
    pub(crate) fn firmware_blobs(&self) -> usize {
        self.before_separator(0)
            .filter(|event| self.word(event).is_none())
            .count()
    }

    /// Code in PCR 2 or 4: whatever was measured there that is neither separator nor text. No program that the firmware
    /// loads could pass for text: the digest of an image covers its header, which has zeros. Each with its position among the
    /// PCR's measurements.
    pub(crate) fn code(&self, index: u8) -> impl Iterator<Item = (usize, &'l BootEvent<'a>)> {
        self.events(index)
            .enumerate()
            .filter(|(_, event)| self.separator(event).is_none() && self.word(event).is_none())
    }

    /// Texts that the firmware measured into PCR 1 to 6: setup words, boot attempts, ExitBootServices.
    pub(crate) fn actions(&self) -> impl Iterator<Item = (u8, String)> {
        (1..=6).flat_map(move |index| {
            self.events(index)
                .filter_map(move |event| Some((index, self.word(event).filter(|word| !word.is_empty())?)))
        })
    }

    /// How ExitBootServices went.
    pub(crate) fn exit_boot_services(&self) -> Exit {
        if !self.quotes(5) {
            return Exit::NotQuoted;
        }
        let mut exit = Exit::NotSeen;
        for word in self.events(5).filter_map(|event| self.word(event)) {
            exit = match (word.as_str(), exit) {
                ("Exit Boot Services Returned with Success", _) | (_, Exit::Succeeded) => Exit::Succeeded,
                ("Exit Boot Services Returned with Failure", _) => Exit::Failed,
                ("Exit Boot Services Invocation", Exit::NotSeen) => Exit::Invoked,
                (_, before) => before,
            };
        }
        exit
    }

    /// Descriptions of boot entries (the Boot#### variables of PCR 1). Most firmware measures a variable's value alone, so
    /// its name is not told.
    pub(crate) fn boot_entries(&self) -> impl Iterator<Item = String> {
        self.before_separator(1).filter_map(|event| {
            let variable = Variable::read(event.data)?;
            let text = variable::load_option(variable.value)?;
            (self.covers(event, variable.value) || self.covers(event, event.data)).then_some(text)
        })
    }

    /// Partition tables in PCR 5: the disk's GUID and its partitions.
    pub(crate) fn disks(&self) -> impl Iterator<Item = (variable::Guid, u64)> {
        self.events(5).filter_map(|event| {
            let found = variable::gpt(event.data)?;
            self.covers(event, event.data).then_some(found)
        })
    }

    /// A Boolean variable of PCR 1 or 7 that firmware measured under its name before it closed the PCR.
    pub(crate) fn mode(&self, name: &str) -> Option<bool> {
        let mut found = [1, 7]
            .into_iter()
            .flat_map(|index| self.before_separator(index))
            .filter_map(|event| {
                let variable = Variable::read(event.data)
                    .filter(|it| it.guid == variable::GLOBAL && it.is_named(name))?;
                self.covers(event, event.data).then_some(variable.value)
            });
        match (found.next(), found.next()) {
            (Some([value @ (0 | 1)]), None) => Some(*value == 1),
            _ => None,
        }
    }

    /// Events whose data is not what was measured though it must be: in PCR 7 nothing is measured that is not logged, and
    /// a separator or a well-known action is known by its digest. Neither asks for the event's type.
    pub(crate) fn contradictions(&self) -> Vec<&'l BootEvent<'a>> {
        let mut found: Vec<&'l BootEvent<'a>> = Vec::new();
        for event in (0..=6).flat_map(|index| self.events(index)) {
            let untrue = match self.separator(event) {
                // In PCR 0 four zero bytes may be what a part of the firmware holds.
                Some(Separator::Normal) => {
                    event.pcr != 0 && !matches!(event.data, [0, 0, 0, 0] | [0xff, 0xff, 0xff, 0xff])
                }
                Some(Separator::Error) => false,
                Some(Separator::Torn) => true,
                None => self.is_action(event) && self.word(event).is_none(),
            };
            if untrue {
                found.push(event);
            }
        }
        let unexplained = &self.pcr7.unexplained;
        found.extend(
            self.events(7)
                .filter(|event| unexplained.binary_search(&event.number).is_ok()),
        );
        found
    }

    /// Whether the digest is that of a well-known action.
    fn is_action(&self, event: &BootEvent<'_>) -> bool {
        matches!(event.pcr, 4 | 5)
            && self
                .actions
                .iter()
                .any(|(bank, action)| event.digest(*bank) == Some(action.as_ref()))
    }

    /// What PCR 7 says of Secure Boot.
    pub(crate) fn secure_boot(&self) -> &Pcr7<'a> {
        &self.pcr7
    }
}
