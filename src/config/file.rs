//! The configuration as typed: TOML tables and keys, with their defaults. Nothing here is resolved.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use super::secret::Secret;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub struct ConfigFile {
    /// Whether `password = ".."` and the like may stand in this file.
    pub allow_inline_secrets: bool,
    /// The database.
    pub store: StoreTable,
    /// The verifier's TLS identity.
    pub identity: IdentityTable,
    /// The cloud.
    pub openstack: Option<OpenStackTable>,
    /// How agents are reached.
    pub agents: AgentsTable,
    /// How TPMs are recognised.
    pub enrolment: EnrolmentTable,
    /// When hosts are attested.
    pub schedule: ScheduleTable,
    /// What they are held against.
    pub appraisal: AppraisalTable,
    /// What happens to a condemned host.
    pub response: ResponseTable,
    /// How hosts are given back.
    pub release: ReleaseTable,
    /// How long fencing looks before it believes.
    pub fence: FenceTable,
    /// Who is told.
    pub notify: NotifyTable,
    /// What the daemon says about itself.
    pub log: LogTable,
    /// What differs for single hosts.
    pub host: Vec<HostTable>,
}

/// A secret written into the file itself.
#[derive(Debug, Clone)]
pub struct InlineSecret(pub Secret);

impl<'de> Deserialize<'de> for InlineSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

#[cfg(test)]
impl serde::Serialize for InlineSecret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("hidden")
    }
}

