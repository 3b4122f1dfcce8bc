//! `lazaret policy`: appraisal policies read by hand, and the findings explained.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::exit::{Exit, Trouble};

/// Arguments of `lazaret policy`.
#[derive(Debug, Args)]
pub struct Policy {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Read a policy and everything it names, and say what is wrong with line and reason.
    Check(Check),
    /// What a finding means and what to do about it.
    Explain(Explain),
}

/// Arguments of `lazaret policy check`.
#[derive(Debug, Args)]
struct Check {
    /// The policy.
    file: PathBuf,
}

/// Arguments of `lazaret policy explain`.
#[derive(Debug, Args)]
struct Explain {
    /// The finding's code.
    code: String,
}

impl Policy {
    /// Runs it.
    ///
    /// # Errors
    /// The policy or one of its files is wrong, or the code is unknown.
    pub fn run(self) -> Result<Exit, Trouble> {
        match self.what {
            What::Check(check) => {
                let _ = check.file;
                todo!("filled in by its owner")
            }
            What::Explain(explain) => {
                let _ = explain.code;
                todo!("filled in by its owner")
            }
        }
    }
}
