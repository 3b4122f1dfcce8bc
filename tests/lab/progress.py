"""Progress lines with seconds, the table of what took how long, and work done side by side."""

import contextlib
import sys
import threading
import time

_START = time.monotonic()
_TOOK = []
_LOCK = threading.Lock()


class LabError(Exception):
    """Something that a person must read; printed without a traceback."""


def seconds():
    """Seconds since this command began."""
    return time.monotonic() - _START


def say(text):
    """One progress line."""
    with _LOCK:
        print(f"{seconds():7.1f} s  {text}", flush=True)


@contextlib.contextmanager
def took(what, quiet=False):
    """Measures a piece of work for the table; says so when it is done."""
    begin = time.monotonic()
    yield
    spent = time.monotonic() - begin
    with _LOCK:
        _TOOK.append((what, begin - _START, spent))
    if not quiet:
        say(f"{what} ({spent:.1f} s)")


def table():
    """What took how long, in the order of beginning."""
    print(f"\n  {'what':<44}{'begun at':>10}{'took':>10}")
    for what, begun, spent in sorted(_TOOK, key=lambda row: row[1]):
        print(f"  {what:<44}{begun:>8.1f} s{spent:>8.1f} s")
    print(f"  {'in all':<44}{'':>10}{seconds():>8.1f} s\n", flush=True)


def together(*jobs):
    """Runs the jobs side by side; raises the first failure after all have ended."""
    failures = []

    def run(job):
        try:
            job()
        except BaseException as e:  # handed to the caller below
            failures.append(e)

    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        for other in failures[1:]:
            print(f"also: {other}", file=sys.stderr)
        raise failures[0]


def wait_until(what, probe, timeout_s, every_s=0.1, alive=None):
    """Asks probe until it returns something true. alive() may raise to stop early."""
    end = time.monotonic() + timeout_s
    while True:
        got = probe()
        if got:
            return got
        if alive:
            alive()
        if time.monotonic() > end:
            raise LabError(f"{what}: not there after {timeout_s} s")
        time.sleep(every_s)
