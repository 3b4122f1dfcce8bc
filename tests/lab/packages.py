"""Installs what the lab needs: Debian packages (nothing starts by itself) and Python ones in the build folder."""

import hashlib
import os
import shutil
import subprocess
import sys

import room
import settings
from progress import LabError, say, together, took

DEBIAN = """
libtss2-dev libtss2-tcti-swtpm0 libtss2-tcti-device0 pkg-config gcc libc6-dev
swtpm swtpm-tools tpm2-tools openssh-client
mariadb-server mariadb-client rabbitmq-server
openipmi ipmitool fence-agents libfaketime
postgresql
python3-venv python3-dev openssl curl ca-certificates
""".split()

# Runs as root. policy-rc.d keeps new packages from starting anything; an operator's own one is put back as it was,
# also by the next run when this one was killed.
_APT = """
set -eu
guard=/usr/sbin/policy-rc.d kept=/usr/sbin/policy-rc.d.before-lazaret-lab
restore() {
  if [ -e "$kept" ] || [ -L "$kept" ]; then mv -f "$kept" "$guard"
  elif grep -qs 'made by the lazaret lab' "$guard"; then rm -f "$guard"; fi
}
restore
trap restore EXIT; trap 'exit 130' INT TERM HUP
if [ -e "$guard" ] || [ -L "$guard" ]; then mv "$guard" "$kept"; fi
printf '#!/bin/sh\\n# made by the lazaret lab\\nexit 101\\n' >"$guard"; chmod 755 "$guard"
export DEBIAN_FRONTEND=noninteractive
apt="apt-get -y -q -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0"
$apt install --no-install-recommends "$@" || { $apt update; $apt install --no-install-recommends "$@"; }
"""


def install():
    """Everything that `up` needs; only what is missing."""
    settings.make_folders()
    debian()
    python()


def missing_packages():
    """Names of the Debian packages that are not installed."""
    out = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Status}\n", *DEBIAN],
                         capture_output=True, text=True, check=False).stdout
    present = {line.split()[0] for line in out.splitlines() if line.endswith("install ok installed")}
    return [name for name in DEBIAN if name not in present]


def debian():
    """Installs the missing Debian packages, as root or through sudo."""
    if not shutil.which("apt-get"):
        raise LabError("The lab installs MariaDB, RabbitMQ, swtpm and others with apt-get, and this machine has none: "
                       "use Debian 12, or a container of it.")
    missing = missing_packages()
    if not missing:
        return
    settings.make_folders()
    become_root = []
    if os.geteuid() != 0:
        if not shutil.which("sudo"):
            raise LabError(f"These packages are missing and there is no sudo to install them: {' '.join(missing)}")
        say("sudo is used, for apt-get only")
        become_root = ["sudo"]
    say(f"apt-get installs {len(missing)} packages: {' '.join(missing)}")
    log = settings.LOG / "apt.log"
    with took("Debian packages"), open(log, "ab") as out:
        done = subprocess.run([*become_root, "/bin/sh", "-c", _APT, "apt", *missing], stdin=subprocess.DEVNULL if not become_root else None,
                              stdout=out, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise LabError(f"apt-get failed with code {done.returncode}. The end of {log}:\n{end}")


def python():
    """The virtual environments, each by its lock file."""
    wanted = [(settings.VENV, "current"), (settings.BMC_VENV, "bmc")]
    if settings.RELEASE != "current":
        wanted.append((settings.NOVA_VENV, settings.RELEASE))
    stale = [(where, lock) for where, lock in wanted if not _matches(where, lock)]
    if not stale:
        return
    room.ask(room.PACKAGES, "installing OpenStack's Python packages")
    _installer()
    together(*[lambda where=where, lock=lock: _environment(where, lock) for where, lock in stale])


def lock_digest(lock):
    """SHA-256 of a lock file: names caches that depend on the versions."""
    return hashlib.sha256((settings.SOURCE / "locks" / f"{lock}.txt").read_bytes()).hexdigest()


def _matches(where, lock):
    try:
        return (where / "made-from").read_text() == lock_digest(lock)
    except OSError:
        return False


def _network_environment():
    # The user's own settings of index, proxy and CA reach pip and uv; caches stay in the build folder.
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}
    env |= {"PIP_CACHE_DIR": str(settings.CACHE / "pip"), "UV_CACHE_DIR": str(settings.CACHE / "uv"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if "PIP_INDEX_URL" in env:
        env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
    if "PIP_CERT" in env:
        env.setdefault("SSL_CERT_FILE", env["PIP_CERT"])
    return env


def _quietly(what, argv, log):
    with open(log, "ab") as out:
        done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                              env=_network_environment(), check=False)
    if done.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise LabError(f"{what} failed with code {done.returncode}. The end of {log}:\n{end}")


def _venv(where):
    shutil.rmtree(where, ignore_errors=True)
    # Debian's interpreter, whatever comes first in PATH: the lock files are for it.
    _quietly(f"making {where}", ["/usr/bin/python3", "-m", "venv", where], settings.LOG / "venv.log")


def _installer():
    """uv installs in seconds what takes pip two minutes; pip does it where uv cannot be had."""
    if (settings.TOOLS / "bin/uv").exists():
        return
    _venv(settings.TOOLS)
    try:
        _quietly("installing uv", [settings.TOOLS / "bin/pip", "-q", "install", "uv>=0.5"], settings.LOG / "venv.log")
    except LabError as e:
        say(f"uv cannot be installed, pip is used instead, which takes longer ({str(e).splitlines()[-1]})")


def _environment(where, lock):
    log = settings.LOG / f"{where.name}.log"
    log.unlink(missing_ok=True)
    with took(f"Python packages of locks/{lock}.txt"):
        _venv(where)
        pins, uv = settings.SOURCE / "locks" / f"{lock}.txt", settings.TOOLS / "bin/uv"
        try:
            if not uv.exists():
                raise LabError("no uv")
            _quietly("uv", [uv, "pip", "install", "-q", "--no-deps", "--python", where / "bin/python", "-r", pins], log)
        except LabError:
            _quietly("pip", [where / "bin/pip", "-q", "install", "--no-compile", "--no-deps", "-r", pins], log)
        # Compiled once here, not by a dozen services at once at their first start. Test suites are half of the code.
        subprocess.run([str(where / "bin/python"), "-m", "compileall", "-q", "-j", "2", "-x", "/(tests?|functional)/",
                        str(where / "lib")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       env=_network_environment(), check=False)
        (where / "made-from").write_text(lock_digest(lock))


def require_installed():
    """Raises when `install` is needed first."""
    if missing_packages() or not _matches(settings.VENV, "current") or not _matches(settings.BMC_VENV, "bmc") \
            or not _matches(settings.NOVA_VENV, settings.RELEASE):
        raise LabError(f"The lab's packages are not complete. Run: {sys.argv[0]} install")
