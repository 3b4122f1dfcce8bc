"""The configuration files of every OpenStack service, MariaDB and RabbitMQ, as data."""

import shutil

import settings
from settings import ETC, IP, LOG, PASSWORD, PORT, RUN, TIMES, URL, VAR

MESSAGES = f"rabbit://lab:{PASSWORD}@{IP}:{PORT['rabbitmq']}/"
DATABASES = ("keystone", "placement", "glance", "nova_api", "nova_cell0", "nova_cell1", "neutron", "masakari", "barbican", "taskflow")


def database(name):
    """The connection URL of one database."""
    return f"mysql+pymysql://lab:{PASSWORD}@{IP}:{PORT['mariadb']}/{name}"


def _login(user, **more):
    return {"auth_url": URL["identity"], "auth_type": "password", "username": user, "password": PASSWORD,
            "project_name": "service", "user_domain_name": "Default", "project_domain_name": "Default", **more}


def _token_check(user, service_type):
    # service_type is what lets an application credential with access rules through.
    return {"keystone_authtoken": _login(user, service_type=service_type, www_authenticate_uri=URL["identity"])}


def _keystone():
    return {
        "DEFAULT": {"log_file": LOG / "keystone.log"},
        "database": {"connection": database("keystone")},
        "token": {"provider": "fernet", "expiration": 14400},
        "fernet_tokens": {"key_repository": VAR / "keystone/fernet"},
        "credential": {"key_repository": VAR / "keystone/credential"},
        # Four rounds of bcrypt instead of twelve: a password check costs 0.25 s of CPU otherwise.
        "identity": {"password_hash_rounds": 4},
        "cache": {"enabled": "true", "backend": "oslo_cache.dict"},
    }


def _placement():
    return {"DEFAULT": {"log_file": LOG / "placement.log"}, "placement_database": {"connection": database("placement")},
            "api": {"auth_strategy": "keystone"}, **_token_check("placement", "placement")}


def _glance():
    return {
        "DEFAULT": {"log_file": LOG / "glance.log", "enabled_backends": "lab:file"},
        "database": {"connection": database("glance")},
        "glance_store": {"default_backend": "lab"},
        "lab": {"filesystem_store_datadir": VAR / "glance/images"},
        "os_glance_staging_store": {"filesystem_store_datadir": VAR / "glance/staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": VAR / "glance/tasks"},
        "paste_deploy": {"flavor": "keystone"},
        **_token_check("glance", "image"),
    }


def _neutron():
    return {
        "DEFAULT": {"log_file": LOG / "neutron.log", "state_path": VAR / "neutron", "core_plugin": "ml2", "service_plugins": "",
                    "api_paste_config": ETC / "neutron/api-paste.ini", "transport_url": MESSAGES, "rpc_workers": 0,
                    "notify_nova_on_port_status_changes": "false", "notify_nova_on_port_data_changes": "false",
                    "dhcp_agent_notification": "false"},
        "database": {"connection": database("neutron")},
        "ml2": {"type_drivers": "local", "tenant_network_types": "local", "mechanism_drivers": "logger"},
        "oslo_concurrency": {"lock_path": VAR / "neutron/lock"},
        **_token_check("neutron", "network"),
    }


def _nova():
    return {
        "DEFAULT": {"my_ip": IP, "state_path": VAR / "nova", "transport_url": MESSAGES, "rpc_response_timeout": 30,
                    "report_interval": TIMES["nova_report_interval"], "service_down_time": TIMES["nova_service_down_time"]},
        "api_database": {"connection": database("nova_api")},
        # Few retries: a cell whose database is down is told from one that is slow in seconds, not in minutes.
        "database": {"connection": database("nova_cell1"), "max_retries": 1, "retry_interval": 1},
        "conductor": {"workers": 1}, "scheduler": {"workers": 1},
        "glance": {"api_servers": URL["image"]},
        "neutron": _login("nova", region_name=settings.REGION, endpoint_override=URL["network"]),
        "placement": _login("placement", region_name=settings.REGION),
        "service_user": _login("nova", send_service_user_token="true"),
        "oslo_concurrency": {"lock_path": VAR / "nova/lock"},
        "oslo_messaging_notifications": {"driver": "noop"},
        **_token_check("nova", "compute"),
    }


def _nova_compute(host):
    state = settings.host_dir(host)
    return {"DEFAULT": {"host": host, "state_path": state, "instances_path": state / "instances",
                        "compute_driver": "lazaret_lab.JournallingDriver", "resume_guests_state_on_host_boot": "false",
                        "sync_power_state_interval": -1, "update_resources_interval": 10},
            "oslo_concurrency": {"lock_path": state / "lock"}}


