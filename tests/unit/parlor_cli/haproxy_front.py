"""HAProxy alone, with the configuration that Ray Serve writes for it, in front of a replica of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from parlor_cli.front_end import haproxy_binary
from parlor_cli.haproxy import FrontEnd
from tests.integration.waiting import eventually
from tests.servers import free_ports

_REPLICA, _FRONT, _STATISTICS, _METRICS = 20020, 8000, 20003, 20004
"""Ports in the configuration; ``in_front_of`` puts free ones in their place."""


def a_front_end(**other: Any) -> FrontEnd:
    """One that gives up nobody within the time of a test, and is large enough for all."""
    usual: dict[str, Any] = {
        **dict.fromkeys(("answer", "stream", "head", "body", "idle"), 10_000),
        "connections": 500,
        "per_address": 100,
        "proxies": ["127.0.0.0/8", "::1/128"],
    }
    return FrontEnd(**{**usual, **other})


def serves_config(directory: Path, replicas: int = 1) -> str:
    """The configuration of a node with one application; its replicas listen on ports from 20020 on."""
    from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
    from ray.serve.config import HTTPOptions

    backend = BackendConfig(
        name="parlor",
        path_prefix="/",
        app_name="parlor",
        servers=[ServerConfig(f"replica{number}", "127.0.0.1", _REPLICA + number) for number in range(replicas)],
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
async def in_front_of(replica: int, config: str, directory: Path, *, files: int = 4096) -> AsyncIterator[int]:
    """The port of an HAProxy with the adapted configuration, in front of a replica that listens on another port. It may
    open so many files."""
    binary = haproxy_binary()
    if binary is None:
        pytest.skip("there is no HAProxy for this platform")
    front, statistics, metrics = free_ports(3)
    for known, port in {_REPLICA: replica, _FRONT: front, _STATISTICS: statistics, _METRICS: metrics}.items():
        config = config.replace(f"127.0.0.1:{known}", f"127.0.0.1:{port}")
    path = directory / "haproxy.cfg"
    path.write_text(config)
    limited = f'ulimit -n {files} && exec "$@"'
    process = await asyncio.create_subprocess_exec("sh", "-c", limited, "sh", binary, "-db", "-f", path)

    async def started() -> bool:
        assert process.returncode is None, "HAProxy did not start"
        return await _listens(front)

    try:
        await eventually(started, bool)
        yield front
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
