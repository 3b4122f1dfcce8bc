"""Instances for tests and the demo, and a cloud put back as it was."""

import crowd
import hosts
import openstack
import processes
import settings
import tpm
from client import Cloud
from progress import LabError, say, together, wait_until
from seed import FLAVOR, IMAGE, SEGMENT


def boot(count):
    """Boots `count` instances in the tenant's project, in turn on each host that takes them; returns them when all are ACTIVE."""
    admin, owner = Cloud(), Cloud("admin", "demo")
    image = admin.expect([200], "GET", "image", f"/v2/images?name={IMAGE}")["images"][0]["id"]
    flavor = next(f["id"] for f in admin.expect([200], "GET", "compute", "/flavors")["flavors"] if f["name"] == FLAVOR)
    up = [s["host"] for s in admin.expect([200], "GET", "compute", "/os-services?binary=nova-compute", version="2.53")["services"]
          if s["status"] == "enabled" and s["state"] == "up"]
    if not up:
        raise LabError("no host takes instances: every nova-compute is disabled or down")
    taken = {s["name"] for s in _all(admin)}
    names = [n for n in (f"guest-{i}" for i in range(1, 10_000)) if n not in taken][:count]
    made = []
    for i, name in enumerate(names):
        # In the tenant's project; only an administrator may name the host.
        body = {"name": name, "imageRef": image, "flavorRef": flavor, "networks": "none", "host": sorted(up)[i % len(up)]}
        answer = owner.expect([202], "POST", "compute", "/servers", {"server": body}, version="2.74")
        made.append(answer["server"]["id"])

    def active():
        found = [admin.expect([200], "GET", "compute", f"/servers/{i}")["server"] for i in made]
        for server in found:
            if server["status"] == "ERROR":
                raise LabError(f"{server['name']} is in ERROR: {server.get('fault', {}).get('message')}")
        return found if all(s["status"] == "ACTIVE" for s in found) else None

    return wait_until(f"{count} instances ACTIVE", active, 120, 0.2)


def _all(admin):
    return admin.expect([200], "GET", "compute", "/servers/detail?all_tenants=1&limit=1000")["servers"]


def reset():
    """Hosts on, services enabled, aggregates gone, Masakari out of maintenance, instances deleted."""
    crowd.reset()
    together(*[lambda h=h: _host_as_new(h) for h in settings.HOSTS])
    admin = Cloud()
    for server in _all(admin):
        admin("POST", "compute", f"/servers/{server['id']}/action", {"unlock": None})
        admin.expect([204, 404], "DELETE", "compute", f"/servers/{server['id']}")
    services = admin.expect([200], "GET", "compute", "/os-services?binary=nova-compute", version="2.53")["services"]
    for aggregate in admin.expect([200], "GET", "compute", "/os-aggregates")["aggregates"]:
        for host in aggregate["hosts"]:
            admin.expect([200, 404], "POST", "compute", f"/os-aggregates/{aggregate['id']}/action", {"remove_host": {"host": host}})
        admin.expect([200, 404], "DELETE", "compute", f"/os-aggregates/{aggregate['id']}")

    def cleared(service):
        # Refused until the restarted nova-compute has completed its evacuation records.
        status, _ = admin("PUT", "compute", f"/os-services/{service['id']}", {"status": "enabled", "forced_down": False}, version="2.53")
        return status == 200

    for service in services:
        wait_until(f"{service['host']} forced up and enabled", lambda s=service: cleared(s), 60, 0.5)
    wait_until("every nova-compute up", lambda: all(
        s["state"] == "up" for s in admin.expect([200], "GET", "compute", "/os-services?binary=nova-compute", version="2.53")["services"]), 60, 0.5)
    # One that was ended just now is `up` for nova until its last word is old.
    wait_until("a heartbeat of every nova-compute since it was started", lambda: all(map(_heard, settings.HOSTS)), 60, 0.3)
    # Each nova-compute writes this about itself, one that was starting a little later.
    wait_until("the scheduler's word that every host takes instances", lambda: not _disabled(admin), 60, 0.3)
    wait_until("instances gone", lambda: not _all(admin), 60, 0.3)
    for segment in admin.expect([200], "GET", "instance-ha", "/segments")["segments"]:
        if segment["name"] == SEGMENT:
            for host in admin.expect([200], "GET", "instance-ha", f"/segments/{segment['uuid']}/hosts")["hosts"]:
                if host["on_maintenance"]:
                    def out(path=f"/segments/{segment['uuid']}/hosts/{host['uuid']}"):
                        return admin("PUT", "instance-ha", path, {"host": {"on_maintenance": False}})[0] == 200
                    # 409 while a notification about it still runs.
                    wait_until(f"{host['name']} out of Masakari's maintenance", out, 90, 1)
    say("as new: hosts on, services enabled, no aggregates, no instances")


def _disabled(admin):
    return admin.expect([200], "GET", "placement", "/resource_providers?required=COMPUTE_STATUS_DISABLED", version="1.18")["resource_providers"]


def _heard(host):
    age = openstack.sql("SELECT TIMESTAMPDIFF(SECOND, last_seen_up, UTC_TIMESTAMP()) FROM nova_cell1.services "
                        f"WHERE host = '{host}' AND `binary` = 'nova-compute' AND deleted = 0;", "--batch", "--skip-column-names").strip()
    return age not in ("", "NULL") and int(age) + 1 < processes.age_s(hosts.compute_name(host))


def _host_as_new(host):
    for faults in (settings.VAR / "bmc" / host, settings.host_dir(host)):
        (faults / "faults.json").unlink(missing_ok=True)
    for name in (hosts.compute_name(host), tpm.agent_name(host)):
        if processes.pid_of(name):
            processes.thaw(name)
    if (settings.host_dir(host) / "measured").exists() and not hosts.is_off(host):
        # Only a boot forgets what was measured. nova-compute need not notice.
        processes.stop(tpm.agent_name(host))
        tpm.boot(host)
    hosts.power_on(host)
    hosts.start_compute(host)
    if tpm.is_up(host):
        tpm.start_agent(host)
