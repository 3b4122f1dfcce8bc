//! The agent's one configuration file.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use lazaret_wire::tls::{Pin, PinnedClients, TlsError, TlsIdentity, authorities};
use serde::{Deserialize, Deserializer, de::Error as _};
use tss_esapi::TctiNameConf;

/// What the agent runs by. Every key is documented in the shipped sample.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The host's name as nova knows it.
    pub host: String,
    /// Where to listen.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// How to reach the TPM.
    #[serde(default = "default_tcti")]
    pub tcti: Tcti,
    /// The algorithm of an attestation key that is yet to be made.
    #[serde(default)]
    pub attestation_key: KeyChoice,
    /// Where the attestation key's blob and the TLS key are kept.
    #[serde(default = "default_state_directory")]
    pub state_directory: PathBuf,
    /// The firmware's event log.
    #[serde(default = "default_boot_log")]
    pub boot_log: PathBuf,
    /// The IMA list, or "none" where the kernel has no IMA.
    #[serde(default = "default_ima_log")]
    pub ima_log: ImaLog,
    /// Daemons that may ask, by key.
    #[serde(default)]
    pub verifier_pins: Vec<Pin>,
    /// Daemons that may ask, by the operator's own authority.
    pub verifier_ca: Option<PathBuf>,
    /// The agent's own certificate, if it does not make one.
    pub tls_certificate: Option<PathBuf>,
    /// Its private key.
    pub tls_key: Option<PathBuf>,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
}

/// Bounds on what the agent does for others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once, TLS handshakes included.
    pub connections: usize,
    /// Attestations at once: each may hold a whole IMA list in memory.
    pub attestations: usize,
    /// Requests that wait for the TPM.
    pub tpm_queue: usize,
    handshake_timeout_s: u64,
    request_timeout_s: u64,
    drain_timeout_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            attestations: 4,
            tpm_queue: 16,
            handshake_timeout_s: 5,
            request_timeout_s: 30,
            drain_timeout_s: 10,
        }
    }
}

impl Limits {
    /// A peer that does not finish its handshake by then is dropped.
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.handshake_timeout_s)
    }

    /// A request is answered by then, with a problem if need be.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_s)
    }

    /// After SIGTERM, requests under way are given this long.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_timeout_s)
    }
}

/// A TCTI as libtss2 writes it.
#[derive(Debug, Clone)]
pub struct Tcti {
    text: String,
    /// The same, parsed.
    pub name: TctiNameConf,
}

impl fmt::Display for Tcti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Tcti {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let name = TctiNameConf::from_str(&text).map_err(|_| {
            D::Error::custom(format!(
                "{text:?} is no TCTI; write \"device:/dev/tpmrm0\" or \"swtpm:host=127.0.0.1,port=2321\""
            ))
        })?;
        Ok(Self { text, name })
    }
}

/// The attestation key's algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyChoice {
    /// ECDSA P-256 if the TPM has it, else RSASSA-2048.
    #[default]
    Auto,
    /// ECDSA P-256 or nothing.
    EcdsaP256,
    /// RSASSA-2048.
    #[serde(rename = "rsassa-2048")]
    Rsassa2048,
}

/// Where the IMA list is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "PathBuf")]
pub enum ImaLog {
    /// A file, text or binary.
    File(PathBuf),
    /// The kernel has no IMA: an empty list is sent, and the daemon's policy says what that means.
    None,
}

impl From<PathBuf> for ImaLog {
    fn from(path: PathBuf) -> Self {
        if path == Path::new("none") {
            Self::None
        } else {
            Self::File(path)
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error("cannot read configuration {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What came back.
        source: io::Error,
    },
    /// Its contents; the text says the line.
    #[error("configuration {path}: {reason}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Line and cause.
        reason: String,
    },
    /// A value that is well-formed and of no use.
    #[error("configuration {path}: {key}: {reason}")]
    Value {
        /// Which.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Why, and what to write.
        reason: String,
    },
}

impl Config {
    /// Reads and resolves a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Resolves text; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Malformed {
            path: path.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        })?;
        let value = |key, reason: &str| ConfigError::Value {
            path: path.to_owned(),
            key,
            reason: reason.to_owned(),
        };
        if config.host.is_empty() || config.host.len() > lazaret_wire::limits::HOST {
            return Err(value(
                "host",
                "write the host's name as `openstack compute service list` shows it",
            ));
        }
        if config.verifier_pins.is_empty() && config.verifier_ca.is_none() {
            return Err(value(
                "verifier_pins",
                "nobody may ask this agent; write the pin that `lazaret pin` prints, or set verifier_ca",
            ));
        }
        if config.tls_certificate.is_some() != config.tls_key.is_some() {
            return Err(value("tls_key", "tls_certificate and tls_key go together"));
        }
        let limits = &config.limits;
        let least = [
            ("limits.connections", limits.connections as u64),
            ("limits.attestations", limits.attestations as u64),
            ("limits.tpm_queue", limits.tpm_queue as u64),
            ("limits.handshake_timeout_s", limits.handshake_timeout_s),
            ("limits.request_timeout_s", limits.request_timeout_s),
        ];
        if let Some((key, _)) = least.into_iter().find(|(_, number)| *number == 0) {
            return Err(value(key, "must be at least 1"));
        }
        Ok(config)
    }

    /// The agent's TLS key: the operator's, or its own from the state directory, made at first use.
    pub fn tls_identity(&self) -> Result<TlsIdentity, lazaret_wire::tls::IdentityError> {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => TlsIdentity::from_files(certificate, key),
            _ => TlsIdentity::load_or_make(&self.state_directory, &self.host),
        }
    }

    /// Who may ask.
    pub fn clients(&self) -> Result<PinnedClients, TlsError> {
        let roots = self.verifier_ca.as_deref().map(authorities).transpose()?;
        PinnedClients::new(self.verifier_pins.clone(), roots)
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 7990))
}

