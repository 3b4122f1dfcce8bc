//! Has a fenced host stay off when mains power returns, by the power restore policy of its BMC, and gives the policy back
//! at the release.
//!
//! What the policy was is in the journal before it is changed, and the first such record counts. A BMC that has no such
//! property, or refuses, is no obstacle: it is told of, and the hold-down fences the host again if it comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::fence::{Method, UNKNOWN_WORD};
use crate::respond::journal::Entry;
use crate::respond::saga::Step;
use crate::store::JournalEntry;

use super::{Context, Trouble};

/// The policy that keeps a machine off (ComputerSystem schema, PowerRestorePolicyTypes).
const ALWAYS_OFF: &str = "AlwaysOff";

/// All of a host's BMCs together are waited for this long: its instances wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the policy of each method was before this case changed it.
fn before(journal: &[JournalEntry]) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for (method, policy) in said(journal, "restore_policy_was") {
        known.entry(method).or_insert(policy);
    }
    known
}

/// The methods that were seen to keep the host off.
fn kept(journal: &[JournalEntry]) -> BTreeSet<String> {
    said(journal, "restore_policy_is")
        .map(|(method, _)| method)
        .collect()
}

fn said<'a>(journal: &'a [JournalEntry], what: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
    journal.iter().filter_map(move |entry| {
        let seen = Entry::read(&entry.detail).seen?;
        let method = seen.get("method")?.as_str()?.to_owned();
        Some((method, seen.get(what)?.as_str()?.to_owned()))
    })
}

/// Has the host stay off, after it was seen off. Methods in `silent` just failed, and are not asked now.
pub(super) async fn begin(context: &Context<'_>, silent: &BTreeSet<String>) -> Result<(), Trouble> {
    let end = Instant::now() + PATIENCE;
    let mut any = false;
    for method in methods(context) {
        if silent.contains(method.name()) {
            let words = format!(
                "{} failed just now, and was not asked to keep the host off",
                method.name()
            );
            tell(context, words).await?;
            any = true;
            continue;
        }
        any |= keep(context, method, end).await?.is_some();
    }
    if !any {
        let words = "no method can say what the host does when mains power returns: set that by hand in its BMC where it \
                     matters; the hold-down switches it off again if it comes back";
        tell(context, words.to_owned()).await?;
    }
    Ok(())
}

/// The words for each method that was seen to keep the host off, and keeps it no more.
pub(in crate::respond) async fn let_go(context: &Context<'_>) -> Option<String> {
    let kept = kept(context.journal);
    let end = Instant::now() + PATIENCE;
    let mut words = Vec::new();
    for method in methods(context).filter(|method| kept.contains(method.name())) {
        // What cannot be read now is read the next time; the power's own reading tells of a BMC that is gone.
        if let Ok(Ok(Some(policy))) = timeout_at(end, method.restore_policy()).await
            && policy != ALWAYS_OFF
        {
            words.push(format!("{} is set to {policy}", method.name()));
        }
    }
    (!words.is_empty()).then(|| words.join(", "))
}

/// Has it stay off again where it was seen to; the error says where that did not work.
pub(in crate::respond) async fn again(context: &Context<'_>) -> Result<Result<String, String>, Trouble> {
    let kept = kept(context.journal);
    let end = Instant::now() + PATIENCE;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for method in methods(context).filter(|method| kept.contains(method.name())) {
        match keep(context, method, end).await? {
            Some(Ok(words)) => done.push(words),
            Some(Err(words)) => failed.push(words),
            None => failed.push(format!("{} has no power restore policy any more", method.name())),
        }
    }
    Ok(if failed.is_empty() {
        Ok(done.join("; "))
    } else {
        Err(failed.join("; "))
    })
}

/// Gives back the policies that the quarantine changed; in words, nothing where it changed none. One that was `adopted` may
/// have changed some of which nothing is known.
pub(super) async fn end(
    context: &Context<'_>,
    quarantine: &[JournalEntry],
    adopted: bool,
) -> Result<Vec<String>, Trouble> {
    let before = before(quarantine);
    let end = Instant::now() + PATIENCE;
    let mut words = Vec::new();
    for method in methods(context) {
        let name = method.name();
        let Some(was) = before.get(name) else {
            if adopted
                && let Ok(Ok(Some(now))) = timeout_at(end, method.restore_policy()).await
                && now == ALWAYS_OFF
            {
                words.push(format!(
                    "the power restore policy of {name} IS {ALWAYS_OFF}, and what it was is not known, for the quarantine was \
                     adopted: the host stays off when mains power returns, unless you set it by hand in its BMC"
                ));
            }
            continue;
        };
        let now = match timeout_at(end, method.restore_policy()).await {
            // Whoever set another one since had a reason.
            Ok(Ok(Some(now))) if now != ALWAYS_OFF => Ok(Some(now)),
            Ok(Ok(_)) => match timeout_at(end, method.set_restore_policy(was, &context.leave)).await {
                Ok(set) => set.map_err(|error| error.to_string()),
                Err(_) => Err(late(method)),
            },
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(late(method)),
        };
        words.push(match now {
            Ok(Some(now)) if now == *was => format!("the power restore policy of {name} is {was} again"),
            Ok(Some(now)) => format!("the power restore policy of {name} was {was} and is {now}"),
            Ok(None) => format!("{name} has no power restore policy any more; it was {was}"),
            Err(error) => {
                format!("the power restore policy of {name} was {was} and could not be given back: {error}; set it by hand")
            }
        });
    }
    Ok(words)
}

