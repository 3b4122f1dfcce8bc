//! `lazaret inspect ima`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::{Exit, Trouble};

/// Arguments of `lazaret inspect ima`.
#[derive(Debug, Args)]
pub struct Ima {
    /// The list, as in `binary_runtime_measurements` or `ascii_runtime_measurements`.
    file: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Ima {
    /// Runs it.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn run(self) -> Result<Exit, Trouble> {
        let _ = (self.file, self.json);
        todo!("filled in by its owner")
    }
}
