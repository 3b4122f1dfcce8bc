"""A small OpenStack client: standard library only, every answer as it came."""

import json
import urllib.error
import urllib.request

import settings
from progress import LabError


class Cloud:
    """One user in one project; logs in when first used."""

    def __init__(self, user="admin", project="admin", password=settings.PASSWORD):
        self.user, self.project, self.password, self.token = user, project, password, None

    def __call__(self, method, service, path, body=None, version=None, data=None):
        """-> (status, body). version is a microversion of that service."""
        if self.token is None:
            self._log_in()
        headers = {"X-Auth-Token": self.token}
        if version:
            headers["OpenStack-API-Version"] = f"{service} {version}"
        status, _, answer = request(method, settings.URL[service] + path, body, headers, data)
        return status, answer

    def expect(self, wanted, method, service, path, body=None, version=None, data=None):
        """As a call, but any status not wanted raises."""
        status, answer = self(method, service, path, body, version, data)
        if status not in wanted:
            raise LabError(f"{method} {settings.URL[service]}{path}: {status} {answer}")
        return answer

    def _log_in(self):
        user = {"name": self.user, "domain": {"id": "default"}, "password": self.password}
        scope = {"project": {"name": self.project, "domain": {"id": "default"}}}
        status, headers, answer = request("POST", settings.URL["identity"] + "/auth/tokens", {
            "auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}})
        if status != 201:
            raise LabError(f"keystone refuses {self.user}: {status} {answer}")
        self.token = headers["X-Subject-Token"]


def request(method, url, body=None, headers=None, data=None, timeout_s=60):
    """-> (status, headers, body as JSON or text). Status 0 when nothing answers."""
    headers = dict(headers or {})
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    elif data is not None:
        headers["Content-Type"] = "application/octet-stream"
    call = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with _OPENER.open(call, timeout=timeout_s) as answer:
            return answer.status, answer.headers, _parsed(answer.read())
    except urllib.error.HTTPError as e:
        return e.code, e.headers, _parsed(e.read())
    except OSError as e:
        return 0, {}, str(e)


def _parsed(raw):
    text = raw.decode("utf-8", "replace")
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


# Never through a proxy: everything is on loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
