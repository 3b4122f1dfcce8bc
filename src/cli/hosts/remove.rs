//! `lazaret hosts remove`: a host that is decommissioned is forgotten, with a reason.

use clap::Args;

use crate::{
    cli::{
        context,
        exit::{Exit, Trouble},
        out,
        who::{reason, who},
    },
    clock::{Clock as _, SystemClock},
    ids::HostName,
    store::{AuditEntry, Store},
};

/// Arguments of `lazaret hosts remove`.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The host.
    host: HostName,

    /// Why, for the audit trail: its pinned keys are forgotten, and any machine may be enrolled under its name then.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    because: Option<String>,
}

impl Remove {
    pub(super) async fn run(self, store: &Store) -> Result<Exit, Trouble> {
        let name = &self.host;
        let host = context::host(store, name).await?;
        let refused = |words: String| Err(Trouble::say(Exit::Data, words));
        if let Some(case) = store.unclosed_case(name).await? {
            return refused(format!(
                "host {name} has case {}, which is {}; see it through, or `lazaret quarantine dismiss {}`, then remove \
                 the host",
                case.id,
                case.state.as_str(),
                case.id
            ));
        }
        let Some(because) = self.because else {
            return refused(match &host.quarantined_by {
                Some(case) => format!(
                    "host {name} is in quarantine, by case {case}: nobody keeps it out once it is removed. Say why with \
                     --because TEXT"
                ),
                None => format!(
                    "the keys of host {name} are pinned: once they are forgotten, any machine may be enrolled under its \
                     name. Say why with --because TEXT"
                ),
            });
        };
        let quarantine = host.quarantined_by.as_ref();
        let entry = AuditEntry {
            who: who(),
            what: "remove".to_owned(),
            subject: format!("host {name}"),
            outcome: match quarantine {
                Some(case) => format!("done, while it was in quarantine by case {case}: {because}"),
                None => format!("done: {because}"),
            },
        };
        store.remove_host(name, &entry, SystemClock.now()).await?;
        let mut words = format!(
            "{name} is removed: it is not attested any more. Its rounds, cases and evidence are kept; `lazaret enroll \
             {name}` enrols it anew\n"
        );
        if let Some(case) = quarantine {
            words.push_str(&format!(
                "It was in quarantine by case {case}, and is in it again once it is enrolled. Until then nobody looks at it: \
                 see that it stays off, and take its service out of nova (`openstack compute service delete`)\n"
            ));
        } else if let Some(case) = &host.unscheduled_by {
            words.push_str(&format!(
                "Its compute service is disabled by case {case} and stays so: take it out of nova (`openstack compute \
                 service delete`), or enable it\n"
            ));
        }
        out::print(&words);
        Ok(Exit::Ok)
    }
}
