//! What a command needs: the configuration, and on demand the database, the verifier's key and the rounds.

use std::{path::Path, sync::Arc};

use lazaret_wire::tls::{IdentityError, TlsIdentity};

use super::exit::{Exit, Trouble};
use crate::{
    clock::SystemClock,
    config::{Config, ConfigError},
    ids::HostName,
    openstack,
    store::{EnrolError, Host, Store, StoreError},
    verifier::{
        bundle::BundleError,
        enroll::EnrollError,
        keys::Keys,
        policies::{Policies, PolicyFileError},
        roots::RootsError,
        round::{RoundError, Rounds},
        sources::SourceError,
    },
};

/// Name in the verifier's self-signed certificate; agents look at the key only.
const VERIFIER: &str = "lazaret";

/// Reads the configuration.
pub fn config(path: &Path) -> Result<Arc<Config>, Trouble> {
    Ok(Arc::new(Config::load(path)?))
}

/// Opens the database.
pub async fn store(config: &Config) -> Result<Store, Trouble> {
    Ok(Store::open(&config.store.path).await?)
}

/// The verifier's own TLS key; made at first use.
pub fn identity(config: &Config) -> Result<Arc<TlsIdentity>, Trouble> {
    Ok(Arc::new(TlsIdentity::load_or_make(
        &config.identity.directory,
        VERIFIER,
    )?))
}

/// Everything that rounds need.
pub async fn rounds(config: &Arc<Config>) -> Result<Rounds, Trouble> {
    Ok(Rounds {
        store: store(config).await?,
        config: Arc::clone(config),
        identity: identity(config)?,
        policies: Policies::new(config.appraisal.signers.clone()),
        keys: Keys::default(),
        clock: Arc::new(SystemClock),
        owner: owner(),
    })
}

/// An enrolled host.
pub async fn host(store: &Store, name: &HostName) -> Result<Host, Trouble> {
    store.host(name).await?.ok_or_else(|| {
        Trouble::say(
            Exit::NoInput,
            format_args!(
                "host {name} is not enrolled; `lazaret hosts` lists those that are, `lazaret enroll {name}` enrols it"
            ),
        )
    })
}

/// Names this process in leases: machine, process, and a number drawn now.
pub fn owner() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!(
        "{}/{}/{:08x}",
        machine.trim(),
        std::process::id(),
        rand::random::<u32>()
    )
}

impl From<ConfigError> for Trouble {
    fn from(cause: ConfigError) -> Self {
        Self::new(Exit::Config, cause)
    }
}

impl From<StoreError> for Trouble {
    fn from(cause: StoreError) -> Self {
        let exit = match &cause {
            StoreError::Locked { .. } | StoreError::LeaseLost { .. } => Exit::TryAgain,
            StoreError::Unknown { .. } => Exit::NoInput,
            StoreError::Open { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::Migrate { .. }
            | StoreError::DiskFull { .. }
            | StoreError::Damaged { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Refused { .. }
            | StoreError::Database { .. } => Exit::Io,
        };
        Self::new(exit, cause)
    }
}

impl From<openstack::Error> for Trouble {
    fn from(cause: openstack::Error) -> Self {
        use openstack::Error;
        let exit = match &cause {
            Error::Setup { .. } | Error::Secret(_) | Error::NoEndpoint { .. } => Exit::Config,
            Error::Login(_) | Error::Unauthorized(_) | Error::Forbidden { .. } => Exit::NoPermission,
            Error::NotFound(_) | Error::NotOnFencedHost { .. } => Exit::NoInput,
            Error::Unavailable { .. }
            | Error::Unreachable { .. }
            | Error::Deadline { .. }
            | Error::NotKnown { .. }
            | Error::Conflict(_) => Exit::Unavailable,
            Error::Refused(_)
            | Error::TooLarge { .. }
            | Error::TooManyPages { .. }
            | Error::Unreadable { .. }
            | Error::VersionTooLow { .. } => Exit::Protocol,
            _ => Exit::Software,
        };
        Self::new(exit, cause)
    }
}

impl From<IdentityError> for Trouble {
    fn from(cause: IdentityError) -> Self {
        Self::new(Exit::Config, cause)
    }
}

impl From<RootsError> for Trouble {
    fn from(cause: RootsError) -> Self {
        Self::new(Exit::Config, cause)
    }
}

impl From<SourceError> for Trouble {
    fn from(cause: SourceError) -> Self {
        let exit = match &cause {
            SourceError::Unreachable { .. } | SourceError::Late { .. } => Exit::Unavailable,
            SourceError::Refused { .. } | SourceError::Garbled { .. } => Exit::Protocol,
            SourceError::OtherKey { .. } | SourceError::NotWelcome { .. } => Exit::NoPermission,
            SourceError::Tls { .. } | SourceError::Client { .. } => Exit::Software,
        };
        Self::new(exit, cause)
    }
}

impl From<EnrollError> for Trouble {
    fn from(cause: EnrollError) -> Self {
        let exit = match cause {
            EnrollError::Source(source) => return source.into(),
            EnrollError::OtherHost { .. }
            | EnrollError::NoCertificate { .. }
            | EnrollError::Endorsement { .. }
            | EnrollError::OtherChassis { .. }
            | EnrollError::Key { .. }
            | EnrollError::Credential { .. }
            | EnrollError::Binding { .. } => Exit::NoPermission,
            EnrollError::NoKeySeen { .. } => Exit::Protocol,
            EnrollError::Randomness => Exit::Software,
        };
        Self::new(exit, cause)
    }
}

impl From<EnrolError> for Trouble {
    fn from(cause: EnrolError) -> Self {
        match cause {
            EnrolError::Store(cause) => cause.into(),
            EnrolError::KeyChanged { .. } | EnrolError::EkElsewhere { .. } => {
                Self::new(Exit::NoPermission, cause)
            }
        }
    }
}

impl From<PolicyFileError> for Trouble {
    fn from(cause: PolicyFileError) -> Self {
        let exit = match &cause {
            PolicyFileError::Missing { .. } => Exit::NoInput,
            PolicyFileError::Unreadable { .. } => Exit::Io,
            PolicyFileError::Wrong { .. } => Exit::Data,
            PolicyFileError::Signers { .. } => Exit::Config,
            PolicyFileError::Unsigned { .. } | PolicyFileError::Signature { .. } => Exit::NoPermission,
        };
        Self::new(exit, cause)
    }
}

impl From<BundleError> for Trouble {
    fn from(cause: BundleError) -> Self {
        Self::new(Exit::Data, cause)
    }
}

impl From<RoundError> for Trouble {
    fn from(cause: RoundError) -> Self {
        match cause {
            RoundError::Policy(cause) => cause.into(),
            RoundError::Store(cause) => cause.into(),
            RoundError::Client(cause) => cause.into(),
            RoundError::Record { .. } => Self::new(Exit::Io, cause),
            RoundError::Busy { .. } => Self::new(Exit::TryAgain, cause),
            RoundError::Spend { .. }
            | RoundError::Prepare { .. }
            | RoundError::Bundle { .. }
            | RoundError::Interrupted { .. } => Self::new(Exit::Software, cause),
        }
    }
}
