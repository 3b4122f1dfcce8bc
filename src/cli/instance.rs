//! `lazaret instance`: single instances, of condemned hosts to come.

use std::path::Path;

use clap::{Args, Subcommand};

use super::{
    context,
    exit::{Exit, Trouble},
    keep_key, out,
};
use crate::ids::InstanceId;

/// Arguments of `lazaret instance`.
#[derive(Debug, Args)]
pub struct Instance {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the tag that keeps an instance where it is when its host is condemned, and the command that sets it.
    ///
    /// The tag holds for this instance only. Its owner can remove it, and cannot make one.
    Keep {
        /// The instance.
        instance: InstanceId,
        /// Print the tag alone.
        #[arg(long)]
        tag: bool,
    },
}

impl Instance {
    /// Prints a tag.
    pub fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let Command::Keep { instance, tag } = self.command;
        let own = keep_key::read_or_make(&config.identity.directory)?.tag(instance);
        out::print(&if tag {
            format!("{own}\n")
        } else {
            format!(
                "Keeps {instance} where it is when its host is condemned: it is off with the host, and not evacuated.\n\
                 \n  set it     openstack --os-compute-api-version 2.26 server set --tag {own} {instance}\n\
                 \n  remove it  openstack --os-compute-api-version 2.26 server unset --tag {own} {instance}\n"
            )
        });
        Ok(Exit::Ok)
    }
}
