"""Writes what others need to know: lab.json for tests, lazaret.toml for the daemon, and the password files."""

import json
import os
import threading

import bmc
import guests
import seed
import settings
import tpm
from settings import ETC, FOREIGN, HOSTS, IP, LAB, PORT, URL, VAR

LAB_JSON = LAB / "lab.json"
DAEMON_TOML = LAB / "lazaret.toml"
PASSWORDS = ETC / "passwords"


def write():
    """All of them, whole or not at all: a reader never sees half a file."""
    PASSWORDS.mkdir(parents=True, exist_ok=True)
    for name, secret in {**{u: settings.PASSWORD for u in ("admin", *seed.USERS)}, "bmc": settings.BMC_PASSWORD}.items():
        _whole(PASSWORDS / name, secret + "\n", 0o600)
    tpm.ROOTS.mkdir(parents=True, exist_ok=True)
    (VAR / "daemon/golden").mkdir(parents=True, exist_ok=True)
    _whole(LAB_JSON, json.dumps(_lab(), indent=2) + "\n", 0o644)
    _whole(DAEMON_TOML, _daemon(), 0o600)


def _whole(path, text, mode):
    new = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    new.write_text(text)
    new.chmod(mode)
    new.rename(path)


def _host(name):
    known = {"name": name, "agent_url": f"https://{IP}:{PORT['agent-' + name]}", "agent_port": PORT["agent-" + name],
             "swtpm_port": PORT["tpm-" + name], "evidence_dir": str(tpm.evidence_dir(name)),
             "boot_log": str(tpm.evidence_dir(name) / "binary_bios_measurements"), "ima_log": str(tpm.evidence_dir(name) / "ima/binary_runtime_measurements"),
             "tpm_certificates": str(settings.host_dir(name) / "tpm/certs")}
    if name in HOSTS:
        known |= {"redfish_url": f"https://{IP}:{PORT['redfish-' + name]}", "redfish_system": settings.system_uuid(name),
                  "system_uuid": settings.system_uuid(name), "redfish_ca_file": str(bmc.CERTIFICATE), "ipmi_port": PORT["ipmi-" + name],
                  "bmc_username": settings.BMC_USER, "bmc_password_file": str(PASSWORDS / "bmc"), "bmc_faults": str(VAR / "bmc" / name / "faults.json"),
                  "compute_faults": str(settings.host_dir(name) / "faults.json")}
    return known


def _lab():
    return {
        "release": settings.RELEASE, "auth_url": URL["identity"], "region": settings.REGION, "endpoints": URL,
        "users": {name: {"username": name, "password_file": str(PASSWORDS / name), "user_domain": "Default", "project_domain": "Default",
                         "project": project} for name, project in [("admin", "admin"), *((u, p) for u, (p, _) in seed.USERS.items())]},
        "hosts": [_host(name) for name in HOSTS], "foreign": _host(FOREIGN), "roots": str(tpm.ROOTS),
        "segment": seed.SEGMENT, "flavor": seed.FLAVOR, "image": seed.IMAGE, "times": settings.TIMES,
        "daemon_config": str(DAEMON_TOML), "daemon_dir": str(VAR / "daemon"), "guest_journal": str(guests.JOURNAL),
        "lab": str(settings.SOURCE / "lab"), "log_dir": str(settings.LOG),
    }


def _daemon():
    """The daemon's configuration, as an operator would write it for this cloud."""
    state = VAR / "daemon"
    text = f'''# Written by the lab: the daemon's configuration for the cloud on this machine's loopback.
[store]
path = "{state}/lazaret.db"

[identity]
directory = "{tpm.IDENTITY}"

[openstack]
auth_url = "{URL['identity']}"
region = "{settings.REGION}"
username = "lazaret"
user_domain = "Default"
project = "service"
project_domain = "Default"
password_file = "{PASSWORDS}/lazaret"

[agents]
connect_timeout_s = 3
answer_timeout_s = 10

[enrolment]
roots = "{tpm.ROOTS}"

[schedule]
cron = "*/10 * * * * *"
jitter_s = 2
round_deadline_s = 15

[appraisal]
policy = "{state}/golden/{{host}}.toml"

[response]
mode = "enforce"
recovery = "masakari"
local_disk = "rebuild"
lease_s = 10
startup_grace_s = 0
brake_wait_s = 5

[fence]
off_polls = 3
off_poll_interval_s = 1
heartbeat_silence_s = {settings.TIMES["nova_service_down_time"]}
'''
    for name in HOSTS:
        text += f'''
[[host]]
name = "{name}"
agent = "https://{IP}:{PORT['agent-' + name]}"

[[host.fence]]
kind = "redfish"
url = "https://{IP}:{PORT['redfish-' + name]}"
system = "{settings.system_uuid(name)}"
system_uuid = "{settings.system_uuid(name)}"
username = "{settings.BMC_USER}"
password_file = "{PASSWORDS}/bmc"
ca_file = "{bmc.CERTIFICATE}"

[[host.fence]]
kind = "agent"
program = "/usr/sbin/fence_ipmilan"
options = {{ ip = "{IP}", ipport = "{PORT['ipmi-' + name]}", username = "{settings.BMC_USER}", lanplus = "1", cipher = "3" }}
password_file = "{PASSWORDS}/bmc"
'''
    return text
