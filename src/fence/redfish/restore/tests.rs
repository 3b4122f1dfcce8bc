//! A BMC with a power restore policy. A fake: sushy-tools has none.

use std::sync::{Arc, Mutex};

use super::*;
use crate::config::secret::{Secret, SecretSource};
use crate::fence::power::Power;
use crate::fence::redfish::Target;
use crate::fence::trust::Trust;
use crate::openstack::scripted::{Answer as Reply, Request, Server, answer};
use crate::permit::{Asked, Denied, Freely, Permit};

/// How the scripted BMC behaves.
#[derive(Default)]
struct Bmc {
    /// The property, as JSON; without one the system has none.
    policy: Option<String>,
    /// Further properties of the system, as JSON.
    more: &'static str,
    /// It gives an ETag and asks for it; counts the versions.
    version: Option<u32>,
    /// So many changes by others come between reading and writing.
    races: u32,
    /// It shows the old value so often before it shows the new one.
    late: u32,
    coming: Option<String>,
    /// It takes a change and shows the old value.
    forgets: bool,
    refuses: Option<u16>,
}

async fn start(bmc: Bmc) -> (Server, Redfish, Arc<Mutex<Bmc>>) {
    let bmc = Arc::new(Mutex::new(bmc));
    let known = Arc::clone(&bmc);
    let server = Server::start(move |request| known.lock().unwrap().answer(request)).await;
    let redfish = Redfish::new(Target {
        url: server.url.parse().unwrap(),
        system: Some("1".to_owned()),
        system_uuid: None,
        username: "fence".to_owned(),
        password: SecretSource::Inline(Secret::new("hunter2".to_owned())),
        trust: Trust::System,
        timeout: Duration::from_secs(5),
    });
    (server, redfish.unwrap(), bmc)
}

