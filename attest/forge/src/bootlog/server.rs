//! The plain description of a server's boot, and the log that such a boot leaves.

use serde::{Deserialize, Serialize};

use crate::bank::Bank;
use crate::bootlog::data::{
    EFI_GLOBAL, EFI_IMAGE_SECURITY, Out, SHIM_LOCK, certificate_list, digest_list, efi_variable, file_path,
    firmware_blob, gpt, image_load, load_option, tagged,
};
use crate::bootlog::event::EventType;
use crate::bootlog::{BootLog, LogForm};
use crate::ima;

/// What boots the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loader {
    /// shim, then GRUB, which measures its commands and files into PCR 8 and 9.
    ShimGrub,
    /// The firmware starts the kernel's EFI stub, which measures command line and initrd into PCR 9.
    Stub,
}

/// An event that the preset does not have.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraEvent {
    /// The PCR that is extended.
    pub pcr: u8,
    /// The number of the event type.
    pub event_type: u32,
    /// The data in the log.
    pub data: String,
    /// What the digest covers, when it is not the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// A host's boot in plain words.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Description {
    /// PCR banks to extend; for a TPM in the lab, empty means the banks that are active in it.
    pub banks: Vec<Bank>,
    /// How the boot log is written down.
    pub log_form: LogForm,
    /// The locality that started the TPM: 0, or 3 on machines with a hardware root of trust.
    pub startup_locality: u8,
    /// The make of the machine: hosts of the same make have the same firmware, disks and boot entries.
    pub machine: String,
    /// Firmware version.
    pub firmware: String,
    /// Whether Secure Boot is on.
    pub secure_boot: bool,
    /// What boots the kernel.
    pub loader: Loader,
    /// Kernel release.
    pub kernel: String,
    /// Kernel command line.
    pub command_line: String,
    /// What IMA measures while the host comes up.
    pub ima: ima::Description,
    /// Events after those of the preset.
    #[serde(rename = "event", skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<ExtraEvent>,
}

impl Default for Description {
    fn default() -> Description {
        typical_server()
    }
}

/// A rack server with Debian: UEFI with Secure Boot, shim, GRUB, two PCR banks, about 60 events.
pub fn typical_server() -> Description {
    Description {
        banks: vec![Bank::Sha1, Bank::Sha256],
        log_form: LogForm::CryptoAgile,
        startup_locality: 0,
        machine: "Example R640".to_owned(),
        firmware: "2.19.1".to_owned(),
        secure_boot: true,
        loader: Loader::ShimGrub,
        kernel: "6.1.0-56-amd64".to_owned(),
        command_line: "root=/dev/mapper/vg0-root ro ima_policy=tcb ima_hash=sha256 quiet".to_owned(),
        ima: ima::Description::default(),
        events: Vec::new(),
    }
}

impl Description {
    /// The log that this boot leaves.
    pub fn boot(&self) -> BootLog {
        let mut log = BootLog::new(&self.banks);
        log.form = self.log_form;
        log.startup_locality = (self.startup_locality != 0).then_some(self.startup_locality);
        self.firmware_part(&mut log);
        self.secure_boot_part(&mut log);
        self.boot_entries(&mut log);
        match self.loader {
            Loader::ShimGrub => self.shim_and_grub(&mut log),
            Loader::Stub => self.stub(&mut log),
        }
        for extra in &self.events {
            let (pcr, kind, data) = (extra.pcr, EventType(extra.event_type), extra.data.as_bytes());
            match &extra.content {
                Some(content) => log.measure_as(pcr, kind, data, content.as_bytes()),
                None => log.measure(pcr, kind, data),
            };
        }
        for action in [
            "Exit Boot Services Invocation",
            "Exit Boot Services Returned with Success",
        ] {
            log.measure(5, EventType::EFI_ACTION, action.as_bytes());
        }
        log
    }

    fn firmware_part(&self, log: &mut BootLog) {
        let mut version = Out::new();
        version.utf16(&self.firmware).u16(0);
        log.measure(0, EventType::S_CRTM_VERSION, &version.into_bytes());
        for (volume, base, length) in [
            ("pei", 0xFF00_0000_u64, 0x0020_0000_u64),
            ("dxe", 0xFF20_0000, 0x00C0_0000),
        ] {
            let content = self.blob(&format!("firmware {} {volume}", self.firmware));
            log.measure_as(
                0,
                EventType::EFI_PLATFORM_FIRMWARE_BLOB,
                &firmware_blob(base, length),
                &content,
            );
        }
        log.measure_as(
            0,
            EventType::POST_CODE,
            b"ACPI DATA",
            &self.blob(&format!("acpi {}", self.firmware)),
        );
        let tables = [
            1_u64.to_le_bytes().as_slice(),
            &[0x31; 16],
            &0x7A00_0000_u64.to_le_bytes(),
        ]
        .concat();
        log.measure_as(1, EventType::EFI_HANDOFF_TABLES, &tables, &self.blob("smbios"));
        log.measure_as(
            1,
            EventType::PLATFORM_CONFIG_FLAGS,
            b"setup",
            &self.blob("firmware setup"),
        );
        for slot in ["nic", "raid"] {
            let path = file_path(&format!("\\OptionRom\\{slot}"));
            let load = image_load(0x6B00_0000, 0x0001_8000, &path);
            log.measure_as(2, EventType::EFI_BOOT_SERVICES_DRIVER, &load, &self.blob(slot));
        }
    }

