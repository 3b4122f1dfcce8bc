"""What ran where, and the proof that no guest ever ran on two hosts at once."""

import json

import settings

JOURNAL = settings.VAR / "guests.jsonl"


def journal(event, host, instance, running):
    """Adds a line; the power switch writes here, and each nova-compute by itself."""
    import time
    line = json.dumps({"time": round(time.time(), 3), "host": host, "event": event, "instance": instance, "running": running})
    with open(JOURNAL, "ab", buffering=0) as f:
        f.write(line.encode() + b"\n")


def files(host):
    """(path, content) of each guest on a host."""
    for path in sorted((settings.host_dir(host) / "guests").glob("*.json")):
        try:
            yield path, json.loads(path.read_text())
        except (OSError, ValueError):
            continue  # destroyed meanwhile


def cut_power(host):
    """Every guest of the host stops, without being asked."""
    for path, guest in files(host):
        if guest["running"]:
            path.with_suffix(".cut").write_text(json.dumps({**guest, "running": False}))
            path.with_suffix(".cut").rename(path)
            journal("power-cut", host, guest["instance"], False)


def now():
    """{instance: {host: running}} as the hosts have it."""
    where = {}
    for host in settings.HOSTS:
        for _, guest in files(host):
            where.setdefault(guest["instance"], {})[host] = guest["running"]
    return where


def history():
    """(lines read, instances seen, each moment at which a guest ran on two hosts)."""
    lines, running, twice = 0, {}, []
    for text in JOURNAL.read_text().splitlines() if JOURNAL.exists() else []:
        entry = json.loads(text)
        lines += 1
        on = running.setdefault(entry["instance"], set())
        (on.add if entry["running"] else on.discard)(entry["host"])
        if len(on) > 1:
            twice.append({**entry, "hosts": sorted(on)})
    return lines, len(running), twice
