//! Evacuation by Masakari: notified once, or its notification adopted, and followed; nova's word decides.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::fence::Fenced;
use crate::ids::HostName;
use crate::openstack::{Error, Notification, NotificationStatus, Notified, VmMove};
use crate::permit::Effect;
use crate::respond::journal::Entry;
use crate::respond::plan::Plan;
use crate::respond::saga::Step;
use crate::store::{JournalEntry, Phase};

use super::fence::Asked;
use super::watch::{self, View};
use super::{Context, Outcome, Trouble};

/// A notification from before the case speaks of something else. Our own carries our own time, and a monitor's comes
/// after the power went, which is later than the case; so only what synchronised clocks may differ is allowed.
const CLOCKS_APART: Duration = Duration::from_secs(5);

/// What Masakari made of it.
pub(super) enum Handled {
    /// Every instance is elsewhere or accounted for.
    Settled(String),
    /// Masakari has ended, or never began, and instances are left: nova may be asked directly.
    Left(String),
    /// The step ends here.
    Ended(Outcome),
}

pub(super) async fn evacuate(
    context: &Context<'_>,
    plan: &Plan,
    fenced: &Fenced,
) -> Result<Handled, Trouble> {
    let notification = match known(context).await? {
        Some(known) => known,
        None => match notify(context, fenced).await? {
            Ok(notification) => notification,
            Err(refusal) => return Ok(Handled::Left(refusal)),
        },
    };
    follow(context, plan, fenced, notification).await
}

/// Whether Masakari was told in this case already, by us or by its own monitors.
pub(super) async fn known(context: &Context<'_>) -> Result<Option<Notification>, Trouble> {
    let newest = context.cloud.newest_stopped(&context.case.host).await?;
    let since = context.case.opened_at.minus(CLOCKS_APART);
    Ok(newest.filter(|known| known.generated_at.is_some_and(|at| at >= since)))
}

/// Whether Masakari recovers the host just now, by our notification or by its own monitors'.
pub(super) async fn at_work(context: &Context<'_>) -> Result<bool, Trouble> {
    if !context.cloud.has_masakari().await? {
        return Ok(false);
    }
    Ok(known(context)
        .await?
        .is_some_and(|known| !known.status.is_final()))
}

