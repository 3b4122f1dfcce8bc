//! The steps that give a host back, one file for each. Each looks, acts only if needed, and looks again; those that
//! take back what keeps the host out see first that its verdict still holds.

mod admit;
mod agree;
mod attest;
mod boot;
mod keys;
mod leave;
mod raise;
mod restore;
mod rotate;
mod settle;
mod trust;
mod unpause;

use crate::respond::journal::plan_of;
use crate::respond::plan::Plan;
use crate::respond::release::ReleasePlan;
use crate::respond::saga::Step;
use crate::store::{Case, JournalEntry};

use super::{Context, Outcome, Trouble};

/// What the steps of a release work with, beyond any step's own.
pub(super) struct Giving<'a> {
    context: &'a Context<'a>,
    /// What this release is to do.
    asked: ReleasePlan,
    /// The quarantine that it ends.
    quarantine: Case,
    /// What that quarantine did.
    plan: Plan,
    journal: Vec<JournalEntry>,
}

pub(super) async fn ensure(step: Step, context: &Context<'_>) -> Result<Outcome, Trouble> {
    let giving = match giving(context).await? {
        Ok(giving) => giving,
        Err(why) => return Ok(Outcome::Stuck(why)),
    };
    match step {
        Step::Rotate => rotate::ensure(&giving).await,
        Step::Agree => agree::ensure(&giving).await,
        Step::Boot => Box::pin(boot::ensure(&giving)).await,
        Step::Keys => keys::ensure(&giving).await,
        Step::Attest => Box::pin(attest::ensure(&giving)).await,
        Step::Settle => Box::pin(settle::ensure(&giving)).await,
        Step::Raise => Box::pin(raise::ensure(&giving)).await,
        Step::Leave => Box::pin(leave::ensure(&giving)).await,
        Step::Restore => Box::pin(restore::ensure(&giving)).await,
        Step::Unpause => Box::pin(unpause::ensure(&giving)).await,
        Step::Admit => Box::pin(admit::ensure(&giving)).await,
        Step::Trust => Box::pin(trust::ensure(&giving)).await,
        other => Ok(Outcome::Stuck(format!("{other} is no step of a release"))),
    }
}

async fn giving<'a>(context: &'a Context<'a>) -> Result<Result<Giving<'a>, String>, Trouble> {
    let case = context.case;
    let Some(asked) = ReleasePlan::of(case) else {
        return Ok(Err(format!(
            "case {} has no plan that this version can read",
            case.id
        )));
    };
    let store = &context.respond.store;
    let Some(quarantine) = store.case(&asked.quarantine).await? else {
        return Ok(Err(format!("there is no case {} any more", asked.quarantine)));
    };
    let journal = store.journal_of(&quarantine.id).await?;
    let Some(plan) = plan_of(&quarantine, &journal) else {
        return Ok(Err(format!(
            "case {} has no plan that this version can read",
            quarantine.id
        )));
    };
    Ok(Ok(Giving {
        context,
        asked,
        quarantine,
        plan,
        journal,
    }))
}
