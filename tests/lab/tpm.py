"""Software TPMs with certificates of a manufacturer, genuine boots on them, and an agent for each host."""

import pathlib
import shutil
import signal
import subprocess

import processes
import settings
from progress import LabError, together, took
from settings import BINARIES, CACHE, ETC, FOREIGN, FOREIGN_MAKER, HOSTS, IP, MAKER, PORT, VAR

ROOTS = ETC / "tpm-roots"
IDENTITY = VAR / "daemon" / "identity"


def agent_name(host):
    """The recorded process of a host's agent."""
    return f"agent-{host}"


def tpm_name(host):
    """The recorded process of a host's software TPM."""
    return f"tpm-{host}"


def _maker(host):
    return FOREIGN_MAKER if host == FOREIGN else MAKER


def _state(host):
    return settings.host_dir(host) / "tpm"


def evidence_dir(host):
    """Where the host keeps what its kernel would show: boot log and IMA list."""
    return settings.host_dir(host) / "evidence"


def is_up(host):
    """Whether the host's TPM runs."""
    return processes.pid_of(tpm_name(host)) is not None


def up():
    """TPMs, boots, agents: seconds, and no cloud needed."""
    everyone = (*HOSTS, FOREIGN)
    settings.make_folders()
    with took("TPMs made and started"):
        for maker in (MAKER, FOREIGN_MAKER):
            _authority(maker)
        # The first TPM of a maker makes the maker's keys, so the second waits for it.
        together(lambda: [_make(h) for h in HOSTS], lambda: _make(FOREIGN))
        _publish_roots()
        together(*[lambda h=h: _start_tpm(h) for h in everyone])
    with took("hosts booted on their TPMs"):
        together(*[lambda h=h: _first_boot(h) for h in everyone])
    with took("agents"):
        pin = verifier_pin()
        for host in everyone:
            _agent_configuration(host, pin)
        running = [h for h in everyone if not (settings.host_dir(h) / "powered-off").exists()]
        together(*[lambda h=h: start_agent(h) for h in running])


def down():
    """Ends agents and TPMs."""
    for host in (*HOSTS, FOREIGN):
        processes.stop(agent_name(host), signal.SIGKILL)
        processes.stop(tpm_name(host))


def _authority(maker):
    """swtpm's own certificate authority, one folder and so one key pair for each maker."""
    folder = CACHE / "makers" / maker
    (folder / "state").mkdir(parents=True, exist_ok=True)
    tool = shutil.which("swtpm_localca", path="/usr/bin:/usr/local/bin:/usr/lib/x86_64-linux-gnu/swtpm:/usr/share/swtpm")
    state = folder / "state"
    (folder / "ca.conf").write_text(f"statedir = {state}\nsigningkey = {state}/signkey.pem\nissuercert = {state}/issuercert.pem\n"
                                    f"certserial = {state}/certserial\n")
    (folder / "ca.options").write_text(f"--tpm-manufacturer id:00001014\n--tpm-model swtpm\n--tpm-version 2\n"
                                       f"--platform-manufacturer {maker}\n--platform-version 1.0\n--platform-model lab\n")
    (folder / "setup.conf").write_text(f"create_certs_tool = {tool}\ncreate_certs_tool_config = {folder}/ca.conf\n"
                                       f"create_certs_tool_options = {folder}/ca.options\nactive_pcr_banks = sha1,sha256\n")


