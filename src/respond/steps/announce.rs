//! Tells people that the case is open, and counts once more: two daemons may have opened cases at once.

use serde_json::json;

use crate::respond::guard::Hold;
use crate::respond::journal::Entry;
use crate::respond::notify::Kind;
use crate::respond::on_round::{count, limits};
use crate::respond::plan::Plan;
use crate::respond::saga::Step;

use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>, plan: &Plan) -> Result<Outcome, Trouble> {
    let case = context.case;
    let respond = context.respond;
    let limits = limits(&respond.config);
    let cases = respond
        .store
        .cases_opened_since(case.opened_at.minus(limits.window))
        .await?;
    // Cases are served in the order of their opening; of two at the same instant, the smaller id is first.
    let first = count(
        cases
            .iter()
            .filter(|other| (other.opened_at, &other.id) < (case.opened_at, &case.id)),
    );
    let allowed = super::plan::approved(context) || (!plan.holds.is_empty() && case.approved_by.is_some());
    if first >= limits.max_cases && !allowed {
        let hold = Hold::TooManyCases {
            cases: first,
            max_cases: limits.max_cases,
            window_s: limits.window.as_secs(),
        };
        context
            .note(
                Step::Announce,
                &Entry::with(hold.to_string(), &json!({ "holds": [hold] })),
            )
            .await?;
        return Ok(Outcome::Held(hold.to_string()));
    }
    context
        .tell(
            Kind::CaseOpened,
            format!("{} fails attestation: {}", case.host, case.cause),
        )
        .await?;
    Ok(Outcome::Done(Entry::says("people are told")))
}
