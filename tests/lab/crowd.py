"""What no test could wait for, or bring about through an API: thousands of instances, and a cell that is down."""

import openstack
from progress import LabError
from settings import PORT

# Every clone's UUID begins so, and nothing else's does.
_CLONE = "c0ffee00"
_CLONED = (("nova_cell1", "instances", "uuid"), ("nova_cell1", "instance_extra", "instance_uuid"),
           ("nova_cell1", "instance_info_caches", "instance_uuid"), ("nova_cell1", "instance_system_metadata", "instance_uuid"),
           ("nova_api", "instance_mappings", "instance_uuid"))


def clone(host, count):
    """Copies the rows of an instance of `host` so often. nova lists the copies as it lists any instance; no guest is behind them."""
    model = _rows(f"SELECT uuid FROM nova_cell1.instances WHERE host = '{host}' AND deleted = 0 AND vm_state = 'active' LIMIT 1")
    if not model:
        raise LabError(f"no ACTIVE instance on {host} to be copied: lab servers N")
    copy = f"CONCAT('{_CLONE}-0000-4000-8000-', LPAD(HEX(n.seq), 12, '0'))"
    for database, table, key in _CLONED:
        columns = _rows(f"SELECT column_name FROM information_schema.columns WHERE table_schema = '{database}' AND "
                        f"table_name = '{table}' AND extra NOT LIKE '%auto_increment%'")
        values = [{key: copy, "display_name": "CONCAT('clone-', n.seq)"}.get(c, f"m.`{c}`") for c in columns]
        openstack.sql(f"INSERT INTO {database}.{table} ({', '.join(f'`{c}`' for c in columns)}) SELECT {', '.join(values)} "
                      f"FROM {database}.{table} m JOIN {database}.seq_1_to_{count} n WHERE m.{key} = '{model[0]}';")


def cell(state):
    """`down`: nova's API finds nobody at the address of the cell's database. `up`: it is back."""
    right, wrong = f":{PORT['mariadb']}/nova_cell1", ":1/nova_cell1"
    now = wrong if _rows(f"SELECT id FROM nova_api.cell_mappings WHERE database_connection LIKE '%{wrong}%'") else right
    then = wrong if state == "down" else right
    if now != then:
        openstack.sql(f"UPDATE nova_api.cell_mappings SET database_connection = REPLACE(database_connection, '{now}', '{then}');")
        # It remembers its cells.
        openstack.restart_api("nova")


def reset():
    """No clones, and the cell is up; nova's API too, should a restart of it have been cut off."""
    cell("up")
    openstack.start_api("nova")
    for database, table, key in reversed(_CLONED):
        openstack.sql(f"DELETE FROM {database}.{table} WHERE {key} LIKE '{_CLONE}-%';")


def _rows(query):
    return openstack.sql(query, "--batch", "--skip-column-names").split()
