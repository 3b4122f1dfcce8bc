"""Starts processes, records them by pid and start time, and ends only what it recorded.

The record is written by the process itself before it becomes the program, so that there is no moment at which
a killed lab could leave an unrecorded process behind. A pid that another process got since is never signalled.
"""

import os
import pathlib
import signal
import socket
import subprocess
import time

import settings
from progress import LabError, wait_until

# The shell stores its own line of /proc (pid and start time), then becomes the program under the same pid.
_RECORD = 'read -r line </proc/$$/stat && printf "%s\\n" "$line" >"$0.new" && mv "$0.new" "$0" && exec "$@"'


def _record(name):
    return settings.RUN / f"{name}.proc"


def _stat(text):
    """(pid, state, start time) of a line of /proc/PID/stat. The program's name may hold spaces and brackets."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return int(head.split()[0]), fields[0], int(fields[19])


def pid_of(name):
    """The pid of a recorded process that still runs, else None."""
    try:
        pid, _, started = _stat(_record(name).read_text())
        now, state, began = _stat(pathlib.Path(f"/proc/{pid}/stat").read_text())
    except (OSError, ValueError, IndexError):
        return None
    return pid if now == pid and began == started and state not in "ZX" else None


def age_s(name):
    """For how many seconds a process has run; 0 when none does."""
    return time.time() - _record(name).stat().st_mtime if pid_of(name) else 0


def log_of(name):
    """Where a process's output goes."""
    return settings.LOG / f"{name}.log"


def start(name, argv, **environment):
    """Starts argv in a session of its own unless it runs already. Returns whether it was started."""
    if pid_of(name):
        return False
    _record(name).unlink(missing_ok=True)
    with open(log_of(name), "ab") as log:
        child = subprocess.Popen(["/bin/sh", "-c", _RECORD, str(_record(name)), *map(str, argv)], stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log, start_new_session=True, cwd=settings.VAR,
                                 env=settings.clean_environment(**environment))
    _CHILDREN[name] = child
    wait_until(f"{name}'s record", lambda: _record(name).exists(), 30, 0.005, lambda: child.poll())
    return True


_CHILDREN = {}


def require(name):
    """Raises with the tail of its log when a started process has ended."""
    child = _CHILDREN.get(name)
    if child:
        child.poll()
    if not pid_of(name):
        raise LabError(f"{name} ended by itself. The end of {log_of(name)}:\n{tail(log_of(name))}")


def tail(path, lines=25):
    """The last lines of a log."""
    try:
        return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError as e:
        return f"({e})"


def _signal_group(pid, number):
    # Each recorded process leads its own session, so its group holds it and its children, nothing else.
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def stop(name, number=signal.SIGTERM, patience_s=20):
    """Ends a recorded process and its children; a frozen one too. Returns whether there was one."""
    pid = pid_of(name)
    if not pid:
        _record(name).unlink(missing_ok=True)
        return False
    if number == signal.SIGKILL:
        _signal_group(pid, signal.SIGKILL)
    else:
        os.kill(pid, number)
        _signal_group(pid, signal.SIGCONT)
    end = time.monotonic() + patience_s
    while pid_of(name):
        if name in _CHILDREN:
            _CHILDREN[name].poll()
        if time.monotonic() > end:
            _signal_group(pid, signal.SIGKILL)
            end += 5
        time.sleep(0.02)
    _signal_group(pid, signal.SIGKILL)  # children that outlived their parent
    _record(name).unlink(missing_ok=True)
    return True


def freeze(name):
    """The process hangs: it keeps its sockets and answers nothing."""
    pid = pid_of(name)
    if not pid:
        raise LabError(f"{name} does not run, so it cannot be frozen")
    _signal_group(pid, signal.SIGSTOP)


def thaw(name):
    """A frozen process goes on."""
    pid = pid_of(name)
    if not pid:
        raise LabError(f"{name} does not run, so it cannot go on")
    _signal_group(pid, signal.SIGCONT)


def recorded():
    """Names of everything that was started and not stopped."""
    return sorted(p.name.removesuffix(".proc") for p in settings.RUN.glob("*.proc"))


def wait_port(name, port, timeout_s=60):
    """Until something listens on the port, as long as the process lives."""
    wait_until(f"{name} on port {port}", lambda: listens(port), timeout_s, 0.05, lambda: require(name))


def listens(port):
    """Whether anything accepts connections on the loopback port."""
    with socket.socket() as s:
        s.settimeout(2)
        return s.connect_ex((settings.IP, port)) == 0


def run(what, argv, log=None, stdin=None, **environment):
    """Runs a program to its end; raises with the end of its output when it fails. Returns its output."""
    with subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=settings.clean_environment(**environment),
                          cwd=settings.VAR) as child:
        out, _ = child.communicate(stdin)
    if log:
        with open(settings.LOG / f"{log}.log", "ab") as f:
            f.write(out)
    if child.returncode != 0:
        text = "\n".join(out.decode(errors="replace").splitlines()[-25:])
        raise LabError(f"{what} failed with code {child.returncode}:\n{text}")
    return out.decode(errors="replace")
