//! `lazaret inspect`: evidence read by hand, offline, without configuration, daemon or database.

mod boot_log;
mod ek_cert;
mod file;
mod ima;
mod quote;

use clap::{Args, Subcommand};

use super::exit::{Exit, Trouble};

/// Arguments of `lazaret inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A TCG event log: its events, the PCR values that it leads to, what it says of the boot.
    BootLog(boot_log::BootLog),
    /// An IMA measurement list, text or binary: its entries and the PCR 10 that it leads to.
    Ima(ima::Ima),
    /// A quote: whether a key signed it in answer to a nonce.
    Quote(quote::Quote),
    /// An endorsement key certificate: the chain to a TPM maker's root, or what is missing.
    EkCert(ek_cert::EkCert),
}

impl Inspect {
    /// Runs it.
    ///
    /// # Errors
    /// A file that cannot be read (66), or that is not what it should be (65).
    pub fn run(self) -> Result<Exit, Trouble> {
        match self.what {
            What::BootLog(command) => command.run(),
            What::Ima(command) => command.run(),
            What::Quote(command) => command.run(),
            What::EkCert(command) => command.run(),
        }
    }
}
