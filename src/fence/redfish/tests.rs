//! What BMCs answer that the lab's does not: sessions, refusals when off, tasks, other machines.

mod words;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::config::secret::Secret;
use crate::fence::{Method as FenceMethod, Methods, Power, Watch};
use crate::openstack::scripted::{Answer as Reply, Request, Server, answer};
use crate::permit::{Asked, Denied, Effect, Freely, Permit, Permits};

use super::*;

const UUID: &str = "4c4c4544-0042-3510-8052-b4c04f4a3532";

fn target(server: &Server) -> Target {
    Target {
        url: server.url.parse().unwrap(),
        system: Some("1".to_owned()),
        system_uuid: Some(UUID.parse().unwrap()),
        username: "fence".to_owned(),
        password: SecretSource::Inline(Secret::new("hunter2".to_owned())),
        trust: Trust::System,
        timeout: Duration::from_secs(5),
    }
}

/// How the scripted BMC behaves.
#[derive(Clone, Default)]
struct Bmc {
    sessions: bool,
    /// Answers to the reset; afterwards it is off when `obeys`.
    reset: u16,
    obeys: bool,
    off: Arc<AtomicBool>,
    uuid: Option<&'static str>,
    allowed: Option<&'static str>,
}

impl Bmc {
    fn answer(&self, request: &Request) -> Reply {
        let signed = request.header("x-auth-token") == Some("s3ss10n")
            || (!self.sessions && request.header("authorization").is_some());
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/redfish/v1/") => {
                let links =
                    r#", "Links": {"Sessions": {"@odata.id": "/redfish/v1/SessionService/Sessions"}}"#;
                let links = if self.sessions { links } else { "" };
                answer(
                    200,
                    format!(r#"{{"Systems": {{"@odata.id": "/redfish/v1/Systems"}}{links}}}"#),
                )
            }
            ("POST", "/redfish/v1/SessionService/Sessions") if request.body.contains("hunter2") => {
                Reply::Http(
                    201,
                    vec![
                        ("X-Auth-Token", "s3ss10n".into()),
                        ("Location", "/redfish/v1/SessionService/Sessions/9".into()),
                    ],
                    String::new(),
                )
            }
            _ if !signed => answer(401, "{}"),
            ("DELETE", "/redfish/v1/SessionService/Sessions/9") => answer(204, ""),
            ("GET", "/redfish/v1/Systems/1") => {
                let power = if self.off.load(Ordering::SeqCst) {
                    "Off"
                } else {
                    "On"
                };
                let uuid = self.uuid.unwrap_or("4C4C4544-0042-3510-8052-B4C04F4A3532");
                let allowed = self.allowed.unwrap_or(r#""On", "ForceOff""#);
                answer(
                    200,
                    format!(
                        r##"{{"UUID": "{uuid}", "PowerState": "{power}", "Actions": {{"#ComputerSystem.Reset":
                    {{"target": "/redfish/v1/Systems/1/Actions/Go", "ResetType@Redfish.AllowableValues": [{allowed}]}}}}}}"##
                    ),
                )
            }
            ("POST", "/redfish/v1/Systems/1/Actions/Go") => {
                if self.obeys {
                    self.off
                        .store(request.body.contains("ForceOff"), Ordering::SeqCst);
                }
                answer(self.reset, r#"{"error": {"message": "as told"}}"#)
            }
            _ => answer(404, "{}"),
        }
    }

    async fn start(self) -> Server {
        Server::start(move |request| self.answer(request)).await
    }
}

fn watch() -> Watch {
    Watch {
        off_polls: 2,
        poll_interval: Duration::from_millis(10),
        heartbeat_silence: Duration::ZERO,
        deadline: Duration::from_millis(500),
    }
}

