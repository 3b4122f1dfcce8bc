"""What a fresh cloud is given: users, catalogue, a flavor, an image and a Masakari segment. Safe to run again."""

import settings
from client import Cloud
from settings import REGION, URL

_SERVICES = (("placement", "placement", URL["placement"]), ("glance", "image", URL["image"]), ("nova", "compute", URL["compute"]),
             ("neutron", "network", URL["network"]), ("masakari", "instance-ha", URL["instance-ha"] + "/$(project_id)s"),
             ("barbican", "key-manager", URL["key-manager"]))

# user: (project, roles). `lazaret` is the daemon; the last three must be refused by what it needs.
USERS = {
    **{s: ("service", ("admin", "service")) for s in ("placement", "glance", "nova", "neutron", "masakari", "barbican")},
    "lazaret": ("service", ("admin", "service")),
    "tenant": ("demo", ("member",)),
    "viewer": ("demo", ("reader",)),
    "service-only": ("service", ("service",)),
}
FLAVOR, IMAGE, SEGMENT = "lab.tiny", "lab", "lab"


def catalogue():
    """keystone's projects, users and services."""
    cloud = Cloud()
    projects = {p: _identity(cloud, "projects", "project", p, domain_id="default") for p in ("service", "demo")}
    roles = {r: _identity(cloud, "roles", "role", r) for r in ("admin", "member", "reader", "service", "creator")}
    for name, kind, url in _SERVICES:
        if cloud.expect([200], "GET", "identity", f"/services?type={kind}")["services"]:
            continue
        made = cloud.expect([201], "POST", "identity", "/services", {"service": {"name": name, "type": kind}})
        for interface in ("public", "internal", "admin"):
            cloud.expect([201], "POST", "identity", "/endpoints", {"endpoint": {
                "interface": interface, "region_id": REGION, "service_id": made["service"]["id"], "url": url}})
    me = cloud.expect([200], "GET", "identity", "/users?name=admin")["users"][0]["id"]
    cloud.expect([204], "PUT", "identity", f"/projects/{projects['demo']}/users/{me}/roles/{roles['admin']}")
    for user, (project, grants) in USERS.items():
        uid = _identity(cloud, "users", "user", user, domain_id="default", password=settings.PASSWORD)
        for role in grants:
            cloud.expect([204], "PUT", "identity", f"/projects/{projects[project]}/users/{uid}/roles/{roles[role]}")


def computes_up():
    """Names of the hosts whose nova-compute is up, or forced down on purpose."""
    try:
        status, answer = Cloud()("GET", "compute", "/os-services?binary=nova-compute", version="2.53")
    except Exception:  # keystone is still starting
        return set()
    return {s["host"] for s in answer["services"] if s["state"] == "up" or s["forced_down"]} if status == 200 else set()


def cloud():
    """Flavor, image and segment."""
    admin = Cloud()
    if not any(f["name"] == FLAVOR for f in admin.expect([200], "GET", "compute", "/flavors")["flavors"]):
        # A flavor without a disk cannot be booted from an image by a tenant.
        admin.expect([200], "POST", "compute", "/flavors", {"flavor": {"name": FLAVOR, "id": "1", "ram": 64, "vcpus": 1, "disk": 1}})
    images = admin.expect([200], "GET", "image", f"/v2/images?name={IMAGE}")["images"]
    image = images[0] if images else admin.expect([201], "POST", "image", "/v2/images", {
        "name": IMAGE, "disk_format": "raw", "container_format": "bare", "visibility": "public"})
    if image["status"] == "queued":
        admin.expect([204], "PUT", "image", f"/v2/images/{image['id']}/file", data=b"\0" * 1024)
    segments = admin.expect([200], "GET", "instance-ha", "/segments")["segments"]
    segment = next((s for s in segments if s["name"] == SEGMENT), None) or admin.expect([200, 201], "POST", "instance-ha", "/segments", {
        "segment": {"name": SEGMENT, "recovery_method": "auto", "service_type": "COMPUTE"}})["segment"]
    known = {h["name"] for h in admin.expect([200], "GET", "instance-ha", f"/segments/{segment['uuid']}/hosts")["hosts"]}
    for host in settings.HOSTS:
        if host not in known:
            admin.expect([200, 201], "POST", "instance-ha", f"/segments/{segment['uuid']}/hosts", {"host": {
                "name": host, "type": "COMPUTE", "control_attributes": "IPMI", "reserved": False, "on_maintenance": False}})


def _identity(cloud, collection, kind, name, **more):
    found = cloud.expect([200], "GET", "identity", f"/{collection}?name={name}")[collection]
    if found:
        return found[0]["id"]
    return cloud.expect([201], "POST", "identity", f"/{collection}", {kind: {"name": name, **more}})[kind]["id"]
