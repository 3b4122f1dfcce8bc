//! How the simulation is broken on purpose: each is a hole in what the daemon does, or is told, or in what is recorded
//! of it, and a rule has to see it.

use crate::config::{Response, ResponseMode};
use crate::respond::tests::cloud::{Answer, Request};

/// How the simulation is broken on purpose, so that a rule is seen to catch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// It is not.
    None,
    /// BMC, heartbeat and agent all say that a host is off while it runs.
    HostsLie,
    /// nova does not tell of evacuations that are under way.
    HidesMoves,
    /// The daemon's limit on cases is far too high.
    LaxLimits,
    /// nova tells of hosts as enabled and up that are not.
    FeignsHosts,
    /// Silence is taken for condemnation.
    Slander,
    /// The daemon enforces in mode `observe`.
    EnforcesAnyway,
    /// nova tells of forced_down what is not so.
    ForgesDown,
    /// No daemon runs at the end.
    NeverDrives,
    /// Nobody looks again at a host that is kept out.
    NobodyLooksAgain,
    /// Something acts without a case.
    ActsUnasked,
    /// Each time that something is sent, somebody else has just taken the lease.
    OthersTakeOver,
    /// What one process sends another one sends as well, under the same lease.
    TwoAtOnce,
    /// A closed case is told again, as another event.
    SaysTwice,
    /// Guests run on where the power is gone.
    Ghosts,
    /// nova tells of no server groups.
    HidesGroups,
    /// What forces a host down does not keep it disabled.
    DownOnly,
    /// Whoever attests for a release says Affirming, whatever the host is.
    Whitewash,
    /// Releases are planned without what people have to do first.
    AsksNobody,
    /// A host counts as any other as soon as its release has begun.
    TrustsEarly,
    /// Pauses are not written down.
    ForgetsPauses,
    /// What a person holds goes on by itself.
    ForgetsHolds,
    /// The daemon sees no shared cause, however many hosts have it.
    NoBrake,
    /// Nothing that is put back reaches the outbox.
    KeepsQuiet,
}

impl Mutant {
    /// The daemon's configuration.
    pub(super) fn config(self, config: &Response) -> Response {
        let mut config = config.clone();
        match self {
            Self::LaxLimits => {
                (
                    config.max_cases,
                    config.max_cases_zone,
                    config.max_cases_aggregate,
                ) = (99, 99, 99);
            }
            Self::NoBrake => config.brake_hosts = 99,
            Self::EnforcesAnyway => config.mode = ResponseMode::Enforce,
            _ => {}
        }
        config
    }

    /// What the daemon is told instead of this answer.
    pub(super) fn tells(self, request: &Request, answer: Answer) -> Answer {
        let path = request.path.as_str();
        let told = |body: String| Answer {
            body,
            ..answer.clone()
        };
        match self {
            Self::HidesGroups if path.ends_with("/os-server-groups") => {
                told(r#"{"server_groups": []}"#.to_owned())
            }
            Self::HidesMoves if path.ends_with("/os-migrations") => told(r#"{"migrations": []}"#.to_owned()),
            Self::HidesMoves if path.contains("/servers/") => {
                told(answer.body.replace(r#""rebuilding""#, "null"))
            }
            Self::ForgesDown if path.ends_with("/os-services") && request.query.contains("host=") => told(
                answer
                    .body
                    .replace(r#""forced_down":false"#, r#""forced_down":true"#),
            ),
            Self::FeignsHosts if path.ends_with("/os-services") && !request.query.contains("host=") => {
                let body = answer
                    .body
                    .replace("disabled\",", "enabled\",")
                    .replace(r#""down""#, r#""up""#);
                told(body.replace(r#""forced_down":true"#, r#""forced_down":false"#))
            }
            Self::HostsLie if path.ends_with("/Systems/1") => {
                told(answer.body.replace(r#""On""#, r#""Off""#))
            }
            Self::HostsLie if path.ends_with("/os-services") => {
                let mut body: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
                for service in body["services"].as_array_mut().into_iter().flatten() {
                    service["updated_at"] = "2026-11-21T06:00:00.000000".into();
                }
                told(body.to_string())
            }
            _ => answer,
        }
    }
}