/// The caller waits no longer: while it logs in, and after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_deleted_also_when_nobody_waits_for_its_operation_any_more() {
    for slow in [
        "POST /redfish/v1/SessionService/Sessions",
        "GET /redfish/v1/Systems/1",
    ] {
        let bmc = Bmc {
            sessions: true,
            ..Bmc::default()
        };
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (gate, asked) = (std::sync::Mutex::new(gate), Arc::new(AtomicBool::new(false)));
        let reached = Arc::clone(&asked);
        let server = Server::start(move |request| {
            if format!("{} {}", request.method, request.path) == slow {
                reached.store(true, Ordering::SeqCst);
                // Until the caller is gone.
                gate.lock().unwrap().recv().unwrap();
            }
            bmc.answer(request)
        })
        .await;
        let redfish = Redfish::new(target(&server)).unwrap();
        let caller = tokio::spawn(async move { redfish.power_state().await });
        let so = async |so: &dyn Fn() -> bool| {
            while !so() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        so(&|| asked.load(Ordering::SeqCst)).await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        go.send(()).unwrap();
        let deleted = || server.count("DELETE /redfish/v1/SessionService/Sessions/9") == 1;
        let in_time = tokio::time::timeout(Duration::from_secs(20), so(&deleted)).await;
        assert!(in_time.is_ok(), "given up in {slow}: the session stays");
    }
}

#[tokio::test]
async fn a_session_is_used_and_deleted_also_after_a_failure() {
    let server = Bmc {
        sessions: true,
        reset: 500,
        ..Bmc::default()
    }
    .start()
    .await;
    let redfish = Redfish::new(target(&server)).unwrap();
    assert_eq!(redfish.power_state().await.unwrap(), Power::On);
    redfish.ask_off(&Freely).await.unwrap_err();
    assert_eq!(server.count("POST /redfish/v1/SessionService/Sessions"), 2);
    assert_eq!(server.count("DELETE /redfish/v1/SessionService/Sessions/9"), 2);
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
async fn without_leave_nothing_is_switched_and_no_other_method_is_tried() {
    let server = Bmc::default().start().await;
    let method = || FenceMethod::Redfish(Redfish::new(target(&server)).unwrap());
    let methods = Methods::new("cmp-1".parse().unwrap(), vec![method(), method()]);
    let failed = methods
        .power_off(&Never, &watch(), &BTreeSet::new())
        .await
        .unwrap_err();
    assert!(
        matches!(
            failed.attempts.as_slice(),
            [crate::fence::Attempt {
                outcome: Err(Error::NotPermitted { .. }),
                ..
            }]
        ),
        "{failed}"
    );
    assert!(!failed.attempts[0].outcome.as_ref().unwrap_err().suspicious());
    assert_eq!(server.count("POST /redfish/v1/Systems"), 0);
}

#[tokio::test]
async fn a_bmc_without_sessions_gets_basic_authentication() {
    let server = Bmc {
        reset: 202,
        obeys: true,
        ..Bmc::default()
    }
    .start()
    .await;
    let redfish = Redfish::new(target(&server)).unwrap();
    redfish.ask_off(&Freely).await.unwrap();
    assert_eq!(redfish.power_state().await.unwrap(), Power::Off);
}

#[tokio::test]
async fn a_changed_password_is_suspicious_and_not_tried_twice() {
    let server = Bmc {
        sessions: true,
        ..Bmc::default()
    }
    .start()
    .await;
    let mut target = target(&server);
    target.password = SecretSource::Inline(Secret::new("old".to_owned()));
    let error = Redfish::new(target).unwrap().power_state().await.unwrap_err();
    assert!(
        matches!(error, Error::Credentials { status: 401, .. }) && error.suspicious(),
        "{error}"
    );
    assert_eq!(server.seen().len(), 2, "{:?}", server.seen());
}

#[tokio::test]
async fn a_refusal_is_looked_behind() {
    for status in [400, 409] {
        let off = Bmc {
            reset: status,
            off: Arc::new(true.into()),
            ..Bmc::default()
        }
        .start()
        .await;
        Redfish::new(target(&off))
            .unwrap()
            .ask_off(&Freely)
            .await
            .unwrap();
        let on = Bmc {
            reset: status,
            ..Bmc::default()
        }
        .start()
        .await;
        let error = Redfish::new(target(&on))
            .unwrap()
            .ask_off(&Freely)
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Refused { .. }) && error.to_string().contains("as told"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn another_machine_is_neither_read_nor_switched() {
    for uuid in ["00000000-0000-0000-0000-000000000000", "", "garbage"] {
        let server = Bmc {
            reset: 204,
            obeys: true,
            uuid: Some(uuid),
            ..Bmc::default()
        }
        .start()
        .await;
        let redfish = Redfish::new(target(&server)).unwrap();
        for error in [
            redfish.ask_off(&Freely).await.unwrap_err(),
            redfish.power_state().await.unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::OtherMachine { .. }) && error.suspicious(),
                "{error}"
            );
        }
        assert_eq!(server.count("POST"), 0);
    }
}

#[tokio::test]
async fn a_bmc_without_force_off_is_not_asked() {
    let server = Bmc {
        allowed: Some(r#""On", "GracefulShutdown""#),
        ..Bmc::default()
    }
    .start()
    .await;
    let error = Redfish::new(target(&server))
        .unwrap()
        .ask_off(&Freely)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::NotOffered { .. }) && error.to_string().contains("GracefulShutdown"),
        "{error}"
    );
    assert_eq!(server.count("POST"), 0);
}