macro_rules! table {
    (
        $(#[$doc:meta])* $name:ident {
            $( $(#[$key_doc:meta])* $key:ident : $type:ty = $default:expr, )*
        }
    ) => {
        #[derive(Debug, Clone, Deserialize)]
        #[cfg_attr(test, derive(serde::Serialize))]
        $(#[$doc])*
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $( $(#[$key_doc])* pub $key: $type, )* }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )* }
            }
        }
    };
}

table! {
    /// `[store]`
    StoreTable {
        /// The database file.
        path: PathBuf = "/var/lib/lazaret/lazaret.db".into(),
        /// How long evidence that no case refers to is kept.
        evidence_retention_days: u64 = 30,
    }
}

table! {
    /// `[identity]`
    IdentityTable {
        /// Where the verifier's key pair is.
        directory: PathBuf = "/var/lib/lazaret/identity".into(),
    }
}

table! {
    /// `[openstack]`
    OpenStackTable {
        /// Keystone.
        auth_url: Option<String> = None,
        /// The region.
        region: Option<String> = None,
        /// Which of the catalogue's addresses.
        interface: String = "public".to_owned(),
        /// The cloud's certificate authority.
        ca_file: Option<PathBuf> = None,
        /// For each request.
        timeout_s: u64 = 30,
        /// To each service.
        max_requests_per_s: u32 = 40,
        /// To each service.
        max_requests_at_once: u32 = 16,
        /// The user.
        username: Option<String> = None,
        /// The user's domain.
        user_domain: String = "Default".to_owned(),
        /// The project.
        project: Option<String> = None,
        /// The project's domain.
        project_domain: String = "Default".to_owned(),
        /// The password, inline.
        password: Option<InlineSecret> = None,
        /// The password, in a file.
        password_file: Option<PathBuf> = None,
        /// The password, from systemd.
        password_credential: Option<String> = None,
        /// An application credential.
        application_credential_id: Option<String> = None,
        /// Its secret, inline.
        application_credential_secret: Option<InlineSecret> = None,
        /// Its secret, in a file.
        application_credential_secret_file: Option<PathBuf> = None,
        /// Its secret, from systemd.
        application_credential_secret_credential: Option<String> = None,
        /// Addresses that outrank the catalogue.
        endpoints: EndpointsTable = EndpointsTable::default(),
    }
}

table! {
    /// `[openstack.endpoints]`, by the catalogue's names of the services.
    #[serde(rename_all = "kebab-case")]
    EndpointsTable {
        /// nova.
        compute: Option<String> = None,
        /// Masakari.
        instance_ha: Option<String> = None,
        /// placement.
        placement: Option<String> = None,
        /// barbican.
        key_manager: Option<String> = None,
        /// cinder.
        block_storage: Option<String> = None,
        /// Ironic.
        baremetal: Option<String> = None,
    }
}

table! {
    /// `[agents]`
    AgentsTable {
        /// The agent's address, with `{host}`.
        url_template: String = "https://{host}:7990".to_owned(),
        /// To connect.
        connect_timeout_s: u64 = 5,
        /// To answer.
        answer_timeout_s: u64 = 60,
        /// The operator's own PKI.
        ca_file: Option<PathBuf> = None,
    }
}

table! {
    /// `[enrolment]`
    EnrolmentTable {
        /// TPM makers' certificates.
        roots: PathBuf = "/etc/lazaret/tpm-roots".into(),
    }
}

table! {
    /// `[schedule]`
    ScheduleTable {
        /// When.
        cron: String = "0 */10 * * * *".to_owned(),
        /// Spread.
        jitter_s: u64 = 60,
        /// Rounds at once.
        concurrency: usize = 32,
        /// For one round.
        round_deadline_s: u64 = 90,
        /// Before the confirmation.
        confirm_after_s: u64 = 0,
    }
}

table! {
    /// `[appraisal]`
    AppraisalTable {
        /// The policy's path, with `{host}`.
        policy: String = "/etc/lazaret/golden/{host}.toml".to_owned(),
        /// Who must have signed it.
        signers: Option<PathBuf> = None,
        /// The PCRs asked for.
        pcrs: String = "sha256:0,1,2,3,4,5,6,7,8,9,10,14".to_owned(),
    }
}

table! {
    /// `[response]`
    ResponseTable {
        /// `observe` or `enforce`.
        mode: String = "observe".to_owned(),
        /// `masakari` or `nova`.
        recovery: String = "masakari".to_owned(),
        /// The aggregate.
        quarantine_aggregate: String = "lazaret-quarantine".to_owned(),
        /// `hold` or `rebuild`.
        local_disk: String = "hold".to_owned(),
        /// For a step.
        step_deadline_s: u64 = 120,
        /// Tries of a step.
        step_attempts: u32 = 5,
        /// For Masakari.
        masakari_deadline_s: u64 = 900,
        /// For all instances.
        evacuation_deadline_s: u64 = 1800,
        /// Of a case.
        lease_s: u64 = 60,
        /// In the window.
        max_cases: u32 = 2,
        /// The window.
        window_s: u64 = 3600,
        /// That stay enabled.
        keep_hosts: u32 = 1,
        /// `as-it-was` or `stopped`.
        on_arrival: String = "as-it-was".to_owned(),
        /// Aggregates whose hosts share their instances' disks.
        shared_storage: Vec<String> = Vec::new(),
        /// What else brings hosts back.
        other_ha: Vec<String> = Vec::new(),
        /// From one look at a quarantined host to the next.
        holddown_interval_s: u64 = 60,
        /// Of one drift within an hour.
        holddown_repairs: u32 = 5,
        /// In the window, of one zone.
        max_cases_zone: u32 = 2,
        /// In the window, of one aggregate.
        max_cases_aggregate: u32 = 2,
        /// Processors that stay free.
        keep_free_vcpus: u64 = 0,
        /// Memory that stays free.
        keep_free_memory_mb: u64 = 0,
        /// After the daemon's start.
        startup_grace_s: u64 = 120,
        /// That fail alike.
        brake_hosts: u32 = 3,
        /// For other hosts.
        brake_wait_s: u64 = 60,
        /// Asked at once.
        brake_probe: u32 = 4,
        /// Of silence.
        silence_unschedule_s: u64 = 3600,
        /// Rounds of it.
        silence_rounds: u32 = 3,
        /// Of all hosts.
        silence_share: f64 = 0.5,
        /// `auto` or `person`.
        unschedule_return: String = "auto".to_owned(),
    }
}

table! {
    /// `[release]`
    ReleaseTable {
        /// Another person has to agree.
        second_person: bool = false,
        /// Of the verdict that gives a host back.
        verdict_age_s: u64 = 300,
        /// For a host to boot and answer.
        boot_deadline_s: u64 = 900,
    }
}

table! {
    /// `[fence]`
    FenceTable {
        /// Looks in a row.
        off_polls: u32 = 3,
        /// Between them.
        off_poll_interval_s: u64 = 2,
        /// For one method.
        off_deadline_s: u64 = 120,
        /// Of nova's heartbeat.
        heartbeat_silence_s: u64 = 25,
    }
}

table! {
    /// `[notify]`
    NotifyTable {
        /// Where to.
        webhook_url: Option<String> = None,
        /// The signing secret, inline.
        webhook_secret: Option<InlineSecret> = None,
        /// The signing secret, in a file.
        webhook_secret_file: Option<PathBuf> = None,
        /// The signing secret, from systemd.
        webhook_secret_credential: Option<String> = None,
        /// The signing secret, in barbican.
        webhook_secret_barbican: Option<String> = None,
        /// Further receivers, or all of them.
        webhook: Vec<WebhookTable> = Vec::new(),
    }
}

table! {
    /// `[[notify.webhook]]`
    WebhookTable {
        /// Its name.
        name: Option<String> = None,
        /// Where to.
        url: Option<String> = None,
        /// The signing secret, inline.
        secret: Option<InlineSecret> = None,
        /// The signing secret, in a file.
        secret_file: Option<PathBuf> = None,
        /// The signing secret, from systemd.
        secret_credential: Option<String> = None,
        /// The signing secret, in barbican.
        secret_barbican: Option<String> = None,
        /// The receiver's certificate authority.
        ca_file: Option<PathBuf> = None,
        /// What it is told of.
        events: Vec<String> = vec!["*".to_owned()],
        /// From which severity on.
        min_severity: String = "info".to_owned(),
    }
}

table! {
    /// `[log]`
    LogTable {
        /// `text` or `json`.
        format: String = "text".to_owned(),
        /// What is let through.
        filter: String = "info".to_owned(),
    }
}

table! {
    /// `[[host]]`
    HostTable {
        /// Its name.
        name: String = String::new(),
        /// Its agent.
        agent: Option<String> = None,
        /// Its model.
        model: Option<String> = None,
        /// The certificates of its TPM.
        endorsement_certificates: Vec<String> = Vec::new(),
        /// Its policy.
        policy: Option<PathBuf> = None,
        /// Its node in Ironic.
        ironic_node: Option<String> = None,
        /// How it is powered off.
        fence: Vec<HostFenceTable> = Vec::new(),
    }
}

table! {
    /// `[[host.fence]]`: which keys belong depends on `kind`.
    HostFenceTable {
        /// `redfish` or `agent`.
        kind: String = String::new(),
        /// redfish: the BMC.
        url: Option<String> = None,
        /// redfish: the system.
        system: Option<String> = None,
        /// redfish: the system's UUID.
        system_uuid: Option<String> = None,
        /// redfish: the user.
        username: Option<String> = None,
        /// redfish: the BMC's key.
        tls_pin: Option<String> = None,
        /// redfish: the BMC's certificate authority.
        ca_file: Option<PathBuf> = None,
        /// agent: the program.
        program: Option<PathBuf> = None,
        /// agent: its options.
        options: BTreeMap<String, String> = BTreeMap::new(),
        /// The password, inline.
        password: Option<InlineSecret> = None,
        /// The password, in a file.
        password_file: Option<PathBuf> = None,
        /// The password, from systemd.
        password_credential: Option<String> = None,
        /// The password, in barbican.
        password_barbican: Option<String> = None,
    }
}
