//! nova's compute services: whether instances may land on a host, and whether it still reports.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::fence::HeartbeatSignal;
use crate::ids::{HostName, ServiceId};
use crate::permit::{Act, Effect, Permits};

use super::call::{Call, Service};
use super::error::Error;
use super::listed::Odd;
use super::session::Cloud;
use super::time;

/// The longest reason that nova stores with a disabled service.
pub const DISABLED_REASON_MAX: usize = 255;

const LIST_RIGHT: &str = "os_compute_api:os-services:list";
const UPDATE_RIGHT: &str = "os_compute_api:os-services:update";

/// One nova-compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputeService {
    /// Its id, the same for ever.
    pub id: ServiceId,
    /// Its host.
    pub host: HostName,
    /// Availability zone.
    pub zone: Option<String>,
    /// Whether the scheduler may use it.
    pub enabled: bool,
    /// Why it is disabled.
    pub disabled_reason: Option<String>,
    /// Whether nova was told that it is down.
    pub forced_down: bool,
    /// Whether nova takes it for up.
    pub up: bool,
    /// Its last heartbeat, by nova's clock. Not touched by disabling or forcing down.
    pub heartbeat: Option<Timestamp>,
}

/// All compute services, and the hosts that nothing can be said of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComputeServices {
    /// The services that nova knows about now.
    pub known: Vec<ComputeService>,
    /// Hosts of a cell that is down, or whose row cannot be read: nothing can be said of them.
    pub not_known: Vec<HostName>,
    /// Why rows were left out: their name cannot be a host's. A host says itself what it is called.
    pub left_out: Vec<String>,
}

#[derive(Deserialize)]
struct List {
    services: Vec<Value>,
}

#[derive(Deserialize)]
struct One {
    service: Row,
}

/// A row; from a cell that is down only `host` and `status: UNKNOWN` come.
#[derive(Deserialize)]
struct Row {
    host: HostName,
    status: String,
    id: Option<ServiceId>,
    zone: Option<String>,
    state: Option<String>,
    disabled_reason: Option<String>,
    forced_down: Option<bool>,
    #[serde(default, deserialize_with = "time::optional")]
    updated_at: Option<Timestamp>,
}

impl Row {
    fn known(self) -> Result<ComputeService, HostName> {
        let (Some(id), Some(state), Some(forced_down)) = (self.id, self.state, self.forced_down) else {
            return Err(self.host);
        };
        let enabled = match self.status.as_str() {
            "enabled" => true,
            "disabled" => false,
            _ => return Err(self.host),
        };
        Ok(ComputeService {
            id,
            host: self.host,
            zone: self.zone,
            enabled,
            disabled_reason: self.disabled_reason,
            forced_down,
            up: state == "up",
            heartbeat: self.updated_at,
        })
    }
}

/// Row by row: one that cannot be read hides no other, and is never taken for a host that is not there.
fn sorted(rows: Vec<Value>) -> ComputeServices {
    let mut services = ComputeServices::default();
    let mut odd = Odd::default();
    for row in rows {
        let name = row.get("host").and_then(Value::as_str).unwrap_or_default();
        let host: HostName = match name.parse() {
            Ok(host) => host,
            Err(error) => {
                odd.leave_out(&error);
                services.left_out.push(error.to_string());
                continue;
            }
        };
        match Row::deserialize(row).map(Row::known) {
            Ok(Ok(service)) => services.known.push(service),
            Ok(Err(host)) => services.not_known.push(host),
            Err(error) => {
                odd.leave_out(format_args!("{host}: {error}"));
                services.not_known.push(host);
            }
        }
    }
    odd.say("compute services");
    services
}

impl Cloud {
    /// All compute services.
    pub async fn compute_services(&self) -> Result<ComputeServices, Error> {
        let call = Call::get(Service::Compute, "/os-services", "list the compute services")
            .query("binary", "nova-compute")
            .right(LIST_RIGHT);
        Ok(sorted(self.json::<List>(call).await?.services))
    }

