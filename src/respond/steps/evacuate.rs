//! Has every instance that is planned to be rebuilt elsewhere; the host was seen off, or is looked at again.

use crate::fence::Fenced;
use crate::respond::journal::Entry;
use crate::respond::plan::{Plan, Recovery, Way};
use crate::respond::saga::Step;

use super::masakari::{self, Handled};
use super::nova;
use super::watch::{self, View};
use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>, plan: &Plan) -> Result<Outcome, Trouble> {
    let fenced = super::fence::proof(context).await?;
    if let Some(ended) = force_down_again(context, plan).await? {
        return Ok(ended);
    }
    match &plan.recovery {
        Recovery::Masakari { .. } => by_masakari(context, plan, &fenced).await,
        Recovery::Nova { pause_masakari, .. } => by_nova(context, plan, &fenced, *pause_masakari).await,
    }
}

/// Another tool may have taken `forced_down` back since the step before; nova would refuse every instance then.
async fn force_down_again(context: &Context<'_>, plan: &Plan) -> Result<Option<Outcome>, Trouble> {
    let refused = |entry: &Entry| entry.says.contains(nova::NOT_FORCED_DOWN);
    if !context.remarks(Step::Evacuate).any(|entry| refused(&entry)) || context.service().await?.forced_down {
        return Ok(None);
    }
    match super::force_down::ensure(context, plan).await? {
        Outcome::Done(_) => {
            let words = format!(
                "another tool had nova no longer take {} for down; put back",
                context.case.host
            );
            context.note(Step::Evacuate, &Entry::says(words)).await?;
            Ok(None)
        }
        ended => Ok(Some(ended)),
    }
}

async fn by_masakari(context: &Context<'_>, plan: &Plan, fenced: &Fenced) -> Result<Outcome, Trouble> {
    let view = View::read(context.cloud, fenced.host()).await?;
    let recorded = watch::with_newcomers(context, plan, &view).await?;
    let held = recorded
        .iter()
        .filter(|known| known.fate != Way::Evacuate.as_str())
        .count();
    if held > 0 && masakari::known(context).await?.is_none() {
        // The plan's own rule, for an instance that landed while it was made.
        let words = format!(
            "{held} instances that came later are left for a person; Masakari would move them: by nova"
        );
        context.note(Step::Evacuate, &Entry::says(words)).await?;
        return by_nova(context, plan, fenced, true).await;
    }
    match masakari::evacuate(context, plan, fenced).await? {
        Handled::Settled(words) => Ok(Outcome::Done(Entry::says(words))),
        Handled::Ended(outcome) => Ok(outcome),
        Handled::Left(words) => {
            context
                .note(Step::Evacuate, &Entry::says(format!("{words}; the rest by nova")))
                .await?;
            by_nova(context, plan, fenced, true).await
        }
    }
}

async fn by_nova(
    context: &Context<'_>,
    plan: &Plan,
    fenced: &Fenced,
    pause_masakari: bool,
) -> Result<Outcome, Trouble> {
    // Under maintenance is not at rest: Masakari sets it itself when it begins a recovery.
    if pause_masakari && (!masakari::pause(context).await? || masakari::at_work(context).await?) {
        // Its monitor was faster. Two must never evacuate the same host: wait for it, then see what is left.
        let why = "Masakari is at work on the host by a notification of its own".to_owned();
        return match masakari::known(context).await? {
            Some(_) => match masakari::evacuate(context, plan, fenced).await? {
                Handled::Settled(words) => Ok(Outcome::Done(Entry::says(words))),
                Handled::Ended(outcome) => Ok(outcome),
                Handled::Left(_) => super::nova::evacuate(context, plan, fenced).await,
            },
            None => Ok(Outcome::Again { after: None, why }),
        };
    }
    super::nova::evacuate(context, plan, fenced).await
}
