"""The cloud: MariaDB, RabbitMQ, keystone, placement, glance, neutron, nova, Masakari and barbican, all real.

Each piece of the start is a task that names what must be there first; tasks run side by side, as many as pay on a
small machine. The first start makes schemas and seed data and keeps a dump; later fresh starts restore it.
"""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import signal
import threading
import time

import configuration
import hosts
import packages
import processes
import seed
import settings
from client import request
from progress import LabError, say, took, wait_until
from settings import ETC, IP, LOG, PORT, RUN, URL, VAR

API = ("keystone", "placement", "glance", "nova", "neutron", "masakari", "barbican")
_PUBLIC = {"keystone": URL["identity"], "nova": f"http://{IP}:{PORT['nova']}/", "masakari": f"http://{IP}:{PORT['masakari']}/"}
# Starting is bound by the CPU of importing Python; one more than the cores hides the waiting.
_AT_ONCE = int(os.environ.get("LAZARET_LAB_AT_ONCE", str((os.cpu_count() or 2) + 1)))


def up():
    """Brings the cloud up from wherever it is."""
    release = VAR / "lab-release"
    if release.exists() and release.read_text() != settings.RELEASE:
        raise LabError(f"The lab holds the state of the release {release.read_text()!r}. Take it down first: lab down --wipe")
    packages.require_installed()
    settings.make_folders()
    configuration.write()
    release.write_text(settings.RELEASE)
    keep_dump = not _done("seeded") and not _dump().exists()
    tasks = {
        "MariaDB": ([], _mariadb, 9),
        "RabbitMQ": ([], _rabbitmq, 8),
        "databases": (["MariaDB"], _databases, 9),
        "keystone schema": (["databases"], _keystone_schema, 9),
        "nova schema": (["databases"], _nova_schema, 8),
        "neutron schema": (["databases"], _neutron_schema, 7),
        "placement schema": (["databases"], _schema("placement", "placement-manage", "placement/placement.conf", "db", "sync"), 6),
        "glance schema": (["databases"], _schema("glance", "glance-manage", "glance/glance-api.conf", "db_sync"), 5),
        "masakari schema": (["databases"], _schema("masakari", "masakari-manage", "masakari/masakari.conf", "db", "sync"), 4),
        "keystone": (["keystone schema"], lambda: _api("keystone"), 9),
        "catalogue": (["keystone"], lambda: _once("catalogue", seed.catalogue), 9),
        "placement": (["placement schema"], lambda: _api("placement"), 8),
        "nova-conductor": (["nova schema", "RabbitMQ"], lambda: _nova("conductor"), 8),
        "nova-api": (["nova schema"], lambda: _api("nova"), 6),
        "nova-scheduler": (["nova schema", "RabbitMQ"], lambda: _nova("scheduler"), 5),
        "neutron": (["neutron schema"], lambda: _api("neutron"), 4),
        "glance": (["glance schema"], lambda: _api("glance"), 3),
        "masakari-api": (["masakari schema", "RabbitMQ"], lambda: _api("masakari"), 2),
        "masakari-engine": (["masakari schema", "RabbitMQ"], _masakari_engine, 2),
        "barbican": (["databases"], lambda: _api("barbican"), 1),
        "compute services": (["nova-api", "nova-conductor", "placement", "catalogue"], _computes_up, 5),
        "seed data": (["compute services", "glance", "masakari-api", "nova-api"], lambda: _once("seeded", seed.cloud), 9),
    }
    for host in settings.HOSTS:
        if not hosts.is_off(host):
            tasks[f"nova-compute {host}"] = (["nova-conductor", "placement", "catalogue"], lambda h=host: hosts.start_compute(h), 7)
            tasks["compute services"][0].append(f"nova-compute {host}")
    _run_tasks(tasks)
    if keep_dump:
        with took("dump kept for the next fresh start"):
            _keep_dump()


def down():
    """Ends the cloud's processes. Only MariaDB needs to end in order; the rest hold nothing."""
    for name in processes.recorded():
        if name.startswith(("nova-", "masakari", "uwsgi-", "rabbitmq", "epmd")):
            processes.stop(name, signal.SIGKILL)
    processes.stop("mariadb", signal.SIGTERM, 30)


def ready():
    """Whether every API answers."""
    return all(_answers(name) for name in API)


