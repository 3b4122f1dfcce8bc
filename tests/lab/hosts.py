"""One simulated compute host: its nova-compute, its agent, its TPM, its guests and its power."""

import contextlib
import fcntl
import signal
import time

import guests
import processes
import settings
import tpm
from progress import LabError
from settings import ETC, LOG, RUN


def _off_mark(host):
    return settings.host_dir(host) / "powered-off"


def is_off(host):
    """Whether the host has no power. True only after everything on it has ended."""
    return _off_mark(host).exists()


@contextlib.contextmanager
def _one_at_a_time(host):
    # Two BMCs and a person may press the switch together.
    with open(RUN / f"switch-{host}.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def compute_name(host):
    """The recorded process of a host's nova-compute."""
    return f"nova-compute-{host}"


def start_compute(host):
    """Starts nova-compute, unless the host has no power."""
    if is_off(host):
        raise LabError(f"{host} is powered off: lab host power-on {host}")
    processes.start(compute_name(host), [
        settings.NOVA_VENV / "bin/python", settings.SOURCE / "shims/compute.py", "--config-file", ETC / "nova/nova.conf",
        "--config-file", ETC / f"nova/{host}.conf", "--log-file", LOG / f"{compute_name(host)}.log"])


def power_off(host):
    """What a BMC does: everything on the host ends at once, and only then is it seen off."""
    with _one_at_a_time(host):
        if is_off(host):
            return
        processes.stop(compute_name(host), signal.SIGKILL)
        processes.stop(tpm.agent_name(host), signal.SIGKILL)
        guests.cut_power(host)
        _record(host, "off")
        _off_mark(host).touch()


def power_on(host):
    """The host boots: a new boot of the TPM with its log, the agent, nova-compute. Guests stay off."""
    with _one_at_a_time(host):
        if not is_off(host):
            return
        _off_mark(host).unlink()
        _record(host, "on")
        if tpm.is_up(host):
            tpm.boot(host)
        if processes.pid_of("nova-conductor"):
            start_compute(host)
        if tpm.is_up(host):
            tpm.start_agent(host)


def clear_flags(host):
    """What whoever rules the host can do by its message bus: nova's row of its service says that all is well."""
    import openstack
    openstack.sql("UPDATE nova_cell1.services SET disabled = 0, disabled_reason = NULL, forced_down = 0 "
                  f"WHERE host = '{host}' AND `binary` = 'nova-compute' AND deleted = 0;")


def _record(host, power):
    with open(LOG / "power.log", "a") as f:
        f.write(f"{time.time():.3f} {host} {power}\n")


def state(host):
    """Everything about the host, for people and tests."""
    running = sum(guest["running"] for _, guest in guests.files(host))
    return {"name": host, "power": "off" if is_off(host) else "on", "nova_compute": processes.pid_of(compute_name(host)),
            "agent": processes.pid_of(tpm.agent_name(host)), "tpm": processes.pid_of(tpm.tpm_name(host)), "guests_running": running}


def act(action, host):
    """The verbs of `lab host`."""
    known = (*settings.HOSTS, settings.FOREIGN)
    if host not in known:
        raise LabError(f"unknown host {host!r}; the lab has {', '.join(known)}")
    agent, compute = tpm.agent_name(host), compute_name(host)
    verbs = {
        "power-off": lambda: power_off(host), "power-on": lambda: power_on(host),
        "kill-agent": lambda: processes.stop(agent, signal.SIGKILL), "start-agent": lambda: tpm.start_agent(host),
        "silence": lambda: processes.freeze(agent), "speak": lambda: processes.thaw(agent),
        "kill-compute": lambda: processes.stop(compute, signal.SIGKILL), "start-compute": lambda: start_compute(host),
        "freeze-compute": lambda: processes.freeze(compute), "thaw-compute": lambda: processes.thaw(compute),
        "clear-flags": lambda: clear_flags(host),
    }
    if action == "start-agent" and is_off(host):
        raise LabError(f"{host} is powered off: lab host power-on {host}")
    verbs[action]()


ACTIONS = ("power-off", "power-on", "status", "kill-agent", "start-agent", "silence", "speak",
           "kill-compute", "start-compute", "freeze-compute", "thaw-compute", "clear-flags")
