"""The API as a Ray Serve application.

Each replica gets the settings as JSON and builds its own FastAPI application, so that no lock and no client is pickled
(``serve.ingress`` without an argument calls ``__serve_build_asgi_app__`` after the constructor; Ray 2.60,
``serve/api.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from actors.logs import observe
from actors.replicas import announce
from actors.threads import serve_calls
from api import drain, http1, node_ports, serve_log, socket_server
from api.app import build_app
from api.autoscaling import ByLoad
from api.edge import Edge
from api.load import ReplicaLoad
from api.metrics import RayEdgeMetrics
from api.serve_arguments import Arguments
from parlor.gateway import Gateway
from parlor.settings import Settings
from parlor.settings.loading import Configuration, ConfigurationError

_STREAMS_FULL = 0.8
"""How full of streams a replica is when another one is wanted: what comes meanwhile needs a place."""
_DRAIN_SECONDS = 60.0
"""Time for open requests when a replica stops: streams of other providers' protocols end with their reply, and cannot
be resumed. Those that are still open are then cut."""


class Unrouted:
    """The application without the routes that Serve would match each request with, only to name it in its metrics
    (``get_asgi_route_name``)."""

    routes: Sequence[BaseRoute] = ()

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.router = app.router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class ChatApi:
    """One replica of the HTTP API. It keeps no state that a client needs after a restart."""

    def __init__(self, settings_json: str, create_supervisor: bool) -> None:
        """``settings_json`` is ``Settings.dump_secrets()``. With ``create_supervisor`` the first replica creates the
        Supervisor, and with it all other actors; otherwise they exist already."""
        self._settings = Settings.model_validate_json(settings_json)
        self._create_supervisor = create_supervisor
        self._edge: Edge | None = None
        self._load: ReplicaLoad | None = None
        announce(settings_json, serve.get_replica_context().replica_id.to_full_id_str())
        observe(self._settings, "ChatApi")
        serve_calls()
        http1.install()
        socket_server.install(self._settings.api.body_limit)
        node_ports.install()
        if self._settings.log.level != "debug":
            serve_log.install()

    def __serve_build_asgi_app__(self) -> Unrouted:
        # Serve writes `x-request-id` itself.
        app = build_app(self._settings, self._open_gateway, metrics=RayEdgeMetrics(), echo_request_id=False)
        self._edge = edge = app.state.edge
        self._load = ReplicaLoad(edge)
        drain.install(edge.leave)
        return Unrouted(app)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What ``api.autoscaling`` decides by; Serve asks for it."""
        return {} if self._load is None else self._load.report()

    def check_health(self) -> None:
        """Called by Serve every ``health_check_period_s``: a replica that can be called is well."""
        if self._edge is not None:
            self._edge.streams.tell()

    async def _open_gateway(self) -> Gateway:
        from actors.gateway import open_gateway

        return await open_gateway(self._settings, create_supervisor=self._create_supervisor)


def build_serve_app(settings_json: str, *, create_supervisor: bool = False) -> serve.Application:
    """The application for ``serve.run``; ``settings_json`` is ``Settings.dump_secrets()``.

    With ``create_supervisor`` it needs nothing else to be started before, and its actors outlive it.
    """
    settings = Settings.model_validate_json(settings_json)
    deployment = serve.deployment(name="ChatApi", **deployment_options(settings))(serve.ingress()(ChatApi))
    return deployment.bind(settings_json, create_supervisor)


def deployment_options(settings: Settings) -> dict[str, Any]:
    """The options of the deployment; ``serve_config.yaml`` can override each."""
    api = settings.api
    options: dict[str, Any] = {
        # Every open stream is one ongoing request (Serve's default is 5).
        "max_ongoing_requests": api.max_streams + api.max_requests,
        # The application refuses requests before this limit, with a problem; the queue is only a buffer.
        "max_queued_requests": api.max_requests,
        "graceful_shutdown_wait_loop_s": 1.0,
        "graceful_shutdown_timeout_s": _DRAIN_SECONDS,
        "health_check_period_s": 5.0,
        "health_check_timeout_s": 15.0,
        # The default stops the old replica before it starts the new one: an outage when there is only one.
        "max_surge_percent": 100,
        "ray_actor_options": {"num_cpus": 0.1},
        "logging_config": LoggingConfig(
            encoding="JSON" if settings.log.format == "json" else "TEXT",
            log_level=settings.log.level.upper(),
            enable_access_log=False,
        ),
    }
    if api.replicas_max > api.replicas_min:
        options["autoscaling_config"] = {
            "min_replicas": api.replicas_min,
            "max_replicas": api.replicas_max,
            "policy": {
                "policy_function": f"{ByLoad.__module__}:{ByLoad.__name__}",
                "policy_kwargs": {"streams": api.max_streams * _STREAMS_FULL},
            },
            "upscale_delay_s": 10.0,
            # Each change makes open streams reconnect.
            "downscale_delay_s": 600.0,
        }
    else:
        options["num_replicas"] = api.replicas_min + (1 if api.spare else 0)
    return options


def app(arguments: Arguments) -> serve.Application:
    """The whole installation, for Serve's own commands: `serve build`, `serve run api.deployment:app` and `serve deploy
    serve_config.yaml`.

    The first replica creates the Supervisor; names of Ray actors are unique, so replicas that start together create
    one. Settings come from the environment; ``arguments`` override them. Raises ``ConfigurationError``.
    """
    configuration = Configuration(arguments.sections())
    if configuration.settings.auth.sign_in_by_name:
        what = "where Serve listens is not known here: only `parlor up` signs people in by name"
        raise ConfigurationError([configuration.problem("auth", "sign_in_by_name", what)])
    settings = configuration.settings
    return build_serve_app(settings.dump_secrets(), create_supervisor=True)


# Serve takes the annotation as it is there, not as a text: it validates what it was given with it (Ray 2.60,
# `call_user_app_builder_with_args_if_necessary`).
app.__annotations__["arguments"] = Arguments
