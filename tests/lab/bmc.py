"""BMCs: for each host a Redfish service with TLS and passwords, and an IPMI one, on the same power switch."""

import crypt
import json
import signal
import sys

import processes
import settings
from progress import took
from settings import BMC_PASSWORD, BMC_USER, ETC, HOSTS, IP, PORT, SOURCE, VAR

FOLDER = ETC / "bmc"
CERTIFICATE = FOLDER / "redfish.crt"


def up():
    """Starts what does not run yet."""
    settings.make_folders()
    with took("BMCs"):
        FOLDER.mkdir(parents=True, exist_ok=True)
        _certificate()
        _passwords()
        for host in HOSTS:
            _redfish(host)
            _ipmi(host)
        for host in HOSTS:
            processes.wait_port(f"redfish-{host}", PORT[f"redfish-{host}"], 30)


def down():
    """Ends the simulators."""
    for host in HOSTS:
        for kind in ("redfish", "ipmi"):
            processes.stop(f"{kind}-{host}", signal.SIGKILL)


def _certificate():
    if not CERTIFICATE.exists():
        processes.run("openssl", ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
                                  "-subj", "/CN=lazaret-lab-bmc", "-addext", f"subjectAltName=IP:{IP},DNS:localhost",
                                  "-keyout", FOLDER / "redfish.key", "-out", FOLDER / "redfish.crt.new"])
        (FOLDER / "redfish.crt.new").rename(CERTIFICATE)


def _passwords():
    # Five rounds, the fewest that bcrypt's users accept: it is checked at every request.
    hashed = crypt.crypt(BMC_PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 5))
    (FOLDER / "htpasswd").write_text(f"{BMC_USER}:{hashed}\n")


def _redfish(host):
    system = {"name": host, "uuid": settings.system_uuid(host), "power_state": "On", "nics": []}
    state = VAR / "bmc" / host
    state.mkdir(parents=True, exist_ok=True)
    values = {"LISTEN_IP": IP, "LISTEN_PORT": PORT[f"redfish-{host}"], "FAKE_DRIVER": True, "FAKE_SYSTEMS": [system],
              "SSL_CERT": str(CERTIFICATE), "SSL_KEY": str(FOLDER / "redfish.key"), "AUTH_FILE": str(FOLDER / "htpasswd"),
              "STATE_DIR": str(state)}
    (FOLDER / f"redfish-{host}.conf").write_text("".join(f"SUSHY_EMULATOR_{k} = {v!r}\n" for k, v in values.items()))
    processes.start(f"redfish-{host}", [settings.BMC_VENV / "bin/python", SOURCE / "shims/redfish.py",
                                        "--config", FOLDER / f"redfish-{host}.conf"], LAZARET_LAB_SWITCH=json.dumps([sys.executable, str(SOURCE / "lab")]))


def _ipmi(host):
    folder = VAR / "bmc" / f"ipmi-{host}"
    folder.mkdir(parents=True, exist_ok=True)
    (FOLDER / "ipmi.emu").write_text("mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n"
                                     "sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n")
    allowed = "none md2 md5 straight"
    (FOLDER / f"ipmi-{host}.conf").write_text(
        f'name "{host}"\nset_working_mc 0x20\n  startlan 1\n    addr {IP} {PORT[f"ipmi-{host}"]}\n    priv_limit admin\n'
        + "".join(f"    allowed_auths_{who} {allowed}\n" for who in ("callback", "user", "operator", "admin"))
        + f'    guid {settings.system_uuid(host).replace("-", "")}\n  endlan\n'
        f'  chassis_control "{sys.executable} {SOURCE}/lab ipmi-chassis {host}"\n'
        f'  user 1 true  ""      "{BMC_PASSWORD}" user  10 {allowed}\n  user 2 true  "{BMC_USER}" "{BMC_PASSWORD}" admin 10 {allowed}\n')
    processes.start(f"ipmi-{host}", ["ipmi_sim", "-n", "-c", FOLDER / f"ipmi-{host}.conf", "-f", FOLDER / "ipmi.emu", "-s", folder])


def ipmi(host, power):
    """Switches the power over IPMI, as any other tool might."""
    processes.run("ipmitool", ["ipmitool", "-I", "lanplus", "-C", "3", "-H", IP, "-p", PORT[f"ipmi-{host}"], "-U", BMC_USER,
                               "-P", BMC_PASSWORD, "chassis", "power", power])


def ipmi_chassis(host, words):
    """What ipmi_sim asks of its chassis: `get power` or `set power 0`, several at once."""
    import hosts
    operation, rest = words[0], words[1:]
    if operation == "get":
        for name in rest:
            print(f"{name}:{0 if name != 'power' or hosts.is_off(host) else 1}")
    elif operation == "set":
        for name, value in zip(rest[::2], rest[1::2]):
            if name == "power":
                hosts.power_on(host) if value == "1" else hosts.power_off(host)
            elif name == "reset" and value == "1":
                hosts.power_off(host)
                hosts.power_on(host)
            elif name == "shutdown":
                hosts.power_off(host)
