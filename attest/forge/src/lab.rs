//! A pretended host of the lab: its log files as the kernel has them, and a software TPM whose PCRs follow them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::bootlog::Description;
use crate::ima::{self, Entry};
use crate::swtpm::{Swtpm, SwtpmError};

/// A host in a directory.
#[derive(Debug)]
pub struct Lab {
    directory: PathBuf,
    tpm: Swtpm,
}

/// What a boot did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booted {
    /// Events of the boot log that extended a PCR.
    pub events: usize,
    /// Entries of the IMA list.
    pub entries: usize,
}

/// Trouble with a pretended host.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A file could not be used.
    #[error("{operation} {} failed", path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A description that says nothing that can be booted.
    #[error("the description {} is not valid", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A description that cannot be written down.
    #[error("writing down the description failed")]
    Write(#[from] toml::ser::Error),
    /// A description for other banks than the TPM's: the TPM would keep PCRs that no log explains.
    #[error("the TPM has the banks {tpm}, the description extends {description}; leave `banks` empty")]
    Banks {
        /// Active in the TPM.
        tpm: String,
        /// Described.
        description: String,
    },
    /// The TPM.
    #[error(transparent)]
    Tpm(#[from] SwtpmError),
}

/// Reads a description.
pub fn read_description(path: &Path) -> Result<Description, LabError> {
    let text = fs::read_to_string(path).map_err(trouble("reading", path))?;
    toml::from_str(&text).map_err(|source| LabError::Description {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

impl Lab {
    /// The host whose files are in `directory` and whose TPM is `tpm`.
    pub fn new(directory: &Path, tpm: Swtpm) -> Lab {
        Lab {
            directory: directory.to_owned(),
            tpm,
        }
    }

    /// The boot log, as under `/sys/kernel/security/tpm0`.
    pub fn boot_log(&self) -> PathBuf {
        self.directory.join("binary_bios_measurements")
    }

    /// The binary IMA list, as under `/sys/kernel/security/ima`.
    pub fn ima_binary(&self) -> PathBuf {
        self.directory.join("ima/binary_runtime_measurements")
    }

    /// The IMA list as text.
    pub fn ima_text(&self) -> PathBuf {
        self.directory.join("ima/ascii_runtime_measurements")
    }

    /// What the host booted last: kept, so that later measurements and reboots follow it.
    pub fn description(&self) -> PathBuf {
        self.directory.join("description.toml")
    }

    /// Power-cycles the TPM, writes the logs of a boot, and extends the TPM by them.
    pub fn boot(&self, description: &Description) -> Result<Booted, LabError> {
        let _alone = self.lock()?;
        let mut description = description.clone();
        let active = self.tpm.banks()?;
        if description.banks.is_empty() {
            description.banks = active;
        } else {
            description.banks.sort();
            if description.banks != active {
                let names = |banks: &[crate::bank::Bank]| {
                    banks
                        .iter()
                        .map(|bank| bank.name())
                        .collect::<Vec<_>>()
                        .join(", ")
                };
                return Err(LabError::Banks {
                    tpm: names(&active),
                    description: names(&description.banks),
                });
            }
        }
        let boot = description.boot();
        let list = description.ima.boot(&boot.pcrs());

        replace(&self.description(), toml::to_string(&description)?.as_bytes())?;
        self.tpm.power_cycle(description.startup_locality)?;
        replace(&self.boot_log(), &boot.bytes())?;
        replace(&self.ima_binary(), &list.binary())?;
        replace(&self.ima_text(), &list.text())?;

        let events = boot.extends();
        for (pcr, digests) in &events {
            self.tpm.extend(*pcr, digests)?;
        }
        for entry in &list.entries {
            self.tpm.extend(entry.pcr, &entry.extends(&description.banks))?;
        }
        Ok(Booted {
            events: events.len(),
            entries: list.entries.len(),
        })
    }

    /// Measures a file. `false` when the kernel would add nothing, as the list has the same entry already.
    pub fn measure(&self, path: &str, content: &[u8]) -> Result<bool, LabError> {
        self.append(|ima| Entry::new(ima.template, ima.hash, path, ima.hash.hash(&[content])))
    }

    /// Records a violation: the file was written while it was measured.
    pub fn violate(&self, path: &str) -> Result<bool, LabError> {
        self.append(|ima| Entry::violation(ima.template, ima.hash, path))
    }

    /// As ima_add_template_entry: look for the same entry, add to the list, then extend the PCR. A TPM that does not
    /// answer is noticed before the list has moved.
    fn append(&self, entry: impl Fn(&ima::Description) -> Entry) -> Result<bool, LabError> {
        let _alone = self.lock()?;
        let description = read_description(&self.description())?;
        let entry = entry(&description.ima);
        let line = entry.text();
        let list = fs::read(self.ima_text()).map_err(trouble("reading", &self.ima_text()))?;
        if !entry.violation
            && list
                .split_inclusive(|&byte| byte == b'\n')
                .any(|known| known == line)
        {
            return Ok(false);
        }
        self.tpm.banks()?;
        append(&self.ima_binary(), &entry.binary())?;
        append(&self.ima_text(), &line)?;
        self.tpm.extend(entry.pcr, &entry.extends(&description.banks))?;
        Ok(true)
    }

    /// One writer at a time; the lock goes with the file handle.
    fn lock(&self) -> Result<File, LabError> {
        let directory = self.directory.join("ima");
        fs::create_dir_all(&directory).map_err(trouble("making", &directory))?;
        let path = self.directory.join("lock");
        let file = File::create(&path).map_err(trouble("opening", &path))?;
        file.lock().map_err(trouble("locking", &path))?;
        Ok(file)
    }
}

/// A reader sees the old file or the new one, never a part.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    let new = path.with_extension("new");
    fs::write(&new, bytes).map_err(trouble("writing", &new))?;
    fs::rename(&new, path).map_err(trouble("replacing", path))
}

/// One write call, so that a reader sees the whole entry or none of it.
fn append(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    let mut file = OpenOptions::new()
        .append(true)
        .open(path)
        .map_err(trouble("opening", path))?;
    file.write_all(bytes).map_err(trouble("appending to", path))
}

fn trouble(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LabError {
    let path = path.to_owned();
    move |source| LabError::File {
        operation,
        path,
        source,
    }
}