/// One method: looks, writes down what was, asks only if needed, looks again. `None`: it has no such policy.
async fn keep(
    context: &Context<'_>,
    method: &Method,
    end: Instant,
) -> Result<Option<Result<String, String>>, Trouble> {
    let name = method.name();
    let now = match timeout_at(end, method.restore_policy()).await {
        Ok(Ok(None)) => return Ok(None),
        Ok(Ok(Some(policy))) => policy,
        Ok(Err(error)) => return failed(context, error.to_string()).await.map(Some),
        Err(_) => return failed(context, late(method)).await.map(Some),
    };
    if now != ALWAYS_OFF {
        if !before(context.journal).contains_key(name) {
            if now == UNKNOWN_WORD {
                let words = format!(
                    "the power restore policy of {name} is none of the standard's, and could not be given back: it is left as \
                     it is; set it by hand"
                );
                return failed(context, words).await.map(Some);
            }
            let words =
                format!("the power restore policy of {name} is {now}, and will be set to {ALWAYS_OFF}");
            let seen = json!({ "method": name, "restore_policy_was": now });
            context.note(Step::Fence, &Entry::with(words, &seen)).await?;
        }
        match timeout_at(end, method.set_restore_policy(ALWAYS_OFF, &context.leave)).await {
            Ok(Ok(Some(now))) if now == ALWAYS_OFF => {}
            Ok(Ok(shown)) => {
                let shown = shown.unwrap_or_else(|| "nothing".to_owned());
                let words =
                    format!("{name} took the power restore policy {ALWAYS_OFF} and still shows {shown}");
                return failed(context, words).await.map(Some);
            }
            Ok(Err(error)) => return failed(context, error.to_string()).await.map(Some),
            Err(_) => return failed(context, late(method)).await.map(Some),
        }
    }
    let words = format!("{name} keeps the host off when mains power returns");
    if !kept(context.journal).contains(name) {
        let seen = json!({ "method": name, "restore_policy_is": ALWAYS_OFF });
        context
            .note(Step::Fence, &Entry::with(words.clone(), &seen))
            .await?;
    }
    Ok(Some(Ok(words)))
}

async fn failed(context: &Context<'_>, why: String) -> Result<Result<String, String>, Trouble> {
    let words =
        format!("{why}; the host may come back when mains power returns, and is switched off again then");
    tell(context, words).await?;
    Ok(Err(why))
}

/// Into the journal, once for each of these words.
async fn tell(context: &Context<'_>, words: String) -> Result<(), Trouble> {
    if !context.remarks(Step::Fence).any(|entry| entry.says == words) {
        context.note(Step::Fence, &Entry::says(words)).await?;
    }
    Ok(())
}

fn late(method: &Method) -> String {
    format!(
        "{}: its power restore policy was not read and set within {PATIENCE:?}",
        method.name()
    )
}

fn methods<'a>(context: &'a Context<'_>) -> impl Iterator<Item = &'a Method> {
    let fence = context.respond.fencing.host(&context.case.host);
    fence.into_iter().flat_map(|fence| fence.methods.iter())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::store::Phase;

    /// A daemon that was killed in between may have written down what somebody else had set since.
    #[test]
    fn the_first_record_of_a_policy_counts() {
        let entry = |seq, method: &str, policy: &str| JournalEntry {
            seq,
            at: Timestamp::from_millis(seq),
            step: "fence".to_owned(),
            phase: Phase::Note,
            epoch: 1,
            detail: Entry::with(
                "words",
                &json!({ "method": method, "restore_policy_was": policy }),
            )
            .json(),
        };
        let journal = [
            entry(1, "redfish a", "LastState"),
            entry(2, "redfish b", "AlwaysOn"),
            entry(3, "redfish a", "AlwaysOn"),
        ];
        let known = before(&journal);
        assert_eq!(
            (known["redfish a"].as_str(), known["redfish b"].as_str()),
            ("LastState", "AlwaysOn")
        );
        assert!(kept(&journal).is_empty());
    }
}
