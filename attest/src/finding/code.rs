//! The table of finding codes: what each means, what to do, how grave it is.

use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;
use crate::verdict::Verdict::{Contraindicated, Indeterminate, Warning};

/// Within what a policy may change a code's gravity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// Nothing was proven, so nothing may be concluded: silence and garbage condemn nobody and please nobody.
    Fixed,
    /// A proof failed, or evidence is missing: a policy may take it graver, never lighter.
    RaiseOnly,
    /// A proven fact: the operator decides between warning, indeterminate and contraindicated.
    Free,
}

macro_rules! codes {
    ($($variant:ident = $name:literal, $gravity:ident, $bounds:ident, $meaning:literal, $remedy:literal;)*) => {
        /// What kind of thing was found. The text form is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`: [`Code::meaning`] says what it means.")] #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the ladder.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$variant => $meaning,)* }
            }

            /// What to do about it.
            pub fn remedy(self) -> &'static str {
                match self { $(Code::$variant => $remedy,)* }
            }

            /// How grave it is where the policy says nothing.
            pub fn gravity(self) -> Verdict {
                match self { $(Code::$variant => $gravity,)* }
            }

            /// How far a policy may change that.
            pub fn bounds(self) -> Bounds {
                match self { $(Code::$variant => Bounds::$bounds,)* }
            }
        }
    };
}

