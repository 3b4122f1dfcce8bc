//! `lazaret inspect boot-log`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::{Exit, Trouble};

/// Arguments of `lazaret inspect boot-log`.
#[derive(Debug, Args)]
pub struct BootLog {
    /// The log, as in `binary_bios_measurements`.
    file: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl BootLog {
    /// Runs it.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn run(self) -> Result<Exit, Trouble> {
        let _ = (self.file, self.json);
        todo!("filled in by its owner")
    }
}
