"""Adapts the configuration that Ray's own code writes, so that a change in a new Ray is noticed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from parlor.errors import ContentTooLarge, InternalError, InvalidRequest, Overloaded
from parlor_cli import haproxy, ray_cluster
from tests.integration.waiting import eventually

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore")]

LIMITS = haproxy.Limits(answer=1, stream=2)
LONG = 10.0
"""Seconds."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The configuration of a node with one application."""
    from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
    from ray.serve.config import HTTPOptions

    directory = tmp_path_factory.mktemp("h")
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


def test_statistics_and_metrics_listen_on_loopback_only(original: str) -> None:
    assert "bind *:20003" in original
    assert "bind :20004" in original
    adapted = haproxy.adapt(original, LIMITS)
    binds = [line.split()[1] for line in adapted.splitlines() if line.split()[:1] == ["bind"]]
    assert sorted(binds) == ["127.0.0.1:20003", "127.0.0.1:20004", "127.0.0.1:8000"]


def test_the_admin_socket_is_for_its_owner_only(original: str) -> None:
    adapted = haproxy.adapt(original, LIMITS)
    assert "mode 666" in original
    assert "mode 666" not in adapted
    assert "mode 600 level admin" in adapted


def test_serves_plain_error_pages_are_gone(original: str) -> None:
    assert "errorfile 503" in original
    adapted = haproxy.adapt(original, LIMITS)
    assert "errorfile" not in adapted
    assert "not found. Ping" in original
    assert "not found. Ping" not in adapted
    for status in haproxy.ERRORS:
        assert adapted.count(f"http-error status {status} content-type application/problem+json") == 1


def test_headers_that_switch_off_serves_own_limits_are_removed(original: str) -> None:
    adapted = haproxy.adapt(original, LIMITS)
    from ray.serve._private.constants import (
        SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER,
        SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER,
    )

    for header in (SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER, SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER):
        assert f"http-request del-header {header}" in adapted


def test_nothing_is_sent_to_the_machines_syslog(original: str) -> None:
    assert "127.0.0.1:514" in original
    adapted = haproxy.adapt(original, LIMITS)
    assert "127.0.0.1:514" not in adapted
    assert "log stderr format short local0 notice" in adapted


def test_adapting_twice_changes_nothing_more(original: str) -> None:
    once = haproxy.adapt(original, LIMITS)
    assert haproxy.adapt(once, LIMITS) == once


def test_every_other_line_stays(original: str) -> None:
    adapted = haproxy.adapt(original, LIMITS).splitlines()
    lost = [line for line in original.splitlines() if line not in adapted]
    assert len(lost) == 8  # log, stats socket, three errorfiles, two binds, the default backend's 404


def test_the_file_is_rewritten_in_place(original: str, tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(original)
    haproxy.rewrite(path, LIMITS)
    assert path.read_text() == haproxy.adapt(original, LIMITS)
    assert list(tmp_path.iterdir()) == [path]


def test_haproxy_accepts_the_adapted_file(original: str, tmp_path: Path) -> None:
    binary = ray_cluster.haproxy_binary()
    if binary is None:
        pytest.skip("there is no HAProxy for this platform")
    path = tmp_path / "haproxy.cfg"
    path.write_text(haproxy.adapt(original, LIMITS))
    checked = subprocess.run([binary, "-c", "-f", path], capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stderr


def test_limits_cross_a_command_line() -> None:
    assert haproxy.Limits.read(str(LIMITS)) == LIMITS
    with pytest.raises(TypeError):
        haproxy.Limits.read("1")


class _Sleeper:
    """A replica that takes requests, answers health checks, and stands still in the middle of everything else."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while await reader.readline() not in (b"\r\n", b""):
                    pass
                await self._answer(line.split()[1], writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, path: bytes, writer: asyncio.StreamWriter) -> None:
        if path == b"/-/healthz":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            return
        if path == b"/events":
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n:\r\n")
        await writer.drain()
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def _in_front_of_a_sleeper(config: str, directory: Path) -> AsyncIterator[str]:
    """The base URL of HAProxy as ``adapt`` has it."""
    binary = ray_cluster.haproxy_binary()
    if binary is None:
        pytest.skip("there is no HAProxy for this platform")
    replica = await asyncio.start_server(_Sleeper().serve, "127.0.0.1", 0)
    (port,) = (one.getsockname()[1] for one in replica.sockets)
    front, statistics, metrics = _free_ports(3)
    for known, free in {
        "127.0.0.1:20020": port,
        "127.0.0.1:8000": front,
        ":20003": statistics,
        ":20004": metrics,
    }.items():
        config = config.replace(known, f"{known.rpartition(':')[0]}:{free}")
    path = directory / "haproxy.cfg"
    path.write_text(config)
    process = await asyncio.create_subprocess_exec(binary, "-db", "-f", path)
    try:
        await eventually(lambda: _listens(front), bool)
        yield f"http://127.0.0.1:{front}"
    finally:
        process.terminate()
        await process.wait()
        replica.close()


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


async def test_a_process_that_hangs_delays_no_other_request(original: str, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    adapted = haproxy.adapt(original, LIMITS)
    async with (
        _in_front_of_a_sleeper(adapted, tmp_path) as url,
        httpx2.AsyncClient(base_url=url, timeout=2 * LONG) as client,
    ):

        async def ask(prefer: str) -> tuple[int, str, float]:
            began = loop.time()
            answer = await client.post("/v1/rooms/r/messages", headers={"prefer": prefer})
            return answer.status_code, answer.json()["code"], loop.time() - began

        async def read() -> tuple[bytes, float]:
            began, read = loop.time(), b""
            with contextlib.suppress(httpx2.RemoteProtocolError):
                async with client.stream("GET", "/events") as answer:
                    async for chunk in answer.aiter_raw():
                        read += chunk
                read += b"ended as if it were whole"
            return read, loop.time() - began

        (plain, waiting, unclear), (stream, stream_seconds) = await asyncio.gather(
            asyncio.gather(ask("durability=persisted"), ask("durability=persisted, Wait = 2"), ask("wait=long")), read()
        )

    assert [found[:2] for found in (plain, waiting, unclear)] == [(503, "overloaded")] * 3
    assert 1 <= plain[2] < LONG
    assert 3 <= waiting[2] < LONG, "what the client asked for, and the limit"
    assert 1 <= unclear[2] < LONG
    assert stream == b":"
    assert 2 <= stream_seconds < LONG


@pytest.mark.parametrize("status", haproxy.ERRORS)
def test_haproxys_problems_are_those_of_the_error_table(status: int) -> None:
    classes = {error.code: error for error in (InvalidRequest, ContentTooLarge, InternalError, Overloaded)}
    body = json.loads(haproxy.problem(status))
    error = classes[body["code"]]
    assert (body["errorCode"], body["title"]) == (error.error_code, error.title)
    assert body["type"] == f"/docs/errors#{error.code}"
    if error is not InvalidRequest:
        assert body["status"] == error.http_status
    assert ("retry_after_seconds" in body) == error.retryable