    fn secure_boot_part(&self, log: &mut BootLog) {
        let enrolled = |list: Vec<u8>| if self.secure_boot { list } else { Vec::new() };
        let owner = "77fa9abd-0359-4d32-bd60-28f4e78f784b";
        let variables = [
            (EFI_GLOBAL, "SecureBoot", vec![u8::from(self.secure_boot)]),
            (
                EFI_GLOBAL,
                "PK",
                enrolled(certificate_list(owner, &self.certificate("platform key"))),
            ),
            (
                EFI_GLOBAL,
                "KEK",
                enrolled(certificate_list(owner, &self.certificate("key exchange key"))),
            ),
            (EFI_IMAGE_SECURITY, "db", enrolled(self.allowed_signers())),
            (EFI_IMAGE_SECURITY, "dbx", enrolled(self.revoked_images())),
        ];
        for (guid, name, value) in variables {
            log.measure(
                7,
                EventType::EFI_VARIABLE_DRIVER_CONFIG,
                &efi_variable(guid, name, &value),
            );
        }
        log.measure(7, EventType::SEPARATOR, &[0; 4]);
    }

    fn boot_entries(&self, log: &mut BootLog) {
        let mut variable = |name: &str, value: &[u8]| {
            // The firmware measures the value alone, while the log holds name and value.
            log.measure_as(
                1,
                EventType::EFI_VARIABLE_BOOT,
                &efi_variable(EFI_GLOBAL, name, value),
                value,
            );
        };
        variable("BootOrder", &[0, 0, 1, 0, 2, 0]);
        variable(
            "Boot0000",
            &load_option("debian", &file_path("\\EFI\\debian\\shimx64.efi")),
        );
        variable("Boot0001", &load_option("UEFI: PXE IPv4", &file_path("\\PXE")));
        variable("Boot0002", &load_option("UEFI: Virtual CD", &file_path("\\CD")));
        log.measure(
            4,
            EventType::EFI_ACTION,
            b"Calling EFI Application from Boot Option",
        );
        for pcr in 0..=6 {
            log.measure(pcr, EventType::SEPARATOR, &[0; 4]);
        }
        let partitions = [
            (
                "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
                "6b1c0a3e-11aa-4f7e-9b7e-0c6d4a1f0001",
                2048,
                1_050_623,
                "EFI",
            ),
            (
                "0fc63daf-8483-4772-8e79-3d69d8477de4",
                "6b1c0a3e-11aa-4f7e-9b7e-0c6d4a1f0002",
                1_050_624,
                3_147_775,
                "boot",
            ),
            (
                "e6d6d379-f507-44c2-a23c-238f2a3df928",
                "6b1c0a3e-11aa-4f7e-9b7e-0c6d4a1f0003",
                3_147_776,
                125_042_654,
                "vg0",
            ),
        ];
        log.measure(
            5,
            EventType::EFI_GPT_EVENT,
            &gpt("6b1c0a3e-11aa-4f7e-9b7e-0c6d4a1f0000", &partitions),
        );
    }

