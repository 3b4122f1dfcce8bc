//! How hosts are powered off and seen off: each host's methods, its agent, and how long to look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::FenceTimes;
use crate::fence::{AgentPort, Fenced, Method, Methods, NotFenced, Watch};
use crate::ids::HostName;
use crate::openstack::Cloud;

/// One host's way to be fenced.
#[derive(Debug)]
pub struct HostFence {
    /// The methods, in the order to try.
    pub methods: Methods,
    /// Where its agent answers, unless the host is enrolled with another address by then; silence there is one of
    /// the signals.
    pub agent: AgentPort,
}

/// How hosts are powered off and seen off.
#[derive(Debug)]
pub struct Fencing {
    hosts: BTreeMap<HostName, Arc<HostFence>>,
    off: Watch,
    seen: Watch,
}

impl Fencing {
    /// For these hosts, with these times.
    pub fn new(hosts: BTreeMap<HostName, HostFence>, times: &FenceTimes) -> Self {
        let off = Watch {
            off_polls: times.off_polls,
            poll_interval: times.off_poll_interval,
            heartbeat_silence: times.heartbeat_silence,
            deadline: times.off_deadline,
        };
        // The heartbeat has to stand still first; then there must be time left to agree.
        let slack = times
            .off_poll_interval
            .saturating_mul(times.off_polls)
            .saturating_add(Duration::from_secs(5));
        let longer = times.heartbeat_silence.saturating_mul(2).saturating_add(slack);
        Self {
            hosts: hosts
                .into_iter()
                .map(|(host, fence)| (host, Arc::new(fence)))
                .collect(),
            off,
            seen: Watch {
                deadline: times.off_deadline.max(longer),
                ..off
            },
        }
    }

    /// The names of a host's methods, in order; empty when nothing is configured.
    pub fn names(&self, host: &HostName) -> Vec<String> {
        match self.hosts.get(host) {
            Some(fence) => fence
                .methods
                .iter()
                .map(|method| method.name().to_owned())
                .collect(),
            None => Vec::new(),
        }
    }

    pub(super) fn host(&self, host: &HostName) -> Option<&HostFence> {
        self.hosts.get(host).map(Arc::as_ref)
    }

    /// Begins to fetch the passwords that this host's fence will need: keystone may be gone by then.
    pub(super) fn fetch_ahead(&self, host: &HostName) {
        if let Some(fence) = self.hosts.get(host).map(Arc::clone) {
            tokio::spawn(async move {
                for method in fence.methods.iter() {
                    method.fetch_ahead().await;
                }
            });
        }
    }

    pub(super) fn off(&self) -> &Watch {
        &self.off
    }

    /// How long it is looked whether a host is off.
    pub(super) fn seen_off_within(&self) -> Duration {
        self.seen.deadline
    }

    /// Looks until every signal says that the host is off.
    pub(super) async fn observe(
        &self,
        fence: &HostFence,
        by: &Method,
        agent: &AgentPort,
        cloud: &Cloud,
        clock: &Arc<dyn Clock>,
    ) -> Result<Fenced, NotFenced> {
        let host = fence.methods.host();
        Fenced::observe(
            host,
            by,
            &cloud.heartbeat(host),
            agent,
            &self.seen,
            clock.as_ref(),
        )
        .await
    }
}
