//! Sees that the host's nova-compute has started and cleaned up: nova takes `forced_down` back only when every evacuation
//! is recorded as `completed`, which its nova-compute does as it starts.

use crate::openstack::{MigrationKind, Phase};
use crate::respond::journal::Entry;

use super::{Giving, Outcome, Trouble};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    let (context, host) = (giving.context, &giving.context.case.host);
    let end = tokio::time::Instant::now() + context.respond.config.boot_deadline;
    loop {
        let moves = context
            .cloud
            .migrations_from(host, Some(&MigrationKind::Evacuation))
            .await?;
        let open: Vec<String> = moves
            .iter()
            .filter(|known| {
                matches!(known.phase(), Phase::Underway | Phase::Unknown) || known.status == "done"
            })
            .map(|known| format!("{} ({})", known.instance, known.status))
            .collect();
        if open.is_empty() {
            return Ok(Outcome::Done(Entry::says(format!(
                "none of {} evacuations from {host} is open",
                moves.len()
            ))));
        }
        if tokio::time::Instant::now() >= end {
            return Ok(Outcome::Stuck(format!(
                "evacuations from {host} are not completed: {}; nova-compute completes them as it starts, while nova \
                 takes the host for down: restart it there (`systemctl restart nova-compute`) and see its log. A record \
                 that stays in `accepted` is of an evacuation that was asked for twice: it goes with its instance. Then \
                 `lazaret quarantine release {host}` again",
                open.join(", ")
            )));
        }
        tokio::time::sleep(context.respond.pace).await;
    }
}
