"""nova's API of the Zed release, which has no module for `uwsgi --module` yet."""

from nova.api.openstack import wsgi_app

application = wsgi_app.init_application("osapi_compute")
