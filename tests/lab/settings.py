"""Where the lab keeps things, which ports it uses, and what the environment can change."""

import os
import pathlib

SOURCE = pathlib.Path(__file__).resolve().parent
ROOT = SOURCE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
BINARIES = TARGET / "debug"

# Everything the lab makes lives below this one folder.
LAB = pathlib.Path(os.environ.get("LAZARET_LAB_DIR", TARGET / "lab")).resolve()
ETC, VAR, LOG, RUN = LAB / "etc", LAB / "var", LAB / "log", LAB / "run"
CACHE = LAB / "cache"
TOOLS = LAB / "tools"

# "current", or "zed": nova's older release, which many clouds still run (microversion 2.93 at most).
RELEASE = os.environ.get("LAZARET_LAB_RELEASE", "current")
RELEASES = ("current", "zed")
# Every service but nova; nova too unless an older one is asked for.
VENV = LAB / "venv-current"
NOVA_VENV = LAB / f"venv-{RELEASE}"
BMC_VENV = LAB / "venv-bmc"

IP = "127.0.0.1"
REGION = "RegionOne"
HOSTS = ("cmp-1", "cmp-2", "cmp-3")
# A TPM of a maker that nobody trusts, for tests of enrolment.
FOREIGN = "foreign"
MAKER, FOREIGN_MAKER = "vendor-a", "vendor-b"


def _ports():
    """One table of ports. LAZARET_LAB_PORT_BASE moves all of them, LAZARET_LAB_PORT_<NAME> one."""
    base = int(os.environ.get("LAZARET_LAB_PORT_BASE", "31000"))
    names = ["keystone", "placement", "glance", "nova", "neutron", "masakari", "barbican"]
    table = {name: base + i for i, name in enumerate(names)}
    table |= {"mariadb": base + 10, "rabbitmq": base + 11, "rabbitmq-peers": base + 12, "epmd": base + 13}
    for i, host in enumerate(HOSTS):
        # The control port of a swtpm is always the data port plus one: libtss2 wants it there.
        table |= {f"tpm-{host}": base + 100 + 2 * i, f"agent-{host}": base + 200 + i,
                  f"redfish-{host}": base + 300 + i, f"ipmi-{host}": base + 400 + i}
    table |= {f"tpm-{FOREIGN}": base + 120, f"agent-{FOREIGN}": base + 220}
    return {name: int(os.environ.get("LAZARET_LAB_PORT_" + name.upper().replace("-", "_"), port))
            for name, port in table.items()}


PORT = _ports()

# Passwords of a lab that listens on loopback only. They are written to files, as a real operator's are.
PASSWORD = "lab-only-secret"
BMC_USER, BMC_PASSWORD = "fence", "lab-only-fence"

# Times that production counts in minutes. The product must not depend on these values.
TIMES = {
    "nova_report_interval": int(os.environ.get("LAZARET_LAB_REPORT_INTERVAL", "2")),
    "nova_service_down_time": int(os.environ.get("LAZARET_LAB_SERVICE_DOWN_TIME", "8")),
    "masakari_wait_update": int(os.environ.get("LAZARET_LAB_MASAKARI_WAIT", "3")),
    "masakari_wait_evacuation": int(os.environ.get("LAZARET_LAB_MASAKARI_EVACUATION", "60")),
    "masakari_unfinished": int(os.environ.get("LAZARET_LAB_MASAKARI_UNFINISHED", "20")),
    "masakari_duplicate": int(os.environ.get("LAZARET_LAB_MASAKARI_DUPLICATE", "5")),
    "masakari_delay": int(os.environ.get("LAZARET_LAB_MASAKARI_DELAY", "0")),
}

URL = {
    "identity": f"http://{IP}:{PORT['keystone']}/v3",
    "placement": f"http://{IP}:{PORT['placement']}",
    "image": f"http://{IP}:{PORT['glance']}",
    "compute": f"http://{IP}:{PORT['nova']}/v2.1",
    "network": f"http://{IP}:{PORT['neutron']}",
    "instance-ha": f"http://{IP}:{PORT['masakari']}/v1",
    "key-manager": f"http://{IP}:{PORT['barbican']}",
}


def system_uuid(host):
    """The UUID that the host's BMC reports for its system."""
    n = HOSTS.index(host) + 1
    return f"1a2a7e7{n}-0000-4000-8000-00000000000{n}"


def host_dir(host):
    """What belongs to one simulated compute host: guests, TPM state, logs of the boot, agent state."""
    return VAR / host


def make_folders():
    """Every folder that is written to; safe to call again."""
    for d in (ETC, VAR, LOG, RUN, CACHE, TOOLS):
        d.mkdir(parents=True, exist_ok=True)


def clean_environment(**extra):
    """The environment of started services: no foreign Python, no proxies, byte code kept."""
    kept = {k: os.environ[k] for k in ("LANG", "TZ", "USER", "LOGNAME") if k in os.environ}
    lab = {k: v for k, v in os.environ.items() if k.startswith("LAZARET_LAB_") or k == "CARGO_TARGET_DIR"}
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(VAR),
            "LC_ALL": "C.UTF-8", "LAZARET_LAB_DIR": str(LAB), **kept, **lab, **{k: str(v) for k, v in extra.items()}}