def _masakari():
    return {
        "DEFAULT": {"state_path": VAR / "masakari", "transport_url": MESSAGES, "os_region_name": settings.REGION,
                    "nova_catalog_admin_info": "compute:nova:publicURL",
                    "os_privileged_user_name": "masakari", "os_privileged_user_password": PASSWORD,
                    "os_privileged_user_tenant": "service", "os_privileged_user_auth_url": URL["identity"],
                    "os_user_domain_name": "Default", "os_project_domain_name": "Default",
                    "wait_period_after_service_update": TIMES["masakari_wait_update"],
                    "wait_period_after_evacuation": TIMES["masakari_wait_evacuation"],
                    "process_unfinished_notifications_interval": TIMES["masakari_unfinished"],
                    "duplicate_notification_detection_interval": TIMES["masakari_duplicate"],
                    "notification_delay_max": TIMES["masakari_delay"]},
        "wsgi": {"api_paste_config": ETC / "masakari/api-paste.ini"},
        "database": {"connection": database("masakari")},
        "host_failure": {"evacuate_all_instances": "true", "ignore_instances_in_error_state": "false"},
        "taskflow": {"connection": database("taskflow")},
        "oslo_concurrency": {"lock_path": VAR / "masakari/lock"},
        **_token_check("masakari", "instance-ha"),
    }


def _barbican():
    return {
        "DEFAULT": {"db_auto_create": "true", "log_file": LOG / "barbican.log", "host_href": URL["key-manager"], "transport_url": MESSAGES},
        "database": {"connection": database("barbican")},
        "secretstore": {"enabled_secretstore_plugins": "store_crypto"},
        "crypto": {"enabled_crypto_plugins": "simple_crypto"},
        "simple_crypto_plugin": {"kek": "'bGF6YXJldC1sYWItb25seS1rZXktMzItYnl0ZXMhISE='"},
        "oslo_messaging_notifications": {"driver": "noop"},
        **_token_check("barbican", "key-manager"),
    }


def _mariadb():
    return {"mysqld": {
        "datadir": VAR / "mariadb", "tmpdir": VAR / "mariadb-tmp", "socket": RUN / "mariadb.sock", "pid-file": RUN / "mariadb.pid",
        "port": PORT["mariadb"], "bind-address": IP, "character-set-server": "utf8mb3", "max_connections": 400,
        "innodb_buffer_pool_size": "128M", "innodb_log_file_size": "32M", "skip-name-resolve": 1, "skip-log-bin": 1,
        # Durability is traded for speed: what this database holds can be made again in seconds.
        "innodb_flush_log_at_trx_commit": 0, "innodb_doublewrite": 0, "sync_binlog": 0, "innodb_flush_method": "nosync",
        "performance_schema": "OFF"}}


def write():
    """Writes every configuration file and makes the folders that they name."""
    files = {"keystone/keystone.conf": _keystone(), "placement/placement.conf": _placement(), "glance/glance-api.conf": _glance(),
             "neutron/neutron.conf": _neutron(), "nova/nova.conf": _nova(), "masakari/masakari.conf": _masakari(),
             "barbican/barbican.conf": _barbican(), "mariadb.cnf": _mariadb()}
    files |= {f"nova/{host}.conf": _nova_compute(host) for host in settings.HOSTS}
    for name, sections in files.items():
        path = ETC / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"[{s}]\n" + "".join(f"{k} = {v}\n" for k, v in values.items()) + "\n" for s, values in sections.items()))
        path.chmod(0o600)
    (ETC / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = {IP}:{PORT['rabbitmq']}\ndefault_user = lab\ndefault_pass = {PASSWORD}\n"
        "loopback_users = none\ndisk_free_limit.absolute = 50MB\nlog.file.level = warning\n")
    (ETC / "rabbitmq.plugins").write_text("[].\n")
    for project, paste in (("nova", "api-paste.ini"), ("neutron", "api-paste.ini"), ("glance", "glance-api-paste.ini"),
                           ("masakari", "api-paste.ini"), ("barbican", "barbican-api-paste.ini")):
        venv = settings.NOVA_VENV if project == "nova" else settings.VENV
        shutil.copy(venv / "etc" / project / paste, ETC / project / paste)
    for d in ("mariadb-tmp", "rabbitmq", "keystone", "glance/images", "glance/staging", "glance/tasks", "nova/lock", "neutron/lock",
              "masakari/lock", "done"):
        (VAR / d).mkdir(parents=True, exist_ok=True)
    for host in settings.HOSTS:
        for d in ("instances", "lock", "guests"):
            (settings.host_dir(host) / d).mkdir(parents=True, exist_ok=True)