def _run_tasks(tasks):
    """Each task once all that it names are done; the highest number first; at most _AT_ONCE together."""
    change, state, failure = threading.Condition(), {}, []

    def run(name):
        try:
            with took(name):
                tasks[name][1]()
            outcome = "done"
        except BaseException as e:  # reported by the caller
            failure.append(e)
            outcome = "failed"
        with change:
            state[name] = outcome
            change.notify_all()

    with change:
        while len(state) < len(tasks) or "running" in state.values():
            free = [n for n in tasks if n not in state and all(state.get(d) == "done" for d in tasks[n][0])]
            busy = sum(s == "running" for s in state.values())
            if failure and not busy:
                break
            if free and busy < _AT_ONCE and not failure:
                name = max(free, key=lambda n: tasks[n][2])
                state[name] = "running"
                threading.Thread(target=run, args=(name,), daemon=True).start()
            else:
                change.wait()
    if failure:
        raise failure[0]


def _done(step):
    return (VAR / "done" / step).exists()


def _once(step, job):
    if not _done(step):
        job()
        (VAR / "done" / step).write_text("")


def _mariadb():
    data, user = VAR / "mariadb", ["--user=root"] if os.geteuid() == 0 else []
    if not _done("mariadb-made"):
        shutil.rmtree(data, ignore_errors=True)
        processes.run("mariadb-install-db", ["mariadb-install-db", "--no-defaults", *user, f"--datadir={data}", "--skip-test-db",
                                             "--auth-root-authentication-method=normal"], log="mariadb-install")
        (VAR / "done/mariadb-made").write_text("")
    processes.start("mariadb", ["mariadbd", f"--defaults-file={ETC / 'mariadb.cnf'}", *user])
    # Its TCP port listens a moment before its socket does; an answer is what counts.
    wait_until("MariaDB's answer", _mariadb_answers, 60, 0.1, lambda: processes.require("mariadb"))