codes! {
    AgentUnreachable = "agent-unreachable", Indeterminate, Fixed,
        "The host's agent could not be reached: silence. Nothing is known about the host, and nothing is held against it.",
        "See whether the host is up. On it, run lazaret-agent check; look at the network between it and the verifier.";
    AgentLate = "agent-late", Indeterminate, Fixed,
        "The host's agent took the connection but did not answer in time.",
        "Look at the agent's log and at the host's load. A hanging TPM shows in the kernel's log.";
    AgentOtherKey = "agent-other-key", Indeterminate, Fixed,
        "Whoever answers at the agent's address does not hold the TLS key that was pinned at enrolment.",
        "Find out who answers there. If the agent's key was made anew, enrol the host again with --accept-new-key.";
    AgentRefusesVerifier = "agent-refuses-verifier", Indeterminate, Fixed,
        "The host's agent does not accept this verifier's TLS key.",
        "Put the pin that lazaret identity prints into verifier_pins of the agent's configuration, and restart the agent.";
    AgentRefused = "agent-refused", Indeterminate, Fixed,
        "The host's agent answered that it cannot give evidence.",
        "The text says why. On the host, run lazaret-agent check.";
    AgentGarbled = "agent-garbled", Indeterminate, Fixed,
        "The host's agent sent an answer that the protocol does not allow.",
        "Compare the versions of daemon and agent; look at what stands between them.";
    PolicyRolledBack = "policy-rolled-back", Indeterminate, Fixed,
        "The signed policy for this host is older than one that was in use, or has the same version and other content: somebody put an old policy back. Nothing was appraised by it.",
        "Find out who replaced the file. To return to an older content on purpose, sign it with a higher version than the highest one seen.";
    KeyUnusable = "key-unusable", Indeterminate, Fixed,
        "The attestation key stored for this host cannot be read or is of a kind that may not sign quotes.",
        "Enrol the host again. If the stored key was fine before, restore the database from a backup.";
    QuoteGarbled = "quote-garbled", Indeterminate, Fixed,
        "The quote or its signature is not in the TPM's format.",
        "Look at the agent's log on the host and at what stands between it and the verifier; update the agent.";
    QuoteSignatureInvalid = "quote-signature-invalid", Indeterminate, Fixed,
        "The quote was not signed by the attestation key that was pinned at enrolment, or was changed on its way.",
        "If the host's TPM or mainboard was replaced, enrol it again with --accept-new-key. If not, find out who answers for this host.";
    QuoteNotAQuote = "quote-not-a-quote", Indeterminate, Fixed,
        "The TPM signed something, but it is no quote of PCRs.",
        "Look at the agent's log on the host; reinstall the agent from a trusted package.";
    QuoteNotForThisChallenge = "quote-not-for-this-challenge", Indeterminate, Fixed,
        "The quote is genuine but answers another question: another nonce, another host's name or another TLS key.",
        "Ask again. If it repeats, old answers are being replayed or another host's are relayed: look at the network path and at the agent.";
    QuoteSelectionDiffers = "quote-selection-differs", Indeterminate, Fixed,
        "The TPM signed other PCRs or banks than were asked for.",
        "See with tpm2_pcrread which banks the TPM keeps, and set appraisal.pcrs accordingly.";
    QuoteOtherIdentity = "quote-other-identity", Indeterminate, Fixed,
        "The quote's signer field does not name the pinned attestation key.",
        "Enrol the host again with --accept-new-key if its TPM was replaced; otherwise find out who answers for it.";
    PcrValuesDiffer = "pcr-values-differ", Indeterminate, Fixed,
        "The PCR values sent along are not those that the TPM signed.",
        "Ask again: PCRs may have moved while they were read. If it repeats, look at the agent's log.";
    ResetCountFell = "reset-count-fell", Contraindicated, RaiseOnly,
        "The TPM's signed count of resets is lower than an earlier signed one. A TPM's state was rolled back or cleared.",
        "If an operator cleared the TPM, enrol the host again. If not, treat the host as compromised.";
    RestartCountFell = "restart-count-fell", Contraindicated, RaiseOnly,
        "Within one boot the TPM's signed count of restarts is lower than an earlier signed one.",
        "A TPM's state was rolled back: treat the host as compromised. A software TPM restored from a snapshot does this as well.";
    ClockFell = "clock-fell", Contraindicated, RaiseOnly,
        "Within one boot the TPM's signed clock stands earlier than before. A genuine TPM's clock only goes forward.",
        "A TPM's state was rolled back: treat the host as compromised. A software TPM restored from a snapshot does this as well.";
    FirmwareVersionChanged = "firmware-version-changed", Warning, Free,
        "The TPM's firmware is another version than last time.",
        "Make sure that an update of the TPM's firmware was planned. It is reported once.";
    BootPcrsUnextended = "boot-pcrs-unextended", Indeterminate, RaiseOnly,
        "All quoted boot PCRs of a bank still have their reset value: the firmware measured nothing into it.",
        "Turn measured boot on in the firmware's setup, and switch off PCR banks that the firmware does not use.";
    PcrNotQuoted = "pcr-not-quoted", Indeterminate, Fixed,
        "The policy has golden values for a PCR that was not asked for.",
        "Add the PCR to appraisal.pcrs, or take its values out of the policy.";
    PcrNotGolden = "pcr-not-golden", Contraindicated, Free,
        "A PCR that the TPM signed has a value that the policy does not list.",
        "Read the boot log findings beside it. If the change was planned, capture golden values again; if not, treat the host as compromised.";
    BootLogMissing = "boot-log-missing", Indeterminate, RaiseOnly,
        "The boot log is empty although boot PCRs were extended.",
        "See that /sys/kernel/security/tpm0/binary_bios_measurements is there and not empty. grub without Secure Boot leaves it empty: let it chainload the kernel's EFI stub.";
    BootLogGarbled = "boot-log-garbled", Indeterminate, Fixed,
        "The boot log is not in the TCG's format or is cut.",
        "Read binary_bios_measurements on the host with tpm2_eventlog; look for a firmware update.";
    BootLogBankMissing = "boot-log-bank-missing", Indeterminate, Fixed,
        "The boot log has no digests for a PCR bank that was quoted.",
        "Set appraisal.pcrs to a bank that the firmware logs, or switch the bank on in the firmware's setup.";
    BootLogReplayMismatch = "boot-log-replay-mismatch", Contraindicated, RaiseOnly,
        "The boot log does not lead to the PCR value that the TPM signed: events were changed, left out or added.",
        "Treat the host as compromised, unless its firmware is known to log wrongly (compare with tpm2_eventlog after a clean boot).";
    BootLogPcrWithoutEvents = "boot-log-pcr-without-events", Contraindicated, Free,
        "A PCR for which the policy lists boot measurements was not measured into at all.",
        "A stage of the boot was skipped or replaced. Compare with the boot log of a good host.";
    BootEventDataDiffers = "boot-event-data-differs", Warning, RaiseOnly,
        "An event's data does not have the digest that was measured, for a kind of event whose digest is that of its data.",
        "The log's text was changed, or the firmware logs wrongly. Do not trust what this event says.";
    BootEventNotGolden = "boot-event-not-golden", Contraindicated, Free,
        "Something was measured during boot that the policy does not list for this PCR.",
        "If firmware, boot loader, kernel, initrd or command line were updated, capture golden values again; if not, treat the host as compromised.";
    SecureBootOff = "secure-boot-off", Contraindicated, Free,
        "The firmware measured that Secure Boot is off, and the policy requires it.",
        "Switch Secure Boot on in the firmware's setup and find out who switched it off.";
    SecureBootUnproven = "secure-boot-unproven", Indeterminate, RaiseOnly,
        "The policy requires Secure Boot, and the boot log does not prove its state.",
        "PCR 7 must be quoted, and the log must hold the SecureBoot variable exactly once before PCR 7's separator.";
    BootDebugMode = "boot-debug-mode", Contraindicated, Free,
        "The firmware measured that a debugger may stop it (UEFI Debug Mode), and the policy forbids it.",
        "Switch debugging off in the firmware's setup. If nobody switched it on, treat the host as compromised.";
    BootDmaProtectionOff = "boot-dma-protection-off", Contraindicated, Free,
        "The firmware measured that devices could write to memory during boot (DMA Protection Disabled), and the policy requires protection.",
        "Switch kernel DMA protection (IOMMU, VT-d) on in the firmware's setup.";
    BootOptionRom = "boot-option-rom", Contraindicated, Free,
        "Code of a plugged-in card or a driver was measured into PCR 2, and the policy allows none.",
        "Find the card. If it was added on purpose, list its digest under drivers; if not, treat the host as compromised.";
    BootDriverNotAllowed = "boot-driver-not-allowed", Contraindicated, Free,
        "A driver or option ROM was measured into PCR 2 that the policy does not list.",
        "If firmware or a card was updated on purpose, add the digest to drivers; if not, treat the host as compromised.";
    BootLoaderNotAllowed = "boot-loader-not-allowed", Contraindicated, Free,
        "An image was measured into PCR 4 that the policy does not list: a boot loader, a kernel, or another program that the firmware started.",
        "If it was updated on purpose, add its Authenticode digest to boot_loaders; if not, treat the host as compromised.";
    BootSeparatorWrong = "boot-separator-wrong", Contraindicated, Free,
        "A PCR that the firmware must close with one separator has none, several, or one that tells of an error.",
        "Look for a firmware update, and compare with a good host. A missing separator lets later code measure in the firmware's name.";
    BootFirmwareVersionNotAllowed = "boot-firmware-version-not-allowed", Contraindicated, Free,
        "The measured version of the firmware is none of those that the policy lists.",
        "If the firmware was updated on purpose, add its version to firmware_versions; if not, treat the host as compromised.";
    BootKeyNotAllowed = "boot-key-not-allowed", Contraindicated, Free,
        "A Secure Boot variable (PK, KEK, db or dbx) was measured with a value that the policy does not list.",
        "If keys or revocations were updated on purpose, add the value's SHA-256; if not, find out who enrolled keys.";
    BootDbxLacksHash = "boot-dbx-lacks-hash", Contraindicated, Free,
        "The measured revocation database (dbx) does not hold an image digest that the policy demands: it is older than required.",
        "Update dbx on the host (fwupdmgr update, or the maker's firmware update).";
    BootAuthorityNotAllowed = "boot-authority-not-allowed", Contraindicated, Free,
        "A certificate or digest that the policy does not list let an image start under Secure Boot.",
        "If the boot loader's signer changed on purpose, add the SHA-256 to authorities; if not, treat the host as compromised.";
    BootSbatTooOld = "boot-sbat-too-old", Contraindicated, Free,
        "The measured SBAT level lacks a component that the policy demands, or has it at a lower generation.",
        "Update shim on the host, and see with mokutil --list-sbat-revocations that it applied the newer level.";
    BootCommandLineNotAllowed = "boot-command-line-not-allowed", Contraindicated, Free,
        "The kernel was started with a command line that the policy does not list.",
        "If it was changed on purpose, add the line to command_lines; if not, treat the host as compromised.";
    BootCommandLineLacksWord = "boot-command-line-lacks-word", Contraindicated, Free,
        "A measured kernel command line lacks a word that the policy requires.",
        "Correct the boot loader's configuration on the host and find out who changed it.";
    BootCommandLineForbiddenWord = "boot-command-line-forbidden-word", Contraindicated, Free,
        "A measured kernel command line has a word that the policy forbids.",
        "Correct the boot loader's configuration on the host and find out who changed it; if nobody did, treat the host as compromised.";
    BootInitrdNotMeasured = "boot-initrd-not-measured", Contraindicated, Free,
        "None of the initrds that the policy lists was measured into PCR 9.",
        "If the initrd was made anew on purpose, add its digest to initrds; if not, treat the host as compromised.";
    BootFileNotAllowed = "boot-file-not-allowed", Contraindicated, Free,
        "Something was measured into PCR 9 that is none of the initrds, files and command lines that the policy lists.",
        "If the boot loader's configuration, kernel or initrd was updated on purpose, add the digest to files or initrds; if not, treat the host as compromised.";
    BootClaimUnproven = "boot-claim-unproven", Indeterminate, RaiseOnly,
        "A rule of the policy's [boot] section needs a fact that the quoted PCRs and the boot log do not prove.",
        "The finding says what is missing. The PCR must be quoted in a bank that the rule's digests have, and the log must hold the data that was measured.";
    ImaListMissing = "ima-list-missing", Indeterminate, RaiseOnly,
        "The IMA list is empty although PCR 10 was extended.",
        "See that /sys/kernel/security/integrity/ima/binary_runtime_measurements can be read by the agent.";
    ImaListGarbled = "ima-list-garbled", Indeterminate, Fixed,
        "The IMA list is in no format of the kernel's, or is cut inside an entry.",
        "Look at the agent's log; read ascii_runtime_measurements on the host.";
    ImaFullListNeeded = "ima-full-list-needed", Indeterminate, Fixed,
        "The slice of the IMA list cannot be joined to what was appraised before: another boot, policy or key, or another slice than asked for.",
        "Nothing to do: the next challenge asks for the whole list.";
    ImaListTrimmed = "ima-list-trimmed", Indeterminate, RaiseOnly,
        "The head of the IMA list is not there: a kernel that trims its list dropped it, or somebody cut it off. No earlier round of this boot, policy and key covers it.",
        "Reboot the host, and let the list be trimmed only up to what a round has covered. A policy may take it graver where no kernel trims.";
    ImaReplayMismatch = "ima-replay-mismatch", Contraindicated, RaiseOnly,
        "No prefix of the whole IMA list leads to the PCR 10 that the TPM signed: entries were changed, left out, reordered or added.",
        "Treat the host as compromised. A kexec that did not carry the list over, or a list trimmed by the kernel, does this as well.";
    ImaReplayUnclear = "ima-replay-unclear", Indeterminate, RaiseOnly,
        "No prefix of the whole IMA list leads to the PCR 10 that the TPM signed, but the TPM was restarted within this boot: a hibernated machine goes on with its old list over a new PCR 10.",
        "Reboot the host, and do not hibernate hosts. If it comes back, treat the host as compromised.";
    ImaSha1Only = "ima-sha1-only", Warning, Free,
        "Only SHA-1 ties the IMA list to the quote: no other bank was quoted, or the kernel (before 5.8, or without the bank's algorithm) extends it with padded SHA-1. Whoever has both made can let one entry pass for another.",
        "Quote PCR 10 of the SHA-256 bank, and boot a kernel that extends each bank with its own digest.";
    ImaNothingMeasured = "ima-nothing-measured", Indeterminate, RaiseOnly,
        "The policy requires IMA, and since boot PCR 10 was not extended with any file.",
        "Boot with an IMA policy (such as ima_policy=tcb) and with the TPM's driver built into the kernel.";
    ImaLag = "ima-lag", Indeterminate, RaiseOnly,
        "The IMA list held entries in an earlier round of this boot that the quote still does not cover: the kernel lists files without extending PCR 10.",
        "Look in the kernel's log for a TPM that failed or whose driver was unbound. Reboot the host; if it comes back, treat the host as compromised.";
    ImaBootAggregateMissing = "ima-boot-aggregate-missing", Indeterminate, RaiseOnly,
        "The IMA list does not begin with boot_aggregate, as every kernel's does.",
        "Find out what extended PCR 10 before the kernel did; reboot the host.";
    ImaBootAggregateDiffers = "ima-boot-aggregate-differs", Contraindicated, RaiseOnly,
        "The IMA list's first entry is not the digest of the boot PCRs that the TPM signed with it.",
        "The list belongs to another boot, or boot PCRs were extended later. Treat the host as compromised if a reboot does not cure it.";
    ImaBootAggregateUnproven = "ima-boot-aggregate-unproven", Warning, Free,
        "The PCRs that boot_aggregate is made from were not quoted, so it could not be compared.",
        "Add sha256:0-9 to appraisal.pcrs (sha1:0-7 where the kernel runs with ima_hash=sha1).";
    ImaKexec = "ima-kexec", Indeterminate, Free,
        "A second boot_aggregate: another kernel was started by kexec, so the boot PCRs do not describe the one that runs.",
        "Reboot the host through its firmware. Allow kexec in the policy only if you mean it.";
    ImaPolicyLoaded = "ima-policy-loaded", Indeterminate, Free,
        "Rules of what is measured were loaded after the kernel's start, and the policy does not list them. What they leave out is not seen.",
        "If the rules were changed on purpose, add their digest to [ima] policies; if not, treat the host as compromised.";
    ImaEntryOtherPcr = "ima-entry-other-pcr", Warning, Free,
        "An entry of the IMA list belongs to another PCR than 10. PCR 10 does not prove it, so it was not appraised.",
        "Take pcr= out of the host's IMA policy.";
    ImaTemplateUnknown = "ima-template-unknown", Indeterminate, Free,
        "An entry uses a template that is not understood here, so what was measured is not known.",
        "Use ima_template ima-ng or ima-sig.";
    ImaViolation = "ima-violation", Warning, Free,
        "A file was measured while it was open for writing: its digest is not known. The path is not authentic.",
        "Find the program that writes the file while it is used; exclude logs from the host's IMA policy.";
    ImaViolationProtected = "ima-violation-protected", Indeterminate, Free,
        "A file below a protected path was measured while it was open for writing, or was written while it was used. The path is the list's word: nothing signs it.",
        "Find out what writes there while it is used. If nothing should, treat the host as compromised.";
    ImaAlgorithmUnsuitable = "ima-algorithm-unsuitable", Indeterminate, Free,
        "A file was measured with a hash algorithm that the policy has no golden digests in.",
        "Boot with ima_hash=sha256, or add digests of that algorithm (sha384, sha512) to the list.";
    ImaDigestKind = "ima-digest-kind", Indeterminate, Free,
        "A file was measured by a digest of another kind than the policy lists: the root of fs-verity's tree is no digest of the content.",
        "Let the host's IMA policy measure contents, or sign the files and list the key under [ima] keyrings.";
    ImaSignatureRefused = "ima-signature-refused", Contraindicated, Free,
        "A file that the policy does not list lies where signed files are accepted, but no valid key of the allowed keyrings signed what was measured.",
        "If the file was installed on purpose, sign it or add its digest to the list; if not, treat the host as compromised.";
    ImaKeyAfterUse = "ima-key-after-use", Warning, Free,
        "A key was added to one of the kernel's keyrings after a file that it signed was used: the kernel itself could not have checked it then.",
        "Load the keys early in the boot (dracut, the kernel's built-in keys), and find out who added this one.";
    ImaKeyNotGolden = "ima-key-not-golden", Warning, Free,
        "A key was added to one of the kernel's keyrings that neither the policy's keyrings nor its lists hold.",
        "If it was added on purpose, put it into a keyring of the policy, or its digest with the keyring's name into a list.";
    ImaDataNotGolden = "ima-data-not-golden", Warning, Free,
        "The kernel measured data that it holds critical (a device mapping, SELinux's state, its version), and the policy does not list it.",
        "If it is as it should be, add its digest with the event's name to the policy's list.";
    ImaBlindSpot = "ima-blind-spot", Warning, Free,
        "A file that lies in memory was run or read (memfd, /dev/shm, /run). This one was measured; the kernel's built-in rules leave out file systems in memory, so others may not have been.",
        "Load an IMA policy that measures file systems in memory as well, and mount them noexec.";
    ImaFileUnknown = "ima-file-unknown", Contraindicated, Free,
        "A file was measured that the policy does not know.",
        "If it was installed on purpose, add its digest to the policy's list; if not, treat the host as compromised.";
    ImaFileNotGolden = "ima-file-not-golden", Contraindicated, Free,
        "A known file was measured with other content than the policy lists.",
        "If it was updated on purpose, add the new digest to the policy's list; if not, treat the host as compromised.";
    GoldenValueExpired = "golden-value-expired", Warning, Free,
        "A component of the host is as an alternative of the policy says whose time is over; no valid alternative explains it whole.",
        "Update the host. If the old version may stay, give its alternative a later until; make this graver if old versions are dangerous.";
    GoldenValueNotYetValid = "golden-value-not-yet-valid", Warning, Free,
        "A component of the host is as an alternative of the policy says whose time has not come; no valid alternative explains it whole.",
        "The host was updated early: see whether that was planned, and give the alternative an earlier from.";
    ComponentMixed = "component-mixed", Warning, Free,
        "A component of the host is partly as one alternative says and partly as another, such as an old kernel with a new initrd.",
        "See whether an update was interrupted; finish it and reboot. If the parts belong together, list them in one alternative.";
}

impl Code {
    /// Whether one missing golden value, or one rule that is wrong in a policy, can be all there is behind it: it is a
    /// proven fact held against what the operator wrote. A proof that failed is not.
    pub fn could_be_missing_value(self) -> bool {
        match self.bounds() {
            Bounds::Free => true,
            Bounds::Fixed | Bounds::RaiseOnly => false,
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is no finding code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no finding code; docs/findings.md lists them")]
pub struct UnknownCode(pub String);

impl std::str::FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Code::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| UnknownCode(text.to_owned()))
    }
}
