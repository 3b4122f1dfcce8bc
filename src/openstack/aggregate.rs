//! Host aggregates: the quarantine aggregate, which has no availability zone so that any host can join it.

use serde::Deserialize;
use serde_json::json;

use crate::ids::HostName;
use crate::permit::{Act, Effect, Permits};

use super::call::{Call, Service};
use super::error::Error;
use super::listed;
use super::session::Cloud;

const LIST_RIGHT: &str = "os_compute_api:os-aggregates:index";
const CREATE_RIGHT: &str = "os_compute_api:os-aggregates:create";
const ADD_RIGHT: &str = "os_compute_api:os-aggregates:add_host";
const REMOVE_RIGHT: &str = "os_compute_api:os-aggregates:remove_host";

/// One host aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Aggregate {
    /// nova's number for it.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its availability zone; the quarantine aggregate must have none, or hosts of other zones cannot join.
    pub availability_zone: Option<String>,
    /// Its hosts, but for those whose name cannot be a host's.
    #[serde(default, deserialize_with = "listed::hosts")]
    pub hosts: Vec<HostName>,
}

impl Aggregate {
    /// Whether the host belongs to it.
    pub fn has(&self, host: &HostName) -> bool {
        self.hosts.contains(host)
    }
}

/// How a membership came to be as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// It was changed now.
    Now(Aggregate),
    /// It was so already.
    Already(Aggregate),
}

impl Joined {
    /// The aggregate as it is now.
    pub fn aggregate(&self) -> &Aggregate {
        match self {
            Self::Now(aggregate) | Self::Already(aggregate) => aggregate,
        }
    }
}

#[derive(Deserialize)]
struct List {
    aggregates: Vec<Aggregate>,
}

#[derive(Deserialize)]
struct One {
    aggregate: Aggregate,
}

impl Cloud {
    /// All aggregates with their hosts.
    pub async fn aggregates(&self) -> Result<Vec<Aggregate>, Error> {
        let call =
            Call::get(Service::Compute, "/os-aggregates", "list the host aggregates").right(LIST_RIGHT);
        Ok(self.json::<List>(call).await?.aggregates)
    }

    /// The aggregate of this name.
    pub async fn aggregate(&self, name: &str) -> Result<Option<Aggregate>, Error> {
        Ok(self
            .aggregates()
            .await?
            .into_iter()
            .find(|aggregate| aggregate.name == name))
    }

    /// Makes sure that the aggregate is there; made without an availability zone. One that another daemon
    /// made at the same moment is taken.
    pub async fn ensure_aggregate(&self, permits: &dyn Permits, name: &str) -> Result<Aggregate, Error> {
        if let Some(aggregate) = self.aggregate(name).await? {
            return Ok(aggregate);
        }
        let doing = format!("make the host aggregate {name}");
        let call = Call::post(Service::Compute, "/os-aggregates", &doing)
            .body(json!({"aggregate": {"name": name}}))
            .right(CREATE_RIGHT)
            .harmless_twice();
        let effect = Effect::MakeAggregate(name.to_owned());
        match self.act_json::<One>(call, Act { effect, permits }).await {
            Ok(made) => Ok(made.aggregate),
            Err(Error::Conflict(answer)) => match self.aggregate(name).await? {
                Some(aggregate) => Ok(aggregate),
                None => Err(Error::Conflict(answer)),
            },
            Err(error) => Err(error),
        }
    }

    /// Makes sure that a host belongs to an aggregate. A 409 means "already" or "cannot": a read decides.
    pub async fn join_aggregate(
        &self,
        permits: &dyn Permits,
        aggregate: &Aggregate,
        host: &HostName,
    ) -> Result<Joined, Error> {
        let doing = format!("add {host} to the host aggregate {}", aggregate.name);
        let call = Call::post(Service::Compute, &action(aggregate), &doing)
            .body(json!({"add_host": {"host": host}}))
            .right(ADD_RIGHT)
            .harmless_twice();
        let effect = Effect::Join(host.clone(), aggregate.name.clone());
        match self.act_json::<One>(call, Act { effect, permits }).await {
            Ok(now) => Ok(Joined::Now(now.aggregate)),
            Err(Error::Conflict(answer)) => match self.by_id(aggregate.id).await? {
                Some(now) if now.has(host) => Ok(Joined::Already(now)),
                _ => Err(Error::Conflict(answer)),
            },
            Err(error) => Err(error),
        }
    }

    /// Makes sure that a host does not belong to an aggregate.
    pub async fn leave_aggregate(
        &self,
        permits: &dyn Permits,
        aggregate: &Aggregate,
        host: &HostName,
    ) -> Result<Joined, Error> {
        let doing = format!("remove {host} from the host aggregate {}", aggregate.name);
        let call = Call::post(Service::Compute, &action(aggregate), &doing)
            .body(json!({"remove_host": {"host": host}}))
            .right(REMOVE_RIGHT)
            .harmless_twice();
        let effect = Effect::Leave(host.clone(), aggregate.name.clone());
        match self.act_json::<One>(call, Act { effect, permits }).await {
            Ok(now) => Ok(Joined::Now(now.aggregate)),
            Err(Error::NotFound(answer)) => match self.by_id(aggregate.id).await? {
                Some(now) if !now.has(host) => Ok(Joined::Already(now)),
                _ => Err(Error::NotFound(answer)),
            },
            Err(error) => Err(error),
        }
    }

    async fn by_id(&self, id: u64) -> Result<Option<Aggregate>, Error> {
        Ok(self
            .aggregates()
            .await?
            .into_iter()
            .find(|aggregate| aggregate.id == id))
    }
}

fn action(aggregate: &Aggregate) -> String {
    format!("/os-aggregates/{}/action", aggregate.id)
}
