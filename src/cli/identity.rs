//! `lazaret identity`: the pin that agents need.

use std::path::Path;

use clap::Args;

use super::{
    context,
    exit::{Exit, Trouble},
    out,
};

/// Arguments of `lazaret identity`.
#[derive(Debug, Args)]
pub struct Identity {}

impl Identity {
    /// Prints the pin; makes the key when there is none.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let identity = context::identity(&config)?;
        out::print(&format!("{}\n", identity.pin()));
        Ok(Exit::Ok)
    }
}