    /// The compute service of one host; `None` when nova has no such host.
    pub async fn compute_service(&self, host: &HostName) -> Result<Option<ComputeService>, Error> {
        let doing = format!("read the compute service of {host}");
        let call = Call::get(Service::Compute, "/os-services", &doing)
            .query("binary", "nova-compute")
            .query("host", host.as_str())
            .right(LIST_RIGHT);
        let services = sorted(self.json::<List>(call).await?.services);
        if services.not_known.contains(host) {
            return Err(Error::NotKnown {
                call: doing,
                what: format!("the state of {host}"),
            });
        }
        let found = services.known.into_iter().find(|service| service.host == *host);
        match (found, services.left_out.into_iter().next()) {
            // Whatever was left out may have been its row: "none" would be a guess.
            (None, Some(why)) => Err(Error::Unreadable {
                call: doing,
                service: Service::Compute,
                reason: why,
            }),
            (found, _) => Ok(found),
        }
    }

    /// Keeps new instances off a host. Repeating it is harmless. nova asks the host itself before it answers,
    /// so a hung host makes this time out although it took effect: look then.
    pub async fn disable(
        &self,
        permits: &dyn Permits,
        service: &ComputeService,
        reason: &str,
    ) -> Result<ComputeService, Error> {
        let effect = Effect::Disable(service.host.clone());
        let doing = format!("disable the compute service of {}", service.host);
        let body = json!({"status": "disabled", "disabled_reason": reason});
        self.update(Act { effect, permits }, service, &doing, reason, body)
            .await
    }

    /// Makes nova treat the host as down, in the same request that keeps it disabled, so that no other tool
    /// ever sees it forced down *and* enabled.
    ///
    /// nova checks nothing: to be called only once the host was seen off, hence the proof. The reason is
    /// written again because Masakari overwrites it.
    pub async fn force_down(
        &self,
        permits: &dyn Permits,
        fenced: &crate::fence::Fenced,
        service: &ComputeService,
        reason: &str,
    ) -> Result<ComputeService, Error> {
        let doing = format!("force down the compute service of {}", service.host);
        if *fenced.host() != service.host {
            return Err(Error::NotOnFencedHost {
                call: doing,
                found: service.host.to_string(),
                fenced: fenced.host().clone(),
            });
        }
        let body = json!({"status": "disabled", "disabled_reason": reason, "forced_down": true});
        let effect = Effect::ForceDown(service.host.clone());
        self.update(Act { effect, permits }, service, &doing, reason, body)
            .await
    }

    /// Lets instances land on a host again. Only a release does this.
    pub async fn enable(
        &self,
        permits: &dyn Permits,
        service: &ComputeService,
    ) -> Result<ComputeService, Error> {
        let doing = format!("enable the compute service of {}", service.host);
        let effect = Effect::Enable(service.host.clone());
        let body = json!({"status": "enabled"});
        self.put(Act { effect, permits }, service, &doing, body).await
    }

    /// Takes `forced_down` back. nova refuses (400) until the host's nova-compute has restarted and its
    /// evacuations are `completed`. Only a release does this.
    pub async fn clear_forced_down(
        &self,
        permits: &dyn Permits,
        service: &ComputeService,
    ) -> Result<ComputeService, Error> {
        let doing = format!(
            "take forced_down back from the compute service of {}",
            service.host
        );
        let effect = Effect::ClearForcedDown(service.host.clone());
        let body = json!({"forced_down": false});
        self.put(Act { effect, permits }, service, &doing, body).await
    }

    /// The heartbeat of a host's nova-compute, as one of the signals that prove a fence.
    pub fn heartbeat<'a>(&'a self, host: &'a HostName) -> ComputeHeartbeat<'a> {
        ComputeHeartbeat { cloud: self, host }
    }

