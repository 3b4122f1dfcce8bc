//! Powers the host on while nova still takes it for down: its nova-compute has to start so, or it would take part again
//! before it has deleted what was evacuated. A quarantine that a person ended before it came that far left nothing to
//! delete: its host has to be disabled only.

use crate::openstack::{MigrationKind, Phase};
use crate::respond::holddown::Expect;
use crate::respond::journal::{Entry, doubted_methods};
use crate::respond::orphans::is_adopted;
use crate::respond::steps::keep_off;

use super::{Giving, Outcome, Trouble};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    let context = giving.context;
    let host = &context.case.host;
    let service = context.service().await?;
    let steps = match context.respond.recorded(&giving.quarantine.id).await? {
        Ok(steps) => steps,
        Err(why) => return Ok(Outcome::Stuck(why)),
    };
    // What the quarantine did is put back by the hold-down; what it never came to is not.
    let expect = Expect::of(&steps, &[]);
    if (expect.disabled && service.enabled) || (expect.forced_down && !service.forced_down) {
        return Ok(Outcome::Again {
            after: None,
            why: format!(
                "nova-compute on {host} is not {}; it is not booted before the hold-down has put that back",
                if expect.forced_down {
                    "disabled and forced down"
                } else {
                    "disabled"
                }
            ),
        });
    }
    if service.enabled {
        return Ok(Outcome::Held(format!(
            "nova-compute on {host} is enabled, and the quarantine never disabled it: it would take instances before it is \
             judged. `openstack compute service set --disable {host} nova-compute`, then `lazaret quarantine release \
             {host}` again"
        )));
    }
    // nova-compute deletes what it has of every instance with a record of an evacuation, also of one that never ended.
    let moves = context
        .cloud
        .migrations_from(host, Some(&MigrationKind::Evacuation))
        .await?;
    let underway: Vec<String> = moves
        .iter()
        .filter(|known| matches!(known.phase(), Phase::Underway | Phase::Unknown))
        .map(|known| format!("{} ({})", known.instance, known.status))
        .collect();
    if !underway.is_empty() {
        return Ok(Outcome::Held(format!(
            "evacuations from {host} have not ended: {}; its nova-compute would delete these instances' disks as it \
             starts: see them through, then `lazaret quarantine release {host}` again",
            underway.join(", ")
        )));
    }
    let done = moves.iter().filter(|known| known.status == "done").count();
    if done > 0 && !service.forced_down {
        return Ok(Outcome::Held(format!(
            "{done} evacuations from {host} are not cleaned up, and nova does not take it for down: its nova-compute would \
             take part again before it has deleted them. `openstack compute service set --down {host} nova-compute`, \
             then `lazaret quarantine release {host}` again"
        )));
    }
    let fencing = &context.respond.fencing;
    let Some(fence) = fencing.host(host) else {
        return Ok(Outcome::Stuck(format!(
            "no fencing method is configured for {host}; switch it on by hand, add [[host.fence]] for it, restart \
             lazaret, then let the release go on"
        )));
    };
    let doubted = doubted_methods(&giving.journal);
    match fence
        .methods
        .power_on(&context.leave, fencing.off(), &doubted)
        .await
    {
        Ok(on) => {
            let mut words = vec![format!("{host} is on: {on}")];
            let adopted = is_adopted(&giving.quarantine);
            words.extend(keep_off::end(context, &giving.journal, adopted).await?);
            Ok(Outcome::Done(Entry::says(words.join("; "))))
        }
        Err(failed) => Ok(Outcome::Again {
            after: None,
            why: failed.to_string(),
        }),
    }
}
