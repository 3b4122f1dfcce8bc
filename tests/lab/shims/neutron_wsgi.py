"""neutron's API with one model imported that it forgets.

Without the port_forwarding plugin nothing imports that model, SQLAlchemy cannot resolve Port.port_forwardings, every
GET /v2.0/ports is a 500, and nova cannot show a server.
"""

from neutron.wsgi.api import application  # noqa: F401
import neutron.db.models.port_forwarding  # noqa: F401
import neutron.plugins.ml2.models  # noqa: F401
import sqlalchemy.orm

sqlalchemy.orm.configure_mappers()