def _mariadb_answers():
    asked = subprocess.run(["mariadb", "--no-defaults", "-u", "root", f"--socket={RUN / 'mariadb.sock'}", "-e", "SELECT 1"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return asked.returncode == 0


def restart_api(name):
    """Ends one API's service and starts it again."""
    processes.stop(f"uwsgi-{name}", signal.SIGKILL)
    # A worker outlives its master by a moment, and holds the port.
    wait_until(f"{name}'s port free", lambda: not processes.listens(PORT[name]), 30, 0.05)
    _api(name)


def start_api(name):
    """Starts one API's service where it does not run."""
    if not processes.pid_of(f"uwsgi-{name}"):
        _api(name)


def restart_masakari_engine():
    """Ends it and starts it again, with the configuration as it is now."""
    processes.stop("masakari-engine", signal.SIGKILL)
    _masakari_engine()


def sql(text, *more):
    """Runs SQL in MariaDB as root; returns what it prints."""
    return _sql(text.encode(), *more)


def _sql(text, *more):
    return processes.run("mariadb", ["mariadb", "--no-defaults", "-u", "root", f"--socket={RUN / 'mariadb.sock'}", *more], stdin=text)


def _rabbitmq():
    if not processes.pid_of("rabbitmq"):
        # Nothing in it outlives its clients, and an empty broker starts faster than one that recovers.
        shutil.rmtree(VAR / "rabbitmq", ignore_errors=True)
        (VAR / "rabbitmq").mkdir()
    home = VAR / "rabbitmq"
    env = {"HOME": home, "RABBITMQ_NODENAME": "lazaret-lab@localhost", "RABBITMQ_CONFIG_FILE": ETC / "rabbitmq.conf",
           "RABBITMQ_CONF_ENV_FILE": "/dev/null", "RABBITMQ_MNESIA_BASE": home, "RABBITMQ_LOG_BASE": LOG / "rabbitmq",
           "RABBITMQ_ENABLED_PLUGINS_FILE": ETC / "rabbitmq.plugins", "RABBITMQ_DIST_PORT": PORT["rabbitmq-peers"],
           "ERL_EPMD_ADDRESS": IP, "ERL_EPMD_PORT": PORT["epmd"],
           "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"}
    processes.start("epmd", ["epmd", "-address", IP, "-port", PORT["epmd"]])
    processes.wait_port("epmd", PORT["epmd"])
    processes.start("rabbitmq", ["/usr/lib/rabbitmq/bin/rabbitmq-server"], **env)
    processes.wait_port("rabbitmq", PORT["rabbitmq"], 90)


def _dump():
    # Everything that its content depends on is in its name.
    parts = [packages.lock_digest("current"), packages.lock_digest(settings.RELEASE)]
    parts += [hashlib.sha256((settings.SOURCE / f).read_bytes()).hexdigest() for f in ("seed.py", "configuration.py", "settings.py", "openstack.py")]
    return settings.CACHE / f"cloud-{settings.RELEASE}-{hashlib.sha256(''.join(parts).encode()).hexdigest()[:12]}"


def _databases():
    if _done("databases"):
        return
    _sql("".join(f"DROP DATABASE IF EXISTS {d}; CREATE DATABASE {d} CHARACTER SET utf8mb3;\n" for d in configuration.DATABASES).encode()
         + f"CREATE OR REPLACE USER 'lab'@'%' IDENTIFIED BY '{settings.PASSWORD}'; GRANT ALL ON *.* TO 'lab'@'%';".encode())
    dump = _dump()
    if dump.exists() and json.loads((dump / "ports.json").read_text()) == PORT:
        _sql(gzip.decompress((dump / "databases.sql.gz").read_bytes()))
        for kept in ("keystone", "glance/images", *(f"{h}/compute_id" for h in settings.HOSTS)):
            source, target = dump / "files" / kept, VAR / kept
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            elif source.exists():
                shutil.copy2(source, target)
        for step in ("keystone-schema", "nova-schema", "neutron-schema", "placement-schema", "glance-schema", "masakari-schema", "catalogue", "seeded"):
            (VAR / "done" / step).write_text("")
    (VAR / "done/databases").write_text("")


def _keep_dump():
    new = settings.CACHE / "cloud.new"
    shutil.rmtree(new, ignore_errors=True)
    (new / "files/glance").mkdir(parents=True)
    out = processes.run("mariadb-dump", ["mariadb-dump", "--no-defaults", "-u", "root", f"--socket={RUN / 'mariadb.sock'}", "--single-transaction",
                                         "--skip-comments", "--hex-blob", "--databases", *configuration.DATABASES])
    (new / "databases.sql.gz").write_bytes(gzip.compress(out.encode(), 3))
    shutil.copytree(VAR / "keystone", new / "files/keystone")
    shutil.copytree(VAR / "glance/images", new / "files/glance/images")
    for host in settings.HOSTS:
        identity = settings.host_dir(host) / "compute_id"
        if identity.exists():
            (new / "files" / host).mkdir()
            shutil.copy2(identity, new / "files" / host)
    # The catalogue in the dump names ports.
    (new / "ports.json").write_text(json.dumps(PORT))
    for old in settings.CACHE.glob(f"cloud-{settings.RELEASE}-*"):
        shutil.rmtree(old, ignore_errors=True)
    new.rename(_dump())


def _tool(name):
    venv = settings.NOVA_VENV if name.startswith("nova") else settings.VENV
    return venv / "bin" / name


def _schema(service, program, config, *words):
    return lambda: _once(f"{service}-schema", lambda: processes.run(
        f"{service}'s schema", [_tool(program), "--config-file", ETC / config, *words], log=f"{service}-schema"))


def _keystone_schema():
    def make():
        manage = [_tool("keystone-manage"), "--config-file", ETC / "keystone/keystone.conf"]
        as_user = ["--keystone-user", str(os.geteuid()), "--keystone-group", str(os.getegid())]
        for words in (["db_sync"], ["fernet_setup", *as_user], ["credential_setup", *as_user],
                      ["bootstrap", "--bootstrap-password", settings.PASSWORD, "--bootstrap-region-id", settings.REGION,
                       *(f"--bootstrap-{i}-url={URL['identity']}" for i in ("admin", "internal", "public"))]):
            processes.run(f"keystone-manage {words[0]}", [*manage, *words], log="keystone-schema")
    _once("keystone-schema", make)


def _nova_schema():
    def make():
        manage = [_tool("nova-manage"), "--config-file", ETC / "nova/nova.conf"]
        for words in (["api_db", "sync"],
                      ["cell_v2", "map_cell0", "--database_connection", configuration.database("nova_cell0")],
                      ["cell_v2", "create_cell", "--name", "cell1", "--database_connection", configuration.database("nova_cell1"),
                       "--transport-url", configuration.MESSAGES],
                      ["db", "sync"]):
            try:
                processes.run(f"nova-manage {' '.join(words[:2])}", [*manage, *words], log="nova-schema")
            except LabError as e:
                if "already" not in str(e):  # a run that was cut short had made the cell
                    raise
    _once("nova-schema", make)


def _neutron_schema():
    _once("neutron-schema", lambda: processes.run("neutron's schema", [
        _tool("neutron-db-manage"), "--config-file", ETC / "neutron/neutron.conf", "upgrade", "heads"], log="neutron-schema"))


def _api(name):
    """One uwsgi for each API: their configuration is global to a process."""
    shims, nova_venv = settings.SOURCE / "shims", name == "nova"
    zed = settings.RELEASE != "current"
    app = {
        "keystone": ["--module", "keystone.wsgi.api"], "placement": ["--module", "placement.wsgi.api"], "glance": ["--module", "glance.wsgi.api"],
        "nova": ["--wsgi-file", shims / "nova_wsgi_zed.py"] if zed else ["--module", "nova.wsgi.osapi_compute"],
        "neutron": ["--wsgi-file", shims / "neutron_wsgi.py", "--pyargv", f"--config-file {ETC / 'neutron/neutron.conf'}"],
        # masakari reads its configuration a second time from the command line.
        "masakari": ["--module", "masakari.wsgi.api", "--pyargv", f"--config-file {ETC / 'masakari/masakari.conf'}"],
        "barbican": ["--wsgi-file", shims / "barbican_wsgi.py"],
    }[name]
    env = {
        "keystone": {"OS_KEYSTONE_CONFIG_FILES": ETC / "keystone/keystone.conf"}, "placement": {"OS_PLACEMENT_CONFIG_DIR": ETC / "placement"},
        "glance": {"OS_GLANCE_CONFIG_DIR": ETC / "glance"}, "nova": {"OS_NOVA_CONFIG_DIR": ETC / "nova"},
        "neutron": {"OS_NEUTRON_CONFIG_DIR": ETC / "neutron", "OS_NEUTRON_CONFIG_FILES": "neutron.conf"},
        "masakari": {"OS_MASAKARI_CONFIG_DIR": ETC / "masakari"}, "barbican": {"LAZARET_LAB_BARBICAN": ETC / "barbican"},
    }[name]
    venv = settings.NOVA_VENV if nova_venv else settings.VENV
    # masakari's API, and nova's of old, are patched for eventlet: in a thread of uwsgi their calls to others may never return.
    parallel = ["--processes", "2"] if name == "masakari" or (nova_venv and zed) else ["--processes", "1", "--threads", "4"]
    processes.start(f"uwsgi-{name}", [
        venv / "bin/uwsgi", "--http-socket", f"{IP}:{PORT[name]}", *app, "--virtualenv", venv, *parallel, "--enable-threads",
        "--need-app", "--die-on-term", "--buffer-size", "65535", "--listen", "100", "--disable-logging",
        # Without it uwsgi closes kept connections under its clients' hands.
        "--add-header", "Connection: close"], **env)
    wait_until(f"{name}'s API", lambda: _answers(name), 120, 0.1, lambda: processes.require(f"uwsgi-{name}"))


def _answers(name):
    status, _, _ = request("GET", _PUBLIC.get(name, f"http://{IP}:{PORT[name]}/"), timeout_s=10)
    return 0 < status < 500


def _nova(part):
    name = f"nova-{part}"
    processes.start(name, [_tool(name), "--config-file", ETC / "nova/nova.conf", "--log-file", LOG / f"{name}.log"])
    _settle(name)


def _masakari_engine():
    processes.start("masakari-engine", [_tool("masakari-engine"), "--config-file", ETC / "masakari/masakari.conf",
                                        "--log-file", LOG / "masakari-engine.log"])
    _settle("masakari-engine")


def _settle(name):
    # These have no port to ask. They count as starting until they have used no CPU for a while: they wait for others then.
    pid, last, quiet = processes.pid_of(name), -1, 0
    for _ in range(60):
        processes.require(name)
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        used = int(fields[11]) + int(fields[12])
        quiet = quiet + 1 if used <= last + 1 and used > 20 else 0
        if quiet == 3:
            return
        last = used
        time.sleep(0.15)


def _computes_up():
    wanted = {h for h in settings.HOSTS if not hosts.is_off(h)}

    def alive():
        for host in wanted:
            processes.require(f"nova-compute-{host}")

    wait_until("three compute services up", lambda: wanted <= seed.computes_up(), 120, 0.3, alive)
    if not _done("seeded"):
        processes.run("nova-manage discover_hosts", [_tool("nova-manage"), "--config-file", ETC / "nova/nova.conf", "cell_v2", "discover_hosts"],
                      log="nova-schema")
    say("compute services up: " + " ".join(sorted(wanted)))
