"""sushy-emulator whose fake system is one of the lab's hosts: a reset really ends or starts what runs there.

Faults, read at each request from the file <state dir>/faults.json or from the environment:
  LAZARET_LAB_BMC_DELAY   seconds between the 204 and the change of power, as real BMCs have
  LAZARET_LAB_BMC_REFUSE  1: every change of power is answered 500
  LAZARET_LAB_BMC_STUCK   1: a change is accepted and never happens
"""

import json
import os
import subprocess
import sys
import threading
import time

from sushy_tools import error
from sushy_tools.emulator import main
from sushy_tools.emulator.resources.systems import fakedriver

LAB = os.environ["LAZARET_LAB_DIR"]
SWITCH = json.loads(os.environ["LAZARET_LAB_SWITCH"])
STEPS = {"On": ["power-on"], "ForceOn": ["power-on"], "ForceOff": ["power-off"], "GracefulShutdown": ["power-off"],
         "ForceRestart": ["power-off", "power-on"], "GracefulRestart": ["power-off", "power-on"]}


def fault(name, host):
    try:
        with open(os.path.join(LAB, "var/bmc", host, "faults.json")) as f:
            return json.load(f).get(name, 0)
    except OSError:
        return float(os.environ.get("LAZARET_LAB_BMC_" + name.upper(), "0"))


def power_state(self, identity):
    mark = os.path.join(LAB, "var", self._get(identity)["name"], "powered-off")
    return "Off" if os.path.exists(mark) else "On"


def set_power_state(self, identity, state):
    host = self._get(identity)["name"]
    steps = STEPS.get(state)
    if not steps:
        raise error.NotSupportedError(f"Power state {state} is not supported")
    if fault("refuse", host):
        raise error.FishyError("The lab's BMC refuses, as it was told to", code=500)
    delay = float(fault("delay", host))

    def work():
        time.sleep(delay)
        for step in steps:
            subprocess.run([*SWITCH, "host", step, host], check=False)

    if fault("stuck", host):
        return
    worker = threading.Thread(target=work)
    worker.start()
    if not delay:
        worker.join()


fakedriver.FakeDriver.get_power_state = power_state
fakedriver.FakeDriver.set_power_state = set_power_state
sys.argv[0] = "sushy-emulator"
sys.exit(main.main())