/// Tells Masakari; the inner error is a refusal after which nothing runs there.
async fn notify(context: &Context<'_>, fenced: &Fenced) -> Result<Result<Notification, String>, Trouble> {
    if let Some(why) = super::fence::still_off(context, fenced, Asked::Before).await? {
        let after = Some(Duration::from_secs(15));
        return Err(Trouble::Ended(Box::new(Outcome::Again { after, why })));
    }
    match context
        .cloud
        .notify_stopped(&context.leave, fenced, fenced_at(context, fenced))
        .await
    {
        Ok(Notified::Sent(sent)) => Ok(Ok(sent)),
        Ok(Notified::Adopted(adopted)) if is_of(context, &adopted) => Ok(Ok(adopted)),
        Ok(Notified::Adopted(old)) if old.status.is_final() => Ok(Err(format!(
            "Masakari refuses the notification because of an earlier one, {}, that has ended",
            old.id
        ))),
        Ok(Notified::Adopted(old)) => Err(Trouble::Ended(Box::new(Outcome::Again {
            after: Some(Duration::from_secs(10)),
            why: format!("Masakari still works on an earlier notification, {}", old.id),
        }))),
        // Unknown host, or maintenance without any notification: nothing runs there.
        Err(Error::Refused(answer) | Error::Conflict(answer)) => {
            Ok(Err(format!("Masakari refuses: {answer}")))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_of(context: &Context<'_>, notification: &Notification) -> bool {
    let since = context.case.opened_at.minus(CLOCKS_APART);
    notification.generated_at.is_some_and(|at| at >= since)
}

/// The time of the fence, the same after every restart: Masakari tells a duplicate by it.
fn fenced_at(context: &Context<'_>, fenced: &Fenced) -> Timestamp {
    let first = context
        .journal
        .iter()
        .find(|entry| entry.step == Step::Fence.as_str() && entry.phase == Phase::After);
    first.map_or_else(|| fenced.at(), |entry| entry.at)
}

async fn follow(
    context: &Context<'_>,
    plan: &Plan,
    fenced: &Fenced,
    mut notification: Notification,
) -> Result<Handled, Trouble> {
    let id = notification.id;
    let noted = json!({ "notification": id });
    if !context
        .remarks(Step::Evacuate)
        .any(|entry| entry.seen.as_ref() == Some(&noted))
    {
        context
            .note(
                Step::Evacuate,
                &Entry::with(format!("Masakari works on notification {id}"), &noted),
            )
            .await?;
    }
    let limit = context.respond.config.masakari_deadline;
    let end = Instant::now() + limit;
    loop {
        // Masakari is at it, whatever the BMC cannot say for a while.
        super::fence::still_off(context, fenced, Asked::Meanwhile).await?;
        let view = View::read(context.cloud, fenced.host()).await?;
        let mut recorded = watch::with_newcomers(context, plan, &view).await?;
        watch::look(context, &view, &mut recorded).await?;
        let settled = recorded.iter().all(watch::is_settled);
        let words = format!(
            "Masakari's notification {id} is {}; {}",
            word(&notification.status),
            watch::summary(&recorded)
        );
        if notification.status.is_final() || Instant::now() >= end {
            note_what_it_says(context, id).await?;
        }
        if notification.status.is_final() {
            let clean = settled && !recorded.iter().any(|known| known.state == watch::FAILED);
            return Ok(if clean {
                Handled::Settled(words)
            } else {
                Handled::Left(words)
            });
        }
        if Instant::now() >= end {
            // Nova's word counts: instances that are elsewhere are elsewhere.
            return Ok(if settled {
                Handled::Settled(words)
            } else {
                Handled::Ended(Outcome::Stuck(format!(
                    "{words} after {limit:?}; nova is not asked directly while Masakari may be at it: see \
                     masakari-engine's log, end the notification, then let the case go on"
                )))
            });
        }
        tokio::time::sleep(context.respond.pace).await;
        notification = context.cloud.notification(id).await?;
    }
}

/// The key under which the journal has what Masakari says of each instance.
pub(crate) const SAYS: &str = "masakari_says";

/// Masakari is waited for this long when it is asked what it did: nova's word decides, and instances wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// Notes what Masakari says of each instance, where it is new enough to say (1.3). For people: what became of an instance
/// is nova's to say.
async fn note_what_it_says(context: &Context<'_>, id: Uuid) -> Result<(), Trouble> {
    let entry = match tokio::time::timeout(PATIENCE, context.cloud.vm_moves(id)).await {
        Ok(Ok(None)) => return Ok(()),
        Ok(Ok(Some(moves))) => {
            let says = VmMove::words(&moves);
            let moved = says.values().filter(|words| words.starts_with("succeeded"));
            let words = format!(
                "Masakari says that it moved {} of {} instances",
                moved.count(),
                says.len()
            );
            Entry::with(words, &json!({ SAYS: says }))
        }
        Ok(Err(error)) => Entry::says(format!(
            "what Masakari did with each instance cannot be read: {error}"
        )),
        Err(_) => Entry::says(format!(
            "what Masakari did with each instance cannot be read: no answer within {PATIENCE:?}"
        )),
    };
    if !context.remarks(Step::Evacuate).any(|known| known == entry) {
        context.note(Step::Evacuate, &entry).await?;
    }
    Ok(())
}

fn word(status: &NotificationStatus) -> &str {
    match status {
        NotificationStatus::New => "new",
        NotificationStatus::Running => "running",
        NotificationStatus::Error => "in error, and tried once more",
        NotificationStatus::Failed => "failed",
        NotificationStatus::Ignored => "ignored",
        NotificationStatus::Finished => "finished",
        NotificationStatus::Other(word) => word,
    }
}

/// Puts the host under maintenance in Masakari, so that its monitors start no recovery beside ours. The inner
/// `false`: it is at work on the host already.
pub(in crate::respond) async fn pause(context: &Context<'_>) -> Result<bool, Error> {
    if !context.cloud.has_masakari().await? {
        return Ok(true);
    }
    let Some(host) = context.cloud.recovery_host(&context.case.host).await? else {
        return Ok(true);
    };
    if host.on_maintenance {
        return Ok(true);
    }
    match context.cloud.set_maintenance(&context.leave, &host, true).await {
        Ok(()) => Ok(true),
        Err(Error::Conflict(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a quarantine began the host's maintenance in Masakari: by asking for it, or by a notification, whose recovery
/// sets it.
pub(in crate::respond) fn begun_by(host: &HostName, quarantine: &[JournalEntry]) -> bool {
    let effects = [
        Effect::Maintenance(host.clone(), true).to_string(),
        Effect::Notify(host.clone()).to_string(),
    ];
    quarantine
        .iter()
        .filter(|entry| entry.phase == Phase::Intent)
        .filter_map(|entry| Entry::read(&entry.detail).seen)
        .any(|seen| {
            let effect = seen.get("effect").and_then(|effect| effect.as_str());
            effect.is_some_and(|effect| effects.iter().any(|known| known == effect))
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::config::ResponseMode;
    use crate::openstack::scripted::answer;
    use crate::respond::bench::{World, cloud_that};
    use crate::store::LeaseKind;

    const SEGMENTS: &str = r#"{"segments": [{"uuid": "9d1d0a8d-6c1f-4e3b-8f00-b00f79322cbd", "name": "s",
        "recovery_method": "auto", "enabled": true}]}"#;
    const HOSTS: &str = r#"{"hosts": [{"uuid": "eb16b4e6-9661-4c7f-a847-b00f79322cbd", "name": "cmp-1",
        "on_maintenance": true, "reserved": false}]}"#;

    #[tokio::test]
    async fn masakari_is_at_work_until_its_notification_of_this_case_has_ended() {
        for (status, minutes_later, works) in [
            ("running", 1, true),
            ("error", 1, true),
            ("finished", 1, false),
            ("running", -60, false),
        ] {
            let (_server, cloud) = cloud_that(move |request| match request.path.as_str() {
                "/v1/segments" => answer(200, SEGMENTS),
                path if path.ends_with("/hosts") => answer(200, HOSTS),
                path if path.starts_with("/v1/notifications") => {
                    let at = Timestamp::from_millis(crate::respond::bench::T0 + minutes_later * 60_000);
                    answer(
                        200,
                        format!(
                            r#"{{"notifications": [{{"notification_uuid": "b3f1e7a4-5c62-4c1e-9d1d-0a8d6c1f2e3b",
                            "status": "{status}", "type": "COMPUTE_HOST", "generated_time": "{at}",
                            "payload": {{"event": "STOPPED", "host_status": "NORMAL"}}}}]}}"#
                        ),
                    )
                }
                _ => answer(500, ""),
            })
            .await;
            let world = World::new(cloud).await;
            let case = world.case().await;
            let respond = world.respond(ResponseMode::Enforce);
            let lease = world.lease(LeaseKind::Case(case.id.clone())).await;
            let proof = Mutex::new(None);
            let context = Context::new(&respond, &world.cloud, &case, &[], &lease, &proof, Step::Evacuate);
            assert!(pause(&context).await.unwrap(), "it is under maintenance already");
            assert_eq!(
                at_work(&context).await.unwrap(),
                works,
                "{status}, {minutes_later} minutes later"
            );
        }
    }
}
