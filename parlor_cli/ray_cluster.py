"""Ray: the environment, start and stop of a private cluster, or the connection to a running one.

Ray and Serve read most of their settings from the environment when they are imported, and all processes of the cluster
inherit it, so ``environment`` is applied before anything imports ray. For names and defaults see
``ray/serve/_private/constants.py`` of Ray 2.60.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import ModuleType

import msgspec

from parlor.settings import Settings
from parlor_cli import processes
from parlor_cli.installation import MARKER, Installation
from parlor_cli.ports import PortPlan
from parlor_cli.processes import ProcessRef
from parlor_cli.ray_address import why_no_ray
from parlor_cli.refusal import Refusal

OBJECT_STORE_BYTES = 100 * 1024 * 1024
"""Ray's minimum is 75 MB; nothing large goes through the object store."""
_CALM = {"RAY_event_stats": "0", "RAY_enable_timeline": "0", "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25"}
"""What nobody here looks at, and every process pays for while nothing happens: statistics of Ray's own event loops, a
timeline of its threads, and ten looks a second of Serve's controller at what should run. With both spares an idle
installation takes 12.4 % of a core instead of 15.4."""
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""127.0.0.1 is taken as it is, as on macOS. On Linux Ray replaces it by an address that other nodes reach, and then
listens on every interface. Processes of the dashboard that connect to the GCS by themselves, such as the one behind its
page of Serve, have to know it too, or they look for the GCS where it does not listen (ADR 0025)."""
_TEMPORARY = "t"
"""The directory for temporary files, in the runtime directory; a short name, because sockets are made there."""
_HEAD_PROCESSES = ("gcs_server", "raylet")
_DRAIN_S = 1
"""Seconds for which a stopping replica stays reachable. Serve's default, 30, would delay every stop by as much."""


class RayHead(msgspec.Struct, frozen=True):
    """The Ray cluster that this process is connected to."""

    address: str
    """``host:port`` of its GCS."""
    dashboard_url: str
    metrics_url: str
    """Where Prometheus finds the metrics of a private cluster; empty for one that was joined."""
    processes: dict[str, ProcessRef]
    """The processes that a private cluster cannot do without; empty for one that was joined."""