#[tokio::test]
async fn a_link_to_elsewhere_does_not_get_the_password() {
    let elsewhere = Server::start(|_| answer(200, "{}")).await;
    let root = format!(
        r#"{{"Systems": {{"@odata.id": "{}/redfish/v1/Systems"}}}}"#,
        elsewhere.url
    );
    let server = Server::start(move |_| answer(200, root.clone())).await;
    let error = Redfish::new(target(&server))
        .unwrap()
        .power_state()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("another address"), "{error}");
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn among_several_systems_none_is_guessed() {
    let script = |request: &Request| match request.path.as_str() {
        "/redfish/v1/" => answer(200, r#"{"Systems": {"@odata.id": "/redfish/v1/Systems"}}"#),
        "/redfish/v1/Systems" => answer(
            200,
            r#"{"Members": [{"@odata.id": "/redfish/v1/Systems/a"}, {"@odata.id": "/redfish/v1/Systems/b"}]}"#,
        ),
        "/redfish/v1/Systems/a" => answer(
            200,
            r#"{"UUID": "00000000-0000-4000-8000-00000000000a", "PowerState": "On"}"#,
        ),
        _ => answer(200, format!(r#"{{"UUID": "{UUID}", "PowerState": "Off"}}"#)),
    };
    let server = Server::start(script).await;
    let mut target = target(&server);
    target.system = None;
    assert_eq!(
        Redfish::new(target.clone()).unwrap().power_state().await.unwrap(),
        Power::Off
    );
    target.system_uuid = None;
    let error = Redfish::new(target).unwrap().power_state().await.unwrap_err();
    assert!(matches!(error, Error::WhichSystem { found: 2, .. }), "{error}");
}

#[tokio::test]
async fn the_next_method_is_tried_when_a_bmc_says_204_and_stays_on() {
    let asked = Arc::new(AtomicUsize::new(0));
    let liar = Bmc {
        reset: 204,
        ..Bmc::default()
    }
    .start()
    .await;
    let honest = Bmc {
        reset: 204,
        obeys: true,
        ..Bmc::default()
    }
    .start()
    .await;
    let method = |server: &Server| FenceMethod::Redfish(Redfish::new(target(server)).unwrap());
    let methods = Methods::new("cmp-1".parse().unwrap(), vec![method(&liar), method(&honest)]);
    let done = methods
        .power_off(&Freely, &watch(), &BTreeSet::new())
        .await
        .unwrap();
    let words: Vec<String> = done.attempts.iter().map(ToString::to_string).collect();
    assert!(
        matches!(done.attempts[0].outcome, Err(Error::StaysOn { .. })),
        "{words:?}"
    );
    assert!(matches!(done.attempts[1].outcome, Ok(true)), "{words:?}");
    assert!(done.by.name().ends_with(honest.url.rsplit(':').next().unwrap()));
    asked.fetch_add(honest.count("POST"), Ordering::SeqCst);
    // Off already: nothing is asked again.
    let again = Methods::new("cmp-1".parse().unwrap(), vec![method(&honest)]);
    assert!(matches!(
        again
            .power_off(&Freely, &watch(), &BTreeSet::new())
            .await
            .unwrap()
            .attempts[0]
            .outcome,
        Ok(false)
    ));
    assert_eq!(honest.count("POST"), asked.load(Ordering::SeqCst));
    let only_liar = Methods::new("cmp-1".parse().unwrap(), vec![method(&liar)]);
    let error = only_liar
        .power_off(&Freely, &watch(), &BTreeSet::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("by hand"), "{error}");
}

#[test]
fn plain_http_and_credentials_in_the_url_are_a_choice_and_a_mistake() {
    let mut target = Target {
        url: "ftp://bmc".parse().unwrap(),
        system: None,
        system_uuid: None,
        username: "u".to_owned(),
        password: SecretSource::Inline(Secret::new("p".to_owned())),
        trust: Trust::Ca(b"no certificate".to_vec()),
        timeout: Duration::from_secs(1),
    };
    assert!(Redfish::new(target.clone()).is_err());
    target.url = "https://u:p@bmc".parse().unwrap();
    assert!(Redfish::new(target.clone()).is_err());
    target.url = "https://bmc".parse().unwrap();
    assert!(
        Redfish::new(target.clone()).is_err(),
        "a CA file without a certificate trusts nobody"
    );
}

#[tokio::test]
async fn a_system_may_be_named_by_its_whole_path() {
    let server = Bmc::default().start().await;
    let mut target = target(&server);
    target.system = Some("/redfish/v1/Systems/1".to_owned());
    let redfish = Redfish::new(target).unwrap();
    assert_eq!(redfish.power_state().await.unwrap(), Power::On);
}

#[tokio::test]
async fn a_bmcs_words_are_cut_and_cannot_drive_a_terminal() {
    let long: &'static str = String::leak(format!("\"\\u001b[2J{}\"", "x".repeat(5000)));
    let server = Bmc {
        allowed: Some(long),
        ..Bmc::default()
    }
    .start()
    .await;
    let words = Redfish::new(target(&server))
        .unwrap()
        .ask_off(&Freely)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        words.contains("[2Jxxx") && !words.contains('\u{1b}') && words.len() < 500,
        "{words}"
    );
}

/// barbican with one secret that is rotated. Not the real one: that is in tests/cloud.
struct Vault(std::sync::Mutex<&'static str>);

impl crate::secrets::Vault for Vault {
    fn fetch<'a>(
        &'a self,
        _: &'a crate::config::secret::BarbicanRef,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Secret, String>> + Send + 'a>> {
        let now = *self.0.lock().unwrap();
        Box::pin(async move { Ok(Secret::new(now.to_owned())) })
    }
}

#[tokio::test]
async fn a_password_that_was_rotated_in_barbican_is_fetched_once_again_and_a_wrong_one_is_not_repeated() {
    for sessions in [true, false] {
        let server = Bmc {
            sessions,
            reset: 204,
            obeys: true,
            ..Bmc::default()
        };
        // Without sessions the scripted BMC takes any basic authentication but this.
        let server = Server::start(move |request| match request.header("authorization") {
            Some("Basic ZmVuY2U6b2xk") => answer(401, "{}"),
            _ => server.answer(request),
        })
        .await;
        let vault = Arc::new(Vault(std::sync::Mutex::new("old")));
        let secrets = Secrets::from(Arc::clone(&vault) as Arc<dyn crate::secrets::Vault>);
        let mut target = target(&server);
        target.password = SecretSource::Barbican("name:bmc".parse().unwrap());
        let redfish = Redfish::new(target).unwrap().with_secrets(secrets);
        let error = redfish.power_state().await.unwrap_err();
        assert!(matches!(error, super::Error::Credentials { .. }), "{error}");
        let refused = server
            .seen()
            .iter()
            .filter(|line| !line.contains("GET /redfish/v1/ "))
            .count();
        let logins = |server: &Server| {
            let line = if sessions {
                "POST /redfish/v1/SessionService"
            } else {
                "GET /redfish/v1/Systems/1"
            };
            server.count(line)
        };
        assert_eq!(
            logins(&server),
            1,
            "the same password again counts towards a lock-out: {refused}"
        );
        *vault.0.lock().unwrap() = "hunter2";
        redfish.ask_off(&Freely).await.unwrap();
        assert_eq!(redfish.power_state().await.unwrap(), Power::Off);
    }
}
