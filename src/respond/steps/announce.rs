//! Tells people that the case is open, and counts once more: two daemons may have opened cases at once.

use crate::respond::caution::{Asking, approved, limits};
use crate::respond::guard::{self, Hold};
use crate::respond::journal::Entry;
use crate::respond::notify::Kind;
use crate::respond::saga::Step;

use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>) -> Result<Outcome, Trouble> {
    let case = context.case;
    let respond = context.respond;
    let limits = limits(&respond.config);
    let cases = respond.cases_lately(case.opened_at.minus(limits.window)).await?;
    // Cases are served in the order in which they were written.
    let asking = Asking::Known(case);
    let first = respond.counted(asking, &cases).await?.len();
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    if first >= limits.max_cases {
        let hold = Hold::TooManyCases {
            cases: first,
            max_cases: limits.max_cases,
            window_s: limits.window.as_secs(),
        };
        let holds = guard::not_approved(&approved(case), vec![hold]);
        if !holds.is_empty() {
            return Ok(super::brake::held(context, Step::Announce, &holds).await?);
        }
    }
    context
        .tell(
            Kind::CaseOpened,
            format!("{} fails attestation: {}", case.host, case.cause),
        )
        .await?;
    Ok(Outcome::Done(Entry::says("people are told")))
}
