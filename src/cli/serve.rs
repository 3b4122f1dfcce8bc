//! `lazaret serve`: the daemon. Parse, load, wire, run, drain.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use clap::Args;
use tracing::{info, warn};

use super::{
    cloud_start, context,
    exit::{Exit, Trouble},
    keep_key, put_back, state, wiring,
};
use crate::{
    config::{Config, ResponseMode},
    fence::AgentPort,
    ids::HostName,
    observe,
    respond::{Fencing, HostFence, Respond, attester::Attester},
    secrets::Secrets,
    shutdown,
    store::Host,
    verifier::{roots, watch::Watch},
};

/// Arguments of `lazaret serve`.
#[derive(Debug, Args)]
pub struct Serve {}

/// After the signal to stop: rounds and steps that are under way may end, a method of fencing within its own deadline
/// as well. What is cut off is looked at again. `TimeoutStopSec` in `systemd/lazaret.service` is longer.
const DRAIN: Duration = Duration::from_secs(60);

/// Beyond the deadline of one method of fencing: to write down what came of it.
const DRAIN_SLACK: Duration = Duration::from_secs(15);

/// A connection to an agent's port that should not be there any more.
const PORT_TIMEOUT: Duration = Duration::from_secs(3);

impl Serve {
    /// Runs until SIGTERM or SIGINT.
    pub async fn run(self, path: &Path) -> Result<Exit, Trouble> {
        let config = context::config(path)?;
        observe::start(&config.log).map_err(|cause| Trouble::new(Exit::Config, cause))?;
        sound(&config)?;
        let stop = shutdown::on_signal().map_err(|cause| Trouble::new(Exit::Software, cause))?;
        let rounds = Arc::new(context::rounds(&config).await?);
        // Enrolment is the commands' affair, but a daemon that starts with unreadable roots should say so now.
        if let Err(error) = roots::read(&config.enrolment.roots) {
            warn!(%error, "enrolment will not work");
        }
        let cloud = config
            .openstack
            .as_ref()
            .map(wiring::cloud)
            .transpose()?
            .map(Arc::new);
        let secrets = wiring::secrets(cloud.as_ref());
        let receivers = wiring::receivers(&config, &secrets)?;
        let cloud_is_well = match &cloud {
            Some(cloud) => tokio::select! {
                biased;
                () = stop.cancelled() => {
                    info!("stopped before anything was begun");
                    return Ok(Exit::Ok);
                }
                well = Box::pin(cloud_start::look(cloud, &config)) => well?,
            },
            None => true,
        };
        let head = put_back::note_of(&config);
        put_back::look(&rounds.store, &head, rounds.clock.now()).await?;
        let hosts = rounds.store.hosts().await?;
        let fencing = fencing(&config, &hosts, &secrets).await?;
        let respond = Respond::new(
            rounds.store.clone(),
            cloud.clone(),
            config.response.clone(),
            fencing,
            Arc::clone(&rounds.clock),
            rounds.owner.clone(),
        )
        .attesting(Arc::clone(&rounds) as Arc<dyn Attester>);
        let respond = Arc::new(match keep_key::read_or_make(&config.identity.directory) {
            Ok(key) => respond.keeping(key),
            Err(trouble) => {
                warn!(
                    "no tag keeps an instance where it is until this is mended: {:#}",
                    trouble.cause
                );
                respond
            }
        });
        info!(
            config = %path.display(),
            database = %config.store.path.display(),
            mode = ?config.response.mode,
            hosts = hosts.len(),
            verifier = %rounds.identity.pin(),
            "lazaret {} serves",
            env!("CARGO_PKG_VERSION")
        );
        if config.response.mode == ResponseMode::Observe {
            info!("mode observe: results are recorded and notified, and nothing is touched");
        }
        let drain = DRAIN.max(config.fence.off_deadline.saturating_add(DRAIN_SLACK));
        let watch = Arc::new(Watch::new(Arc::clone(&rounds), Arc::clone(&respond)));
        let tasks = tokio_util::task::TaskTracker::new();
        tasks.spawn({
            let stop = stop.clone();
            async move { watch.run(stop).await }
        });
        tasks.spawn({
            let (respond, stop) = (Arc::clone(&respond), stop.clone());
            async move { respond.drive(stop, drain).await }
        });
        tasks.spawn({
            let (respond, stop) = (Arc::clone(&respond), stop.clone());
            async move { respond.deliver(receivers, stop).await }
        });
        tasks.spawn({
            let (respond, stop) = (Arc::clone(&respond), stop.clone());
            async move { respond.keep_out(stop, drain).await }
        });
        tasks.spawn({
            let (respond, stop) = (Arc::clone(&respond), stop.clone());
            async move { respond.watch_orphans(stop).await }
        });
        tasks.spawn(put_back::keep_noting(rounds.store.clone(), head, stop.clone()));
        if let Some(cloud) = cloud.filter(|_| !cloud_is_well) {
            let (config, stop) = (Arc::clone(&config), stop.clone());
            tasks.spawn(async move { cloud_start::keep_looking(cloud, config, stop).await });
        }
        tasks.close();
        // Without systemd there is nobody to tell.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        stop.cancelled().await;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        info!("stopping: what is under way may end");
        if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
            warn!("some work did not end within {drain:?}; it goes on from the journal at the next start");
        }
        rounds.store.close().await;
        info!("stopped");
        Ok(Exit::Ok)
    }
}

/// Refuses a state that others can change; what they can only see is told.
fn sound(config: &Config) -> Result<(), Trouble> {
    for fault in state::faults(config) {
        let (path, what, remedy) = (fault.path.display(), &fault.what, &fault.remedy);
        if fault.refused {
            return Err(Trouble::say(
                Exit::Config,
                format_args!(
                    "{path}: {what}, so the daemon does not begin: who changes it decides who is fenced and who is released; {remedy}"
                ),
            ));
        }
        warn!(%path, remedy, "{what}");
    }
    Ok(())
}

/// How each host is fenced: by the configuration's methods, with its own agent as a witness.
async fn fencing(config: &Config, hosts: &[Host], secrets: &Secrets) -> Result<Fencing, Trouble> {
    let enrolled: BTreeMap<&HostName, _> = hosts
        .iter()
        .map(|host| (host.name(), host.enrolled.agent_url.clone()))
        .collect();
    let mut fences = BTreeMap::new();
    for host in config.hosts.keys() {
        let url = match enrolled.get(host) {
            Some(url) => url.clone(),
            None => config.agent_url(host)?,
        };
        let agent = AgentPort::of(&url, PORT_TIMEOUT);
        fences.insert(
            host.clone(),
            HostFence {
                methods: wiring::methods(config, host, secrets).await?,
                agent,
            },
        );
    }
    Ok(Fencing::new(fences, &config.fence))
}
