"""barbican's API with the lab's configuration.

barbican takes no --config-file under uwsgi, names /etc/barbican for its paste file, and each crypto plugin parses
/etc/barbican/barbican.conf once more by itself, so that a key-encryption key elsewhere stays "undefined".
"""

import functools
import os

from barbican.common import config
from oslo_log import log
from paste import deploy

folder = os.environ["LAZARET_LAB_BARBICAN"]
files = [os.path.join(folder, "barbican.conf")]
original = config.parse_args


@functools.wraps(original)
def parse_args(conf, args=None, usage=None, default_config_files=None):
    return original(conf, args=args or [], usage=usage, default_config_files=default_config_files or files)


config.parse_args = parse_args
config.CONF(args=[], project="barbican", default_config_files=files)
log.setup(config.CONF, "barbican")
application = deploy.loadapp("config:" + os.path.join(folder, "barbican-api-paste.ini"))
