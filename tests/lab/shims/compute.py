"""nova-compute with a driver derived from nova's own fake one, whose guests outlive the process.

The fake driver keeps its guests in memory. A real hypervisor does not lose them when nova-compute restarts, and
nova then destroys the evacuated ones: that is what the product has to live with. So this driver keeps a file for each
guest in <state_path>/guests, and writes each start and stop to <state_path>/../guests.jsonl, from which a test can
prove that no guest ever ran on two hosts at once.

A fault, from the file <state_path>/faults.json: {"refuse_claims": 1} has so many evacuations to this host end as those do
that find no room there: the migration record is `failed`, and the instance is as it was.
"""

import nova.cmd.compute  # patches the standard library first
import json
import os
import sys
import time
import types

import nova.conf
import os_traits
import nova.virt
from nova import exception
from nova.compute import power_state
from nova.compute import resource_tracker
from nova.virt import fake

try:
    from nova.virt import node
except ImportError:  # older than nova 27: no node identity is wanted
    node = None

CONF = nova.conf.CONF


class Guests(dict):
    """nova's dictionary of fake instances, mirrored in files and in the journal."""

    def __init__(self, host, folder):
        super().__init__()
        self._host, self._folder = host, folder
        os.makedirs(folder, exist_ok=True)
        for name in os.listdir(folder):
            if name.endswith(".json"):
                with open(os.path.join(folder, name)) as f:
                    kept = json.load(f)
                state = power_state.RUNNING if kept["running"] else power_state.SHUTDOWN
                super().__setitem__(kept["instance"], fake.FakeInstance(kept["name"], state, kept["instance"]))

    def _path(self, uuid):
        return os.path.join(self._folder, uuid + ".json")

    def _journal(self, event, uuid, running):
        line = json.dumps({"time": round(time.time(), 3), "host": self._host, "event": event, "instance": uuid, "running": running})
        # One write of one line to a file opened for appending: three computes share the journal.
        with open(os.path.join(CONF.state_path, os.pardir, "guests.jsonl"), "ab", buffering=0) as f:
            f.write(line.encode() + b"\n")

    def keep(self, uuid, event):
        """Writes the guest's state to its file and to the journal."""
        guest = self[uuid]
        running = guest.state == power_state.RUNNING
        with open(self._path(uuid) + ".new", "w") as f:
            json.dump({"instance": uuid, "name": guest.name, "host": self._host, "running": running}, f)
        os.replace(self._path(uuid) + ".new", self._path(uuid))
        self._journal(event, uuid, running)

    def __setitem__(self, uuid, guest):
        super().__setitem__(uuid, guest)
        self.keep(uuid, "start")

    def __delitem__(self, uuid):
        super().__delitem__(uuid)
        self._forget(uuid)

    def pop(self, uuid, *default):
        known = uuid in self
        guest = super().pop(uuid, *default)
        if known:
            self._forget(uuid)
        return guest

    def _forget(self, uuid):
        try:
            os.unlink(self._path(uuid))
        except FileNotFoundError:
            pass
        self._journal("destroy", uuid, False)


class JournallingDriver(fake.FakeDriver):
    """nova.virt.fake.FakeDriver with guests that survive nova-compute."""

    def init_host(self, host):
        super().init_host(host)
        self.instances = Guests(host, os.path.join(CONF.state_path, "guests"))

    # From nova 27 on, a second start without the identity kept in state_path/compute_id is refused.
    if node is not None:
        def get_nodenames_by_uuid(self, refresh=False):
            return {node.get_local_node_uuid(): name for name in self.get_available_nodes()}

        def get_available_resource(self, nodename):
            return {**super().get_available_resource(nodename), "uuid": node.get_local_node_uuid()}

    def update_provider_tree(self, provider_tree, nodename, allocations=None):
        super().update_provider_tree(provider_tree, nodename, allocations=allocations)
        # So that instances with a virtual TPM boot here; nova refuses to evacuate them, whatever the hypervisor.
        provider_tree.add_traits(nodename, *os_traits.get_traits(prefix="COMPUTE_SECURITY_TPM"))

    def power_off(self, instance, *args, **kwargs):
        super().power_off(instance, *args, **kwargs)
        self.instances.keep(instance.uuid, "power-off")

    def power_on(self, context, instance, *args, **kwargs):
        super().power_on(context, instance, *args, **kwargs)
        self.instances.keep(instance.uuid, "power-on")

    def migrate_disk_and_power_off(self, context, instance, *args, **kwargs):
        out = super().migrate_disk_and_power_off(context, instance, *args, **kwargs)
        if instance.uuid in self.instances:
            self.instances[instance.uuid].state = power_state.SHUTDOWN
            self.instances.keep(instance.uuid, "migrate-off")
        return out

    def live_migration(self, context, instance, dest, post_method, *args, **kwargs):
        # The guest leaves before it arrives: a live migration never runs two.
        self.instances.pop(instance.uuid, None)
        return super().live_migration(context, instance, dest, post_method, *args, **kwargs)

    def post_live_migration_at_destination(self, context, instance, *args, **kwargs):
        self.instances[instance.uuid] = fake.FakeInstance(instance.name, power_state.RUNNING, instance.uuid)

    def instance_on_disk(self, instance):
        return os.environ.get("LAZARET_LAB_SHARED_STORAGE") == "1"


def claim_or_refuse(self, *args, **kwargs):
    """ResourceTracker.rebuild_claim, which a fault can make refuse."""
    path = os.path.join(CONF.state_path, "faults.json")
    try:
        with open(path) as f:
            left = json.load(f).get("refuse_claims", 0)
    except OSError:
        left = 0
    if left > 0:
        with open(path, "w") as f:
            json.dump({"refuse_claims": left - 1}, f)
        raise exception.ComputeResourcesUnavailable(reason="the lab has it refuse")
    return claim(self, *args, **kwargs)


claim = resource_tracker.ResourceTracker.rebuild_claim
resource_tracker.ResourceTracker.rebuild_claim = claim_or_refuse

# nova loads drivers from its own namespace only.
module = types.ModuleType("nova.virt.lazaret_lab")
module.JournallingDriver = JournallingDriver
sys.modules["nova.virt.lazaret_lab"] = nova.virt.lazaret_lab = module
sys.argv[0] = "nova-compute"
sys.exit(nova.cmd.compute.main())
