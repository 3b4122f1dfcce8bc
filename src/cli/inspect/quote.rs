//! `lazaret inspect quote`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::{Exit, Trouble};

/// Arguments of `lazaret inspect quote`.
#[derive(Debug, Args)]
pub struct Quote {
    /// placeholder
    file: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Quote {
    /// Runs it.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn run(self) -> Result<Exit, Trouble> {
        let _ = (self.file, self.json);
        todo!("filled in by its owner")
    }
}
