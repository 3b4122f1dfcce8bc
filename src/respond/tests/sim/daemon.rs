//! A daemon of the simulation: the product's own driver in a runtime of its own, whose time only the simulation moves.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, ManualClock};
use crate::config::secret::{Secret, SecretSource};
use crate::config::{FenceTimes, Response};
use crate::fence::redfish::{Redfish, Target};
use crate::fence::{AgentPort, Method, Methods, Trust};
use crate::openstack::{Cloud, Connection, Credential, Endpoints, Interface, RequestLimits};
use crate::respond::attester::Attester;
use crate::respond::tests::cloud::{Shape, name};
use crate::respond::{Fencing, HostFence, Respond};
use crate::store::Store;

/// Requests to one service in a second, at most.
pub(super) const PER_SECOND: u32 = 40;

/// As much of this machine's time at most until a daemon waits for something.
const RUNAWAY: Duration = Duration::from_secs(30);

/// One process. Dropped, everything in it ends at once, as by SIGKILL.
pub(super) struct Daemon {
    // First, so that its tasks end before what they use.
    runtime: Runtime,
    pub(super) respond: Arc<Respond>,
    pub(super) clock: Arc<ManualClock>,
    /// Which process it is; each start is another one.
    pub(super) process: usize,
    pub(super) stalled: bool,
    /// Time that went by while it was stalled.
    behind: Duration,
}

impl Daemon {
    /// Starts one: its driver, and what keeps quarantined hosts out.
    pub(super) fn start(
        process: usize,
        store: &Store,
        shape: &Shape,
        config: &Response,
        clock: Arc<ManualClock>,
        attester: Arc<dyn Attester>,
        keeps_out: bool,
    ) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let mut respond = Respond::new(
            store.clone(),
            Some(Arc::new(Cloud::connect(connection()).unwrap())),
            config.clone(),
            fencing(shape),
            Arc::clone(&clock) as Arc<dyn Clock>,
            format!("daemon/{process}"),
        );
        respond.pace = Duration::from_secs(2);
        let respond = Arc::new(respond.attesting(attester));
        let grace = Duration::from_secs(5);
        runtime.spawn(Arc::clone(&respond).drive(CancellationToken::new(), grace));
        if keeps_out {
            runtime.spawn(Arc::clone(&respond).keep_out(CancellationToken::new(), grace));
        }
        Self {
            runtime,
            respond,
            clock,
            process,
            stalled: false,
            behind: Duration::ZERO,
        }
    }

    /// Begins something in this process.
    pub(super) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(work));
    }

    /// Lets it run until nothing in it can go on: each task waits for an answer or for time.
    /// `busy` tells that the database is at work for it, `ended` that it has reached its end.
    pub(super) fn run(&self, busy: impl Fn() -> bool, ended: impl Fn() -> bool) {
        self.runtime.block_on(async {
            let mut quiet = 0;
            let begin = Instant::now();
            while quiet < 3 && !ended() {
                assert!(begin.elapsed() < RUNAWAY, "it does not come to rest");
                // A runtime that always has something to do never moves its time by itself.
                tokio::task::yield_now().await;
                quiet = match busy() {
                    true => {
                        // The database works in threads of its own.
                        std::thread::yield_now();
                        0
                    }
                    false => quiet + 1,
                };
            }
        });
    }

    /// Time goes by; a stalled process learns of it when it goes on.
    pub(super) fn advance(&mut self, by: Duration) {
        self.behind += by;
        if !self.stalled {
            let behind = std::mem::take(&mut self.behind);
            self.runtime.block_on(tokio::time::advance(behind));
        }
    }
}

fn connection() -> Connection {
    Connection {
        auth_url: "http://cloud".parse().unwrap(),
        credential: Credential::Password {
            username: "daemon".to_owned(),
            user_domain: "Default".to_owned(),
            project: "service".to_owned(),
            project_domain: "Default".to_owned(),
            password: SecretSource::Inline(Secret::new("hunter2".to_owned())),
        },
        region: None,
        interface: Interface::Public,
        ca_pem: Some(authority().to_vec()),
        timeout: Duration::from_secs(20),
        endpoints: Endpoints::default(),
        page_size: None,
        limits: RequestLimits {
            in_flight: 8,
            per_second: PER_SECOND,
        },
    }
}

/// An authority that nobody needs: with one of its own a client does not read the machine's, which takes its time.
fn authority() -> &'static [u8] {
    static PEM: OnceLock<Vec<u8>> = OnceLock::new();
    PEM.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["cloud".to_owned()]).unwrap();
        made.cert.pem().into_bytes()
    })
}

fn fencing(shape: &Shape) -> Fencing {
    let redfish = |bmc: String| {
        let target = Target {
            url: format!("http://{bmc}").parse().unwrap(),
            system: Some("1".into()),
            system_uuid: None,
            username: "fence".into(),
            password: SecretSource::Inline(Secret::new("hunter2".into())),
            // Nothing is encrypted here; and no store of authorities is read, which takes its time.
            trust: Trust::Pin([0; 32]),
            timeout: Duration::from_secs(5),
        };
        Method::Redfish(Redfish::new(target).unwrap())
    };
    let mut hosts = BTreeMap::new();
    for host in 0..shape.hosts {
        let mut methods = vec![redfish(format!("bmc-{}", host + 1))];
        if shape.second_bmc {
            methods.push(redfish(format!("bmc-{}b", host + 1)));
        }
        let fence = HostFence {
            methods: Methods::new(name(host), methods),
            agent: AgentPort {
                host: name(host).to_string(),
                port: 7990,
                timeout: Duration::from_secs(3),
            },
        };
        hosts.insert(name(host), fence);
    }
    let times = FenceTimes {
        off_polls: 2,
        off_poll_interval: Duration::from_secs(4),
        off_deadline: Duration::from_secs(40),
        heartbeat_silence: Duration::from_secs(22),
    };
    Fencing::new(hosts, &times)
}
