"""HTTP: Ray Serve with the ChatApi application on one address."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable

from parlor.settings import Settings
from parlor_cli.front_end import LOOPBACK
from parlor_cli.readiness import ask
from parlor_cli.refusal import Refusal

APP_NAME = "parlor"
_READY_TIMEOUT_S = 60.0
_ASK_TIMEOUT_S = 5.0
_PAUSE_S = 0.1


class Ingress:
    """Starts the application, waits until it is ready, stops it."""

    def __init__(self, settings: Settings, *, haproxy: bool, shared: bool) -> None:
        """``shared``: others use the cluster and its Serve too."""
        self._settings = settings
        self._shared = shared
        self._own_haproxy = haproxy and not shared
        self.title = "HAProxy" if haproxy else "Ray Serve's own proxy (no HAProxy for this platform)"

    @property
    def url(self) -> str:
        """The base URL for a client on this machine."""
        return _url(self._settings.api.host, self._settings.api.port)

    @property
    def health_url(self) -> str:
        """The base URL of the port for health checks; empty when it has none."""
        connections = self._settings.connections
        return _url(connections.health_host, connections.health_port) if self._own_haproxy else ""

    def start(self) -> None:
        """Returns when the application runs. Raises ``Refusal``."""
        from ray import serve

        api = self._settings.api
        # Everything of Serve listens there. HAProxy has been told where clients come from: see `front_end`.
        host = LOOPBACK if self._own_haproxy else api.host
        serve.start(proxy_location="EveryNode", http_options={"host": host, "port": api.port})
        self.deploy()

    def deploy(self) -> None:
        """Returns when the application runs in new replicas; those that there were end when they have taken over.
        Raises ``Refusal``."""
        from ray import serve
        from ray.serve.exceptions import RayServeException

        from api.deployment import build_serve_app

        try:
            serve.run(build_serve_app(self._settings.dump_secrets()), name=APP_NAME, route_prefix="/")
        except (RayServeException, RuntimeError, TimeoutError) as error:
            raise Refusal(f"the HTTP application did not start: {error}{_deployment_messages()}") from error

    def wait_until_ready(self, check: Callable[[], None]) -> None:
        """Waits until `/readyz` answers 200, calling ``check`` in between. Raises ``Refusal`` with its last answer."""
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while True:
            check()
            status, body = ask(self.url, "/readyz", _ASK_TIMEOUT_S)
            if status == http.client.OK:
                return
            if time.monotonic() > deadline:
                raise Refusal(f"{self.url}/readyz did not become ready within {_READY_TIMEOUT_S:g} s: {status} {body}")
            time.sleep(_PAUSE_S)

    def stop(self) -> None:
        """Ends the application and, in a private cluster, Serve itself."""
        from ray import serve

        if self._shared:
            serve.delete(APP_NAME)
        else:
            serve.shutdown()  # type: ignore[no-untyped-call] # untyped in Ray


def running_replicas() -> int:
    """How many replicas of the application take requests."""
    from ray import serve

    application = serve.status().applications.get(APP_NAME)
    deployments = application.deployments.values() if application is not None else ()
    states = [state for found in deployments for state in found.replica_states.items()]
    return sum(count for state, count in states if state == "RUNNING")


def _deployment_messages() -> str:
    """What Serve reports for each deployment, with the traceback of the replica."""
    from ray import serve

    application = serve.status().applications.get(APP_NAME)
    if application is None:
        return ""
    return "".join(f"\n{name}: {found.message}" for name, found in application.deployments.items() if found.message)


def _url(host: str, port: int) -> str:
    host = _reachable(host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - a wildcard is mapped