def _make(host):
    """A TPM with its endorsement keys and certificates. Made once, then copied: a fresh lab has the same identities."""
    kept = CACHE / "tpms" / host
    if not (kept / "tpm2-00.permall").exists():
        new = kept.with_name(host + ".new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(kept, ignore_errors=True)
        (new / "certs").mkdir(parents=True)
        processes.run(f"swtpm_setup for {host}", [
            "swtpm_setup", "--tpm2", "--tpm-state", new, "--config", CACHE / "makers" / _maker(host) / "setup.conf", "--create-ek-cert",
            "--create-platform-cert", "--lock-nvram", "--pcr-banks", "sha1,sha256", "--vmid", host, "--write-ek-cert-files", new / "certs",
            "--not-overwrite", "--logfile", new / "setup.log"], XDG_CONFIG_HOME=CACHE)
        new.rename(kept)
    if not (_state(host) / "tpm2-00.permall").exists():
        shutil.rmtree(_state(host), ignore_errors=True)
        _state(host).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(kept, _state(host))


def _publish_roots():
    """Root and intermediate of the maker that the operator trusts. The foreign maker's stay out."""
    ROOTS.mkdir(parents=True, exist_ok=True)
    state = CACHE / "makers" / MAKER / "state"
    shutil.copy(state / "swtpm-localca-rootca-cert.pem", ROOTS / f"{MAKER}-root.pem")
    shutil.copy(state / "issuercert.pem", ROOTS / f"{MAKER}-issuer.pem")


def _start_tpm(host):
    port = PORT[tpm_name(host)]
    processes.start(tpm_name(host), [
        "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={_state(host)},mode=0600", "--server", f"type=tcp,port={port},bindaddr={IP}",
        "--ctrl", f"type=tcp,port={port + 1},bindaddr={IP}", "--flags", "not-need-init,startup-clear", "--seccomp", "action=none"])
    processes.wait_port(tpm_name(host), port)


def _binary(name):
    path = BINARIES / name
    if not path.exists():
        raise LabError(f"{path} is not built. Run: cargo build --workspace")
    return path


def forge(*words):
    """Runs lazaret-forge, which writes logs and extends the TPM as a kernel would."""
    return processes.run(f"lazaret-forge {words[0]}", [_binary("lazaret-forge"), *words], log="forge")


def _first_boot(host):
    # A TPM that was restarted has lost its PCRs, so a log from before would not replay: boot again.
    marker = settings.host_dir(host) / "booted-on"
    this_start = str(processes.pid_of(tpm_name(host)))
    if not marker.exists() or marker.read_text() != this_start:
        boot(host)


def boot(host, *changes):
    """A real reboot: the TPM starts again, PCRs follow a boot log and an IMA list that match them."""
    evidence_dir(host).mkdir(parents=True, exist_ok=True)
    again = [] if changes or not (evidence_dir(host) / "description.toml").exists() else ["--reboot"]
    forge("boot", *_at(host), *again, *changes)
    (settings.host_dir(host) / "measured").unlink(missing_ok=True)
    (settings.host_dir(host) / "booted-on").write_text(str(processes.pid_of(tpm_name(host))))


def measure(host, path):
    """The host runs a program that is in nobody's golden values; the content of a file here, if there is one."""
    local = pathlib.Path(path)
    (settings.host_dir(host) / "measured").touch()
    content = ["--content-file", local.resolve()] if local.is_file() else ["--text", f"a foreign program at {path}"]
    return forge("measure", *_at(host), "--path", path, *content)


def _at(host):
    return ["--swtpm", f"{IP}:{PORT[tpm_name(host)]}", "--dir", evidence_dir(host)]


def verifier_pin():
    """The pin of the daemon's TLS key, which is made in the daemon's identity directory if there is none.

    The agent makes it with the code that the daemon uses too, so that nothing here waits for the daemon to be built.
    """
    description = ETC / "identity.toml"
    description.write_text(f'host = "lazaret"\nstate_directory = "{IDENTITY}"\nverifier_pins = ["sha256:{"0" * 64}"]\n')
    IDENTITY.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([_binary("lazaret-agent"), "pin", "--config", description], capture_output=True, text=True,
                          env=settings.clean_environment(), check=False)
    pins = [word for word in done.stdout.split() if word.startswith("sha256:")]
    if done.returncode or not pins:
        raise LabError(f"lazaret-agent pin failed with code {done.returncode}:\n{done.stderr}{done.stdout}")
    return pins[0]


def _agent_configuration(host, pin):
    evidence = evidence_dir(host)
    text = f'''# Written by the lab.
host = "{host}"
listen = "{IP}:{PORT[agent_name(host)]}"
tcti = "swtpm:host={IP},port={PORT[tpm_name(host)]}"
state_directory = "{settings.host_dir(host)}/agent"
boot_log = "{evidence}/binary_bios_measurements"
ima_log = "{evidence}/ima/binary_runtime_measurements"
verifier_pins = ["{pin}"]
'''
    (ETC / f"agent-{host}.toml").write_text(text)


def start_agent(host):
    """Starts the agent and waits until it listens."""
    processes.start(agent_name(host), [_binary("lazaret-agent"), "run", "--config", ETC / f"agent-{host}.toml"], TSS2_LOG="all+none")
    processes.wait_port(agent_name(host), PORT[agent_name(host)])