    fn shim_and_grub(&self, log: &mut BootLog) {
        let version = &self.kernel;
        if self.secure_boot {
            let signer = self.certificate("UEFI CA");
            let authority = [guid_bytes("77fa9abd-0359-4d32-bd60-28f4e78f784b"), signer].concat();
            let data = efi_variable(EFI_IMAGE_SECURITY, "db", &authority);
            log.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &data);
        }
        self.image(log, "\\EFI\\debian\\shimx64.efi", "shim 16.1");
        for (name, content) in [
            ("MokList", "debian"),
            ("MokListX", "none"),
            ("MokListTrusted", "\u{1}"),
        ] {
            log.measure_as(14, EventType::IPL, &with_nul(name), content.as_bytes());
        }
        let sbat = b"sbat,1,2025021800\nshim,4\ngrub,5\n";
        log.measure(
            7,
            EventType::EFI_VARIABLE_AUTHORITY,
            &efi_variable(SHIM_LOCK, "SbatLevel", sbat),
        );
        if self.secure_boot {
            let vendor = [guid_bytes(SHIM_LOCK), self.certificate("Debian CA")].concat();
            let data = efi_variable(SHIM_LOCK, "MokListRT", &vendor);
            log.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &data);
        }
        self.image(log, "\\EFI\\debian\\grubx64.efi", "grub 2.06-13");

        let linux = format!("/vmlinuz-{version} {}", self.command_line);
        let initrd = format!("/initrd.img-{version}");
        let configuration = format!("menuentry 'Debian GNU/Linux' {{ linux {linux}\n initrd {initrd}\n}}");
        let file = |log: &mut BootLog, path: &str, content: &[u8]| {
            log.measure_as(9, EventType::IPL, &with_nul(path), content);
        };
        let command = |log: &mut BootLog, text: &str| grub(log, "grub_cmd", text);
        file(
            log,
            "(hd0,gpt1)/EFI/debian/grub.cfg",
            b"search.fs_uuid 8f3c root\nconfigfile /grub/grub.cfg\n",
        );
        command(log, "search.fs_uuid 8f3c root hd0,gpt2");
        command(log, "set prefix=(hd0,gpt2)/grub");
        command(log, "configfile (hd0,gpt2)/grub/grub.cfg");
        file(log, "(hd0,gpt2)/grub/grub.cfg", configuration.as_bytes());
        for text in [
            "set default=0",
            "insmod part_gpt",
            "insmod ext2",
            "set timeout=5",
            &configuration,
        ] {
            command(log, text);
        }
        for text in [
            "setparams Debian GNU/Linux",
            "load_video",
            "insmod gzio",
            "set root=hd0,gpt2",
        ] {
            command(log, text);
        }
        command(log, &format!("linux {linux}"));
        let kernel = self.blob(&format!("kernel {version}"));
        file(log, &format!("/vmlinuz-{version}"), &kernel);
        let load = image_load(0x19DB_88A0, 0x007D_D7C0, &[]);
        log.measure_as(4, EventType::EFI_BOOT_SERVICES_APPLICATION, &load, &kernel);
        grub(log, "kernel_cmdline", &linux);
        command(log, &format!("initrd {initrd}"));
        file(log, &initrd, &self.blob(&format!("initrd {version}")));
    }

    fn stub(&self, log: &mut BootLog) {
        self.image(
            log,
            "\\EFI\\Linux\\vmlinuz.efi",
            &format!("kernel {}", self.kernel),
        );
        let mut options = Out::new();
        options.utf16(&self.command_line).u16(0);
        let data = tagged(0x8F3B_22ED, "LOADED_IMAGE::LoadOptions");
        log.measure_as(9, EventType::EVENT_TAG, &data, &options.into_bytes());
        let initrd = self.blob(&format!("initrd {}", self.kernel));
        log.measure_as(
            9,
            EventType::EVENT_TAG,
            &tagged(0x8F3B_22EC, "Linux initrd"),
            &initrd,
        );
    }

    fn image(&self, log: &mut BootLog, path: &str, what: &str) {
        let load = image_load(0x1CBA_3018, 0x000F_FFB8, &file_path(path));
        log.measure_as(
            4,
            EventType::EFI_BOOT_SERVICES_APPLICATION,
            &load,
            &self.blob(what),
        );
    }

    fn allowed_signers(&self) -> Vec<u8> {
        let owner = "77fa9abd-0359-4d32-bd60-28f4e78f784b";
        ["Windows CA", "UEFI CA"]
            .map(|name| certificate_list(owner, &self.certificate(name)))
            .concat()
    }

    fn revoked_images(&self) -> Vec<u8> {
        let digests = ["BootHole", "BlackLotus"].map(|name| Bank::Sha256.hash(&[name.as_bytes()]));
        digest_list(
            "77fa9abd-0359-4d32-bd60-28f4e78f784b",
            &digests.each_ref().map(Vec::as_slice),
        )
    }

    /// The content of something that is too large to carry about: a short text in its place.
    fn blob(&self, what: &str) -> Vec<u8> {
        format!("{}: {what}", self.machine).into_bytes()
    }

    /// Bytes in place of a certificate, as long as one.
    fn certificate(&self, name: &str) -> Vec<u8> {
        let mut bytes = vec![0x30, 0x82, 0x03, 0x7C];
        let mut block = Bank::Sha512.hash(&[name.as_bytes()]);
        while bytes.len() < 0x380 {
            bytes.extend_from_slice(&block);
            block = Bank::Sha512.hash(&[&block]);
        }
        bytes.truncate(0x380);
        bytes
    }
}

/// What GRUB does with a command: the log says kind and text, the digest covers the text alone.
fn grub(log: &mut BootLog, kind: &str, text: &str) {
    log.measure_as(
        8,
        EventType::IPL,
        &with_nul(&format!("{kind}: {text}")),
        text.as_bytes(),
    );
}

fn with_nul(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn guid_bytes(guid: &str) -> Vec<u8> {
    let mut out = Out::new();
    out.guid(guid);
    out.into_bytes()
}
