"""HAProxy alone, with the configuration that Ray Serve writes for it, in front of a replica of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parlor_cli import ray_cluster
from tests.integration.waiting import eventually

_REPLICA, _FRONT, _STATISTICS, _METRICS = 20020, 8000, 20003, 20004
"""Ports in the configuration; ``in_front_of`` puts free ones in their place."""


def serves_config(directory: Path) -> str:
    """The configuration of a node with one application."""
    from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
    from ray.serve.config import HTTPOptions

    backend = BackendConfig(
        name="parlor",
        path_prefix="/",
        app_name="parlor",
        servers=[ServerConfig("one", "127.0.0.1", 20020)],
        fallback_server=ServerConfig("fallback", "127.0.0.1", 20005),
    )
    config = HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=8000),
        socket_path=str(directory / "a.sock"),
        server_state_base=str(directory),
        server_state_file=str(directory / "state"),
        metrics_socket_path=str(directory / "m.sock"),
        stats_port=20003,
        metrics_port=20004,
        is_head=True,
    )
    api = HAProxyApi(config, {"parlor": backend}, config_file_path=str(directory / "haproxy.cfg"))
    api._generate_config_file_internal()
    return (directory / "haproxy.cfg").read_text()


@contextlib.asynccontextmanager
async def in_front_of(replica: int, config: str, directory: Path) -> AsyncIterator[int]:
    """The port of an HAProxy with the adapted configuration, in front of a replica that listens on another port."""
    binary = ray_cluster.haproxy_binary()
    if binary is None:
        pytest.skip("there is no HAProxy for this platform")
    front, statistics, metrics = _free_ports(3)
    for known, port in {_REPLICA: replica, _FRONT: front, _STATISTICS: statistics, _METRICS: metrics}.items():
        config = config.replace(f"127.0.0.1:{known}", f"127.0.0.1:{port}")
    path = directory / "haproxy.cfg"
    path.write_text(config)
    process = await asyncio.create_subprocess_exec(binary, "-db", "-f", path)
    try:
        await eventually(lambda: _listens(front), bool)
        yield front
    finally:
        process.terminate()
        await process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in found]


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
