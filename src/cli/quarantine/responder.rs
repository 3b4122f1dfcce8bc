//! The response for one host, as the commands use it that read the world themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{
    cli::{context, exit::Trouble, keep_key, wiring},
    config::Config,
    fence::AgentPort,
    ids::HostName,
    respond::{Fencing, HostFence, Respond},
    store::Store,
};

/// To an agent; the plan only needs its address.
const PORT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);

pub(super) async fn of(config: &Arc<Config>, store: Store, host: &HostName) -> Result<Respond, Trouble> {
    let cloud = config
        .openstack
        .as_ref()
        .map(wiring::cloud)
        .transpose()?
        .map(Arc::new);
    let fence = HostFence {
        methods: wiring::methods(config, host, &wiring::secrets(cloud.as_ref())).await?,
        agent: AgentPort::of(&config.agent_url(host)?, PORT_TIMEOUT),
    };
    let respond = Respond::new(
        store,
        cloud,
        config.response.clone(),
        Fencing::new(BTreeMap::from([(host.clone(), fence)]), &config.fence),
        Arc::new(crate::clock::SystemClock),
        context::owner(),
    );
    // Without a key there are no tags that count: it is made when the first is given out.
    Ok(match keep_key::read(&config.identity.directory)? {
        Some(key) => respond.keeping(key),
        None => respond,
    })
}