fn default_tcti() -> Tcti {
    Tcti {
        text: "device:/dev/tpmrm0".to_owned(),
        name: TctiNameConf::Device(default_device()),
    }
}

fn default_device() -> tss_esapi::tcti_ldr::DeviceConfig {
    // The crate's own default is /dev/tpm0, which has no resource manager.
    tss_esapi::tcti_ldr::DeviceConfig::from_str("/dev/tpmrm0").unwrap_or_default()
}

fn default_state_directory() -> PathBuf {
    PathBuf::from("/var/lib/lazaret-agent")
}

fn default_boot_log() -> PathBuf {
    PathBuf::from("/sys/kernel/security/tpm0/binary_bios_measurements")
}

fn default_ima_log() -> ImaLog {
    ImaLog::File(PathBuf::from(
        "/sys/kernel/security/ima/binary_runtime_measurements",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("agent.toml"))
    }

    fn refused(text: &str) -> String {
        parse(text).expect_err("must be refused").to_string()
    }

    #[test]
    fn the_shipped_sample_is_read_and_says_the_defaults() {
        let sample = include_str!("../../../systemd/lazaret-agent.toml");
        let config = parse(sample).unwrap();
        let bare = parse(&format!(
            "host = \"cmp-1\"\nverifier_pins = [\"{}\"]",
            config.verifier_pins[0]
        ))
        .unwrap();
        assert_eq!(format!("{config:?}"), format!("{bare:?}"));
        // Keys that are shown commented out must be real ones too.
        let all: String = sample
            .lines()
            .map(|line| match line.strip_prefix("#") {
                Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest.contains(" = ") => {
                    rest
                }
                _ => line,
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let config = parse(&all).unwrap();
        assert!(
            config.verifier_ca.is_some() && config.tls_key.is_some(),
            "no optional key is shown"
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let message = refused(&format!(
            "host = \"a\"\nverifier_pins = [\"{PIN}\"]\nboot_lgo = \"/x\"\n"
        ));
        assert!(
            message.contains("line 3") && message.contains("boot_lgo"),
            "{message}"
        );
        let message = refused(&format!(
            "host = \"a\"\nverifier_pins = [\"{PIN}\"]\n[limits]\nconections = 1\n"
        ));
        assert!(
            message.contains("line 4") && message.contains("conections"),
            "{message}"
        );
    }

    #[test]
    fn a_bad_value_is_refused_with_what_to_write() {
        let message = refused("host = \"a\"\nverifier_pins = [\"sha256:12\"]\n");
        assert!(
            message.contains("line 2") && message.contains("64 hex digits"),
            "{message}"
        );
        let message = refused(&format!(
            "host = \"a\"\ntcti = \"nonsense\"\nverifier_pins = [\"{PIN}\"]\n"
        ));
        assert!(
            message.contains("line 2") && message.contains("device:/dev/tpmrm0"),
            "{message}"
        );
        assert!(refused("host = \"a\"\n").contains("verifier_pins"));
        assert!(refused(&format!("host = \"\"\nverifier_pins = [\"{PIN}\"]\n")).contains("host"));
        let half = format!("host = \"a\"\nverifier_pins = [\"{PIN}\"]\ntls_key = \"/k\"\n");
        assert!(refused(&half).contains("go together"));
        let zero = format!("host = \"a\"\nverifier_pins = [\"{PIN}\"]\n[limits]\nconnections = 0\n");
        assert!(refused(&zero).contains("limits.connections"));
    }

    #[test]
    fn no_ima_is_said_so() {
        let config = parse(&format!(
            "host = \"a\"\nverifier_pins = [\"{PIN}\"]\nima_log = \"none\"\n"
        ))
        .unwrap();
        assert_eq!(config.ima_log, ImaLog::None);
    }
}
