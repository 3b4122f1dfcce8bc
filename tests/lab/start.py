"""Everything ready, in the order that costs least: packages, then building beside the start of the cloud."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib

import packages
import room
import settings
from progress import LabError, say, took

CLOUD_LOG = "up-cloud.log"


def toolchain():
    """Raises when there is no Rust that is new enough, and says how to get it."""
    with open(settings.ROOT / "Cargo.toml", "rb") as f:
        wanted = tomllib.load(f)["workspace"]["package"]["rust-version"]
    how = (f"Lazaret needs Rust {wanted} or newer with clippy and rustfmt, and Debian's own rustc is older. rustup, the Rust "
           f"project's installer, has it:\n    rustup toolchain install stable --profile minimal -c clippy -c rustfmt")
    try:
        found = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise LabError(f"There is no rustc in PATH. {how}") from None
    version = re.search(r"(\d+)\.(\d+)", found)
    if version is None or tuple(map(int, version.groups())) < tuple(map(int, wanted.split(".")[:2])):
        raise LabError(f"{found.strip()} is too old. {how}")


def cargo(*words, quiet=True, **environment):
    """Runs cargo in the checkout; its warnings and errors are shown."""
    argv = ["cargo", *words[:1], *(["-q"] if quiet else []), *words[1:]]
    done = subprocess.run(argv, cwd=settings.ROOT, stdin=subprocess.DEVNULL, env={**os.environ, **environment}, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(argv)} failed with code {done.returncode}")


def lab(*words, quiet=False):
    """One command of the lab, as a person would give it."""
    argv = [sys.executable, str(settings.SOURCE / "lab"), *map(str, words)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if quiet else None, text=True, check=False)
    if done.returncode:
        raise LabError(f"lab {' '.join(map(str, words))} failed with code {done.returncode}")
    return done.stdout


class Background:
    """The cloud's start, beside other work. Its lines go to a log; its failure is raised by wait()."""

    def __init__(self):
        settings.make_folders()
        self._begun = time.monotonic()
        self._took = None
        self._log = settings.LAB / CLOUD_LOG
        with open(self._log, "wb") as log:
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", '"$0" "$1" install && exec "$0" "$1" up cloud', sys.executable, str(settings.SOURCE / "lab")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        self._child.wait()
        self._took = time.monotonic() - self._begun

    def done(self):
        """Whether it has ended, well or not."""
        return self._child.poll() is not None

    def wait(self):
        """Until the cloud is up."""
        if not self.done():
            say("waiting for the cloud ...")
        if self._child.wait() != 0:
            raise LabError(f"the cloud did not start. {self._log}:\n" + "\n".join(self._log.read_text().splitlines()[-30:]))
        while self._took is None:
            time.sleep(0.01)
        say(f"the cloud is up (it took {self._took:.0f} s, most of them beside other work)")

    def stop(self):
        """Ends the start of the cloud where it is; `lab down` ends what it had started."""
        if not self.done():
            # With its own children; the services that it started are sessions of their own, and recorded.
            os.killpg(self._child.pid, signal.SIGTERM)
            self._child.wait()


def packages_and_cloud():
    """Debian's packages, which the build needs too; then the cloud begins to start."""
    toolchain()
    settings.make_folders()
    packages.debian()
    return Background()


def build(*, tests):
    """The programs; with tests also everything that `cargo test` needs."""
    room.for_building(tests)
    with took("programs built"):
        cargo("build", "--workspace")
    if tests:
        with took("tests built"):
            cargo("test", "--workspace", "--all-features", "--no-run")


def run_selftest():
    """The tests of the lab itself: its proofs must be able to fail."""
    done = subprocess.run([sys.executable, "-B", str(settings.SOURCE / "selftest")], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"the lab's own tests failed:\n{done.stderr[-3000:]}")