def environment(
    installation: Installation, settings: Settings, ports: PortPlan, haproxy_command: Path | None
) -> dict[str, str]:
    """The environment of a private cluster. Without HAProxy, Serve uses its own proxy."""
    runtime = installation.runtime_dir
    stream_s = int(settings.api.stream_lifetime.total_seconds())
    found = {
        MARKER: str(runtime),
        # Ray's dashboard leaves directories of Python's `multiprocessing` there.
        "TMPDIR": str(runtime / _TEMPORARY),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(installation.ray_token_path),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Workers run at the user's own priority: they are the server, not background jobs.
        "RAY_worker_niceness": "0",
        "RAY_preload_python_modules": "redis.asyncio,msgspec,structlog",
        # Calls to an actor that has died fail when Ray knows the cause of death, or after so many ms (default: 1000).
        # Their callers then turn to another actor.
        "RAY_timeout_ms_task_wait_for_death_info": "100",
        **(_CALM | _LOOPBACK if is_loopback(settings.ray.node_address) else _CALM),
        # Over months many actors end; the GCS keeps this many of them.
        "RAY_maximum_gcs_destroyed_actor_cached_count": "10000",
        "AUTOSCALER_METRIC_PORT": str(ports.monitor_metrics),
        "DASHBOARD_METRIC_PORT": str(ports.dashboard_metrics),
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(_DRAIN_S),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback_http),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas[0]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas[-1]),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(ports.replicas_grpc[0]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(ports.replicas_grpc[-1]),
    }
    if haproxy_command is None:
        # With direct ingress and no proxy, replicas would listen on their own ports only.
        return found | {"RAY_SERVE_ENABLE_HA_PROXY": "0", "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0"}
    # Short names: Serve adds a directory of 57 characters, and HAProxy allows 97 for a socket.
    directory = runtime / "h"
    return found | {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(haproxy_command),
        # Serve replaces a dead HAProxy after three failed checks: within seconds instead of half a minute.
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.5",
        # A replica that refuses a connection is gone: the next one is asked in the same request.
        "RAY_SERVE_HAPROXY_OBSERVE_ERROR_LIMIT": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": str(min(2, os.cpu_count() or 1)),
        # For a client that does not read what is sent to it. It does not apply to one that waits for an answer or reads
        # a quiet stream (measured, ADR 0008).
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "60",
        # A reload must not cut a stream before the end of its lifetime.
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(stream_s + 30),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(directory / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(directory / "a.sock"),
        # It has HAProxy write a line for each request, which Serve parses in Python: 45 us a send (ADR 0027).
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(directory),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(directory / "state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.haproxy_metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.haproxy_stats),
    }


def enter(variables: dict[str, str]) -> None:
    """Applies the environment of a private cluster to this process, and removes variables for another Ray.

    Raises ``RuntimeError`` when ray has been imported, because it has read other values.
    """
    if "ray" in sys.modules:
        raise RuntimeError("ray was imported before its environment was set")
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_NAMESPACE", "RAY_JOB_CONFIG_JSON_ENV_VAR", "RAY_TMPDIR"):
        os.environ.pop(name, None)
    os.environ.update(variables)


def client_environment(token_path: Path) -> dict[str, str]:
    """The environment of a command that connects to a private cluster."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_path), "RAY_USAGE_STATS_ENABLED": "0"}


def start(installation: Installation, settings: Settings, ports: PortPlan) -> RayHead:
    """Starts a private cluster and connects to it. Raises ``Refusal``.

    Call it from the main thread only: Ray's servers end with the thread that started them.
    """
    import ray

    session, temporary = installation.runtime_dir / "ray", installation.runtime_dir / _TEMPORARY
    for directory in (session, temporary):
        directory.mkdir(mode=0o700, exist_ok=True)
    try:
        address = settings.ray.node_address
        with _our_way(ports.dashboard_agent):
            context = ray.init(
                address="local",
                # Logical CPUs. Actors ask for little or none, and must not wait for them on a machine with few cores.
                num_cpus=max(8, (os.cpu_count() or 1) * 4),
                resources={"rooms": 10_000, "writers": 10_000},
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=settings.ray.dashboard,
                dashboard_host="127.0.0.1",
                dashboard_port=ports.dashboard,
                namespace=settings.ray.namespace,
                log_to_driver=False,
                _node_ip_address=address,
                _temp_dir=str(session),
                _metrics_export_port=ports.metrics_export,
            )
    except (RuntimeError, OSError, ValueError) as error:
        raise Refusal(f"Ray did not start: {error}") from error
    found = {}
    for pid in processes.children(os.getpid()):
        words = processes.command_line(pid)
        name = PurePath(words[0]).name if words else ""
        if name in _HEAD_PROCESSES:
            found[name] = processes.reference(pid)
    if len(found) != len(_HEAD_PROCESSES):
        raise Refusal(f"Ray started without {' and '.join(set(_HEAD_PROCESSES) - set(found))}")
    return RayHead(
        address=ray.get_runtime_context().gcs_address,
        dashboard_url=f"http://{context.dashboard_url}" if settings.ray.dashboard else "",
        metrics_url=f"http://{address}:{ports.metrics_export}/metrics",
        processes=found,
    )


@contextlib.contextmanager
def _our_way(agent_port: int | None = None, *, loopback: bool = False) -> Iterator[None]:
    """What `ray.init` has no arguments for (Ray 2.60).

    - The port of the dashboard's agent, which is otherwise 52365 in every cluster.
    - This process's handler of SIGTERM is not replaced by one that leaves without a stop.
    - With ``loopback`` a process without ``_LOOPBACK`` in its environment takes 127.0.0.1 as it is.
    """
    from ray._private import parameter, ray_constants, utils

    with_port = functools.partial(parameter.RayParams, dashboard_agent_listen_port=agent_port)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_replaced(utils, "set_sigterm_handler", lambda _handler: None))
        if agent_port is not None:
            stack.enter_context(_replaced(parameter, "RayParams", with_port))
        if loopback:
            stack.enter_context(_replaced(ray_constants, "ENABLE_RAY_CLUSTER", False))
        yield


@contextlib.contextmanager
def _replaced(module: ModuleType, name: str, value: object) -> Iterator[None]:
    plain = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, plain)


def is_loopback(address: str) -> bool:
    """Whether Ray takes this for an address, with a port or without, that only this machine reaches."""
    return address.partition(":")[0] == "127.0.0.1"


def join(address: str, namespace: str, *, private: bool = False) -> RayHead:
    """Connects to a running cluster: a private one, or one whose environment is up to its operator. Raises
    ``Refusal``."""
    if reason := why_no_ray(address):
        raise Refusal(f"cannot connect to Ray at {address}: {reason}")
    import ray

    try:
        with _our_way(loopback=private and is_loopback(address)):
            context = ray.init(address=address, namespace=namespace, log_to_driver=False, configure_logging=False)
    except (RuntimeError, OSError, ValueError) as error:
        raise Refusal(f"cannot connect to Ray at {address}: {error}") from error
    return RayHead(
        address=ray.get_runtime_context().gcs_address,
        dashboard_url=f"http://{context.dashboard_url}" if context.dashboard_url else "",
        metrics_url="",
        processes={},
    )


def leave() -> None:
    """Disconnects, which ends a private cluster."""
    import ray

    ray.shutdown()
