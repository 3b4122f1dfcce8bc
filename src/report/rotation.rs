//! Which credentials a compute host knows, and why each has to be replaced once it is condemned.

use serde::{Deserialize, Serialize};

/// One credential to replace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Its name among what has to be ticked or waived before the host is given back.
    #[serde(default)]
    pub item: String,
    /// What.
    pub what: String,
    /// Where the host had it.
    pub from: String,
    /// Why, and what can be done with it until then.
    pub why: String,
}

const KNOWN: [(&str, &str, &str, &str); 9] = [
    (
        "message-bus",
        "Message bus account",
        "transport_url in nova.conf and neutron's agent configuration",
        "First of all: with it the host, or whoever copied it, can still speak to nova's conductor, clear its own \
         disabled and forced-down flags, and send messages to other hosts.",
    ),
    (
        "service-users",
        "Service users",
        "[keystone_authtoken], [service_user], [neutron], [placement], [cinder], [glance] in nova.conf",
        "They log in to keystone as nova or neutron, with rights over every project. Change the passwords, and revoke \
         the tokens that were given out.",
    ),
    (
        "storage-keys",
        "Storage keys (Ceph, NFS, iSCSI CHAP)",
        "/etc/ceph/*.keyring, libvirt secrets, /etc/iscsi",
        "With them every volume of the pool can be read and written from anywhere in the storage network.",
    ),
    (
        "libvirt-keys",
        "libvirt and live-migration keys",
        "TLS keys in /etc/pki/libvirt and /etc/pki/qemu, nova's SSH key in /var/lib/nova/.ssh",
        "Other hosts let in whoever holds them, as the user that runs their instances. Take the host's key out of \
         every authorized_keys and known_hosts.",
    ),
    (
        "ssh-keys",
        "SSH host keys and operators' keys",
        "/etc/ssh, forwarded agents, ~/.ssh of everybody who logged in",
        "A copied host key lets another machine pose as this one; keys of people who logged in since the compromise \
         may have been used onwards.",
    ),
    (
        "tls-certificates",
        "TLS certificates of the host",
        "private keys of console proxies, monitoring and the host's own agents",
        "Revoke them: whoever copied the keys can pose as this host until they expire.",
    ),
    (
        "bmc-password",
        "BMC password",
        "changeable from the host itself (IPMI in-band), often equal on many machines",
        "The host's root can set it, and read the user list. Change it, and where it was shared change it everywhere.",
    ),
    (
        "instance-secrets",
        "Passwords and keys of the instances",
        "the instances' memory and disks",
        "The host could read everything that its instances held. Tell their owners, listed above.",
    ),
    (
        "agent-key",
        "Lazaret's agent key",
        "/var/lib/lazaret-agent",
        "Enrol the host again after it was reinstalled; until then its key is refused.",
    ),
];

/// What this host knew.
pub fn credentials() -> Vec<Credential> {
    KNOWN
        .into_iter()
        .map(|(item, what, from, why)| Credential {
            item: item.to_owned(),
            what: what.to_owned(),
            from: from.to_owned(),
            why: why.to_owned(),
        })
        .collect()
}
