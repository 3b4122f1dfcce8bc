//! `lazaret inspect ek-cert`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::{Exit, Trouble};

/// Arguments of `lazaret inspect ek-cert`.
#[derive(Debug, Args)]
pub struct EkCert {
    /// The certificate, DER or PEM.
    file: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl EkCert {
    /// Runs it.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn run(self) -> Result<Exit, Trouble> {
        let _ = (self.file, self.json);
        todo!("filled in by its owner")
    }
}
