//! The files that a typical compute host measures while it comes up.

/// `count` plausible paths with a content for each: always the same, so that their digests can be golden values.
pub fn typical_host(count: usize) -> Vec<(String, String)> {
    let mut paths: Vec<String> = FIRST.iter().map(|&path| path.to_owned()).collect();
    let mut round = 0;
    while paths.len() < count {
        for (directory, names, ending) in FAMILIES {
            for name in names {
                let serial = if round == 0 {
                    String::new()
                } else {
                    format!("-{round}")
                };
                paths.push(format!("{directory}/{name}{serial}{ending}"));
            }
        }
        round += 1;
    }
    paths.truncate(count);
    paths
        .into_iter()
        .map(|path| (path.clone(), format!("the content of {path}")))
        .collect()
}

/// What every boot runs first, in this order.
const FIRST: [&str; 24] = [
    "/init",
    "/usr/bin/kmod",
    "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "/etc/ld.so.cache",
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/usr/lib/systemd/systemd",
    "/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so",
    "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
    "/usr/lib/systemd/systemd-udevd",
    "/usr/lib/systemd/systemd-journald",
    "/usr/lib/systemd/systemd-logind",
    "/usr/bin/dbus-daemon",
    "/usr/sbin/sshd",
    "/usr/sbin/cron",
    "/usr/sbin/chronyd",
    "/usr/bin/python3.11",
    "/usr/bin/nova-compute",
    "/usr/bin/neutron-openvswitch-agent",
    "/usr/sbin/ovs-vswitchd",
    "/usr/sbin/ovsdb-server",
    "/usr/sbin/libvirtd",
    "/usr/sbin/virtlogd",
    "/usr/bin/qemu-system-x86_64",
    "/usr/bin/lazaret-agent",
];

/// Directory, names, ending.
const FAMILIES: [(&str, &[&str], &str); 5] = [
    (
        "/usr/lib/modules/6.1.0-56-amd64/kernel/drivers",
        &[
            "kvm",
            "kvm_intel",
            "vhost_net",
            "tun",
            "bonding",
            "mlx5_core",
            "megaraid_sas",
            "nvme",
            "dm_mod",
            "xfs",
        ],
        ".ko",
    ),
    (
        "/usr/lib/x86_64-linux-gnu",
        &[
            "libvirt.so.0",
            "libssl.so.3",
            "libz.so.1",
            "libm.so.6",
            "libglib-2.0.so.0",
            "libpcre2-8.so.0",
        ],
        "",
    ),
    (
        "/usr/bin",
        &[
            "bash", "dash", "ls", "cat", "grep", "sed", "awk", "find", "ps", "ip", "sudo", "apt-get",
        ],
        "",
    ),
    (
        "/usr/sbin",
        &[
            "ip",
            "modprobe",
            "lvm",
            "multipathd",
            "iscsid",
            "dnsmasq",
            "nft",
            "tc",
        ],
        "",
    ),
    (
        "/usr/lib/python3/dist-packages/nova",
        &[
            "cmd/compute",
            "compute/manager",
            "virt/libvirt/driver",
            "virt/libvirt/host",
            "network/neutron",
            "rpc",
        ],
        ".py",
    ),
];