impl Bmc {
    fn answer(&mut self, request: &Request) -> Reply {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/redfish/v1/") => answer(200, r#"{"Systems": {"@odata.id": "/redfish/v1/Systems"}}"#),
            ("GET", "/redfish/v1/Systems/1") => {
                if self.coming.is_some() && self.late == 0 {
                    self.policy = self.coming.take();
                }
                self.late = self.late.saturating_sub(u32::from(self.coming.is_some()));
                let policy = self.policy.as_ref();
                let policy =
                    policy.map_or(String::new(), |word| format!(r#", "PowerRestorePolicy": {word}"#));
                let body = format!(r#"{{"PowerState": "Off"{policy}{}}}"#, self.more);
                let tags = self.version.map(|version| ("ETag", format!("\"{version}\"")));
                let answer = Reply::Http(200, tags.into_iter().collect(), body);
                if self.races > 0 {
                    self.races -= 1;
                    self.version = self.version.map(|version| version + 1);
                }
                answer
            }
            ("PATCH", "/redfish/v1/Systems/1") => {
                let wanted = self.version.map(|version| format!("\"{version}\""));
                if request.header("if-match") != wanted.as_deref() {
                    return answer(412, r#"{"error": {"message": "changed meanwhile"}}"#);
                }
                if let Some(status) = self.refuses {
                    return answer(status, r#"{"error": {"message": "it cannot be set, hunter2"}}"#);
                }
                let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
                if self.late > 0 {
                    self.coming = Some(body["PowerRestorePolicy"].to_string());
                } else if !self.forgets {
                    self.policy = Some(body["PowerRestorePolicy"].to_string());
                }
                answer(204, "")
            }
            _ => answer(404, "{}"),
        }
    }
}

fn last_state() -> Option<String> {
    Some(r#""LastState""#.to_owned())
}

#[tokio::test]
async fn a_change_carries_the_etag_where_there_is_one_and_is_read_back() {
    for version in [Some(7), None] {
        let (server, redfish, _) = start(Bmc {
            policy: last_state(),
            version,
            ..Bmc::default()
        })
        .await;
        assert_eq!(
            redfish.restore_policy().await.unwrap().as_deref(),
            Some("LastState")
        );
        for _ in 0..2 {
            let set = redfish.set_restore_policy("AlwaysOff", &Freely).await.unwrap();
            assert_eq!(set.as_deref(), Some("AlwaysOff"));
        }
        assert_eq!(server.count("PATCH"), 1, "what is so already is not asked for");
    }
}

#[tokio::test]
async fn a_change_that_came_in_between_is_looked_at_once() {
    let racing = |races| Bmc {
        policy: last_state(),
        version: Some(1),
        races,
        ..Bmc::default()
    };
    let (server, redfish, _) = start(racing(1)).await;
    let set = redfish.set_restore_policy("AlwaysOff", &Freely).await.unwrap();
    assert_eq!((set.as_deref(), server.count("PATCH")), (Some("AlwaysOff"), 2));
    let (server, redfish, _) = start(racing(9)).await;
    let error = redfish
        .set_restore_policy("AlwaysOff", &Freely)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Refused { status: 412, .. }), "{error}");
    assert_eq!(server.count("PATCH"), 2);
}

#[tokio::test]
async fn a_change_that_is_shown_late_is_waited_for() {
    let (server, redfish, _) = start(Bmc {
        policy: last_state(),
        late: 1,
        ..Bmc::default()
    })
    .await;
    let set = redfish.set_restore_policy("AlwaysOff", &Freely).await.unwrap();
    assert_eq!(set.as_deref(), Some("AlwaysOff"));
    assert_eq!(server.count("PATCH"), 1);
}

/// Whatever stands there, the power can be read: a fence does not depend on it.
#[tokio::test]
async fn a_policy_that_is_none_or_no_word_is_not_touched_and_hides_nothing() {
    let odd = [
        r#""""#,
        "null",
        "7",
        r#"{"a": 1}"#,
        r#""Last State""#,
        r#""\u001b[2J""#,
    ];
    let odd = odd.into_iter().map(|word| Some(word.to_owned()));
    for policy in odd.chain([None, Some(format!("\"{}\"", "x".repeat(41)))]) {
        let (server, redfish, _) = start(Bmc {
            policy: policy.clone(),
            ..Bmc::default()
        })
        .await;
        assert_eq!(redfish.power_state().await.unwrap(), Power::Off, "{policy:?}");
        assert_eq!(redfish.restore_policy().await.unwrap(), None, "{policy:?}");
        assert_eq!(
            redfish.set_restore_policy("AlwaysOff", &Freely).await.unwrap(),
            None
        );
        assert_eq!(server.count("PATCH"), 0);
    }
}

/// It may be our password, and would go into the journal.
#[tokio::test]
async fn a_word_that_is_not_the_schemas_is_not_told() {
    let (_server, redfish, _) = start(Bmc {
        policy: Some(r#""hunter2""#.to_owned()),
        forgets: true,
        ..Bmc::default()
    })
    .await;
    let shown = redfish.restore_policy().await.unwrap();
    assert_eq!(shown.as_deref(), Some("an unknown word"));
    let set = redfish.set_restore_policy("AlwaysOff", &Freely).await.unwrap();
    assert_eq!(set.as_deref(), Some("an unknown word"));
}

#[tokio::test]
async fn what_is_not_offered_is_not_asked_for() {
    let (server, redfish, _) = start(Bmc {
        policy: last_state(),
        more: r#", "PowerRestorePolicy@Redfish.AllowableValues": ["AlwaysOn", "LastState"]"#,
        ..Bmc::default()
    })
    .await;
    let error = redfish
        .set_restore_policy("AlwaysOff", &Freely)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::NotOffered { .. }) && error.to_string().contains("AlwaysOn, LastState"),
        "{error}"
    );
    assert_eq!(server.count("PATCH"), 0);
}

#[tokio::test]
async fn a_refusal_is_told_without_the_password_and_a_change_that_is_forgotten_is_seen() {
    let (_server, redfish, bmc) = start(Bmc {
        policy: last_state(),
        refuses: Some(405),
        ..Bmc::default()
    })
    .await;
    let error = redfish
        .set_restore_policy("AlwaysOff", &Freely)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Refused { status: 405, .. }), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    {
        let mut bmc = bmc.lock().unwrap();
        (bmc.refuses, bmc.forgets) = (None, true);
    }
    let set = redfish.set_restore_policy("AlwaysOff", &Freely).await.unwrap();
    assert_eq!(set.as_deref(), Some("LastState"));
}

/// Gives no leave.
struct Never;

impl Permits for Never {
    fn ask<'a>(&'a self, _: &'a Effect) -> Asked<'a, Result<Permit, Denied>> {
        Box::pin(async {
            Err(Denied {
                why: "the lease is lost".to_owned(),
                passes: false,
            })
        })
    }

    fn answered<'a>(&'a self, _: &'a Effect, _: &'a str) -> Asked<'a, ()> {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn without_leave_the_policy_stays() {
    let (server, redfish, _) = start(Bmc {
        policy: last_state(),
        ..Bmc::default()
    })
    .await;
    let error = redfish.set_restore_policy("AlwaysOff", &Never).await.unwrap_err();
    assert!(matches!(error, Error::NotPermitted { .. }), "{error}");
    assert_eq!(server.count("PATCH"), 0);
}