    async fn update(
        &self,
        act: Act<'_>,
        service: &ComputeService,
        doing: &str,
        reason: &str,
        body: Value,
    ) -> Result<ComputeService, Error> {
        let found = reason.chars().count();
        if found == 0 || found > DISABLED_REASON_MAX {
            return Err(Error::Reason {
                host: service.host.to_string(),
                found,
                limit: DISABLED_REASON_MAX,
            });
        }
        self.put(act, service, doing, body).await
    }

    async fn put(
        &self,
        act: Act<'_>,
        service: &ComputeService,
        doing: &str,
        body: Value,
    ) -> Result<ComputeService, Error> {
        let call = Call::put(Service::Compute, &format!("/os-services/{}", service.id), doing)
            .body(body)
            .right(UPDATE_RIGHT);
        let answer: One = self.act_json(call, act).await?;
        answer.service.known().map_err(|host| Error::NotKnown {
            call: doing.to_owned(),
            what: format!("the state of {host}"),
        })
    }
}

/// Reads one host's heartbeat from nova.
#[derive(Debug, Clone, Copy)]
pub struct ComputeHeartbeat<'a> {
    cloud: &'a Cloud,
    host: &'a HostName,
}

impl HeartbeatSignal for ComputeHeartbeat<'_> {
    type Error = Error;

    async fn last_heartbeat(&self, within: Duration) -> Result<Option<Timestamp>, Error> {
        let unanswered = || Error::Deadline {
            call: format!("read the heartbeat of {}", self.host),
            service: Service::Compute,
            after: within,
            maybe_done: false,
        };
        tokio::time::timeout(within, self.cloud.compute_service(self.host))
            .await
            .map_err(|_| unanswered())?
            .map(|service| service.and_then(|service| service.heartbeat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"services": [
        {"binary": "nova-compute", "host": "cmp-1", "id": "eb16b4e6-9661-4c7f-a847-b00f79322cbd", "zone": "nova",
         "status": "disabled", "state": "down", "updated_at": "2026-11-21T06:53:47.000000",
         "disabled_reason": "lazaret case q-20261121-7f3a2c: x", "forced_down": true},
        {"binary": "nova-compute", "host": "cmp-9", "status": "UNKNOWN"}]}"#;

    #[test]
    fn a_host_of_a_cell_that_is_down_is_not_known_rather_than_absent() {
        let services = sorted(serde_json::from_str::<List>(LIST).unwrap().services);
        assert_eq!(services.not_known, ["cmp-9".parse().unwrap()]);
        let [known] = services.known.as_slice() else {
            panic!("{services:?}")
        };
        assert!(!known.enabled && known.forced_down && !known.up);
        assert_eq!(known.heartbeat, Some("2026-11-21T06:53:47Z".parse().unwrap()));
    }

    /// Root on a host says what its nova-compute is called.
    #[test]
    fn a_row_that_cannot_be_read_hides_no_other() {
        let mut rows = serde_json::from_str::<List>(LIST).unwrap().services;
        for odd in [
            json!({"host": "cmp 1", "status": "enabled"}),
            json!({"host": "cmp:1\u{1b}[2J", "status": "enabled"}),
            json!({"status": "enabled"}),
            json!(7),
            json!({"host": "cmp-7", "id": "no UUID", "status": "enabled", "state": "up", "forced_down": false}),
        ] {
            rows.insert(0, odd);
        }
        let services = sorted(rows);
        assert_eq!(services.known.len(), 1, "{services:?}");
        let not_known = ["cmp-7", "cmp-9"].map(|name| name.parse().unwrap());
        assert_eq!(services.not_known, not_known, "not absent");
        assert_eq!(services.left_out.len(), 4);
        let words = services.left_out.join("\n");
        assert!(
            words.contains("\"cmp 1\"") && !words.contains('\u{1b}'),
            "{words}"
        );
    }
}
