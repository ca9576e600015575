"""Adapts the configuration that Ray's own code writes, so that a change in a new Ray is noticed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from parlor.errors import ContentTooLarge, InternalError, InvalidRequest, MethodNotAllowed, Overloaded
from parlor_cli import haproxy
from parlor_cli.front_end import haproxy_binary
from tests.unit.parlor_cli.haproxy_front import a_front_end, in_front_of

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore")]

FRONT = a_front_end(answer=1000, stream=2000)
LONG = 10.0
"""Seconds."""


def test_statistics_and_metrics_listen_on_loopback_only(original: str) -> None:
    assert "bind *:20003" in original
    assert "bind :20004" in original
    adapted = haproxy.adapt(original, FRONT)
    binds = [line.split()[1] for line in adapted.splitlines() if line.split()[:1] == ["bind"]]
    assert sorted(binds) == ["127.0.0.1:20003", "127.0.0.1:20004", "127.0.0.1:8000"]


def test_the_admin_socket_is_for_its_owner_only(original: str) -> None:
    adapted = haproxy.adapt(original, FRONT)
    assert "mode 666" in original
    assert "mode 666" not in adapted
    assert "mode 600 level admin" in adapted


def test_serves_plain_error_pages_are_gone(original: str) -> None:
    assert "errorfile 503" in original
    adapted = haproxy.adapt(original, FRONT)
    assert "errorfile" not in adapted
    assert "not found. Ping" in original
    assert "not found. Ping" not in adapted
    for status in haproxy.ERRORS:
        assert adapted.count(f"http-error status {status} content-type application/problem+json") == 1


def test_what_only_serve_may_say_to_a_replica_is_removed_in_every_spelling(original: str) -> None:
    adapted = haproxy.adapt(original, FRONT)
    from ray.serve._private.constants import (
        SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER,
        SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER,
        SERVE_INGRESS_ROUTER_HEADER_PREFIX,
        SERVE_MULTIPLEXED_MODEL_ID,
        SERVE_SESSION_ID,
    )

    (removed,) = re.findall(r"http-request del-header (\S+) -m reg", adapted)
    for header in (
        SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER,
        SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER,
        SERVE_SESSION_ID,
        SERVE_MULTIPLEXED_MODEL_ID,
        f"{SERVE_INGRESS_ROUTER_HEADER_PREFIX}anything",
    ):
        for spelling in (header, header.replace("-", "_"), header.replace("_", "-")):
            assert re.search(removed, spelling)
    for header in ("x-request-id", "authorization", "prefer", "x-session-identity"):
        assert re.search(removed, header) is None


def test_nothing_is_sent_to_the_machines_syslog(original: str) -> None:
    assert "127.0.0.1:514" in original
    adapted = haproxy.adapt(original, FRONT)
    assert "127.0.0.1:514" not in adapted
    assert "log stderr format short local0 notice" in adapted


def test_adapting_twice_changes_nothing_more(original: str) -> None:
    once = haproxy.adapt(original, FRONT)
    assert haproxy.adapt(once, FRONT) == once


def test_every_other_line_stays(original: str) -> None:
    adapted = haproxy.adapt(original, FRONT).splitlines()
    lost = [line for line in original.splitlines() if line not in adapted]
    # log, stats socket, maxconn, buffer, two log formats, three errorfiles, three binds, the default backend's 404
    assert len(lost) == 13


def test_the_file_is_rewritten_in_place(original: str, tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(original)
    haproxy.rewrite(path, FRONT)
    assert path.read_text() == haproxy.adapt(original, FRONT)
    assert list(tmp_path.iterdir()) == [path]


def test_haproxy_accepts_the_adapted_file(original: str, tmp_path: Path) -> None:
    binary = haproxy_binary()
    if binary is None:
        pytest.skip("there is no HAProxy for this platform")
    path = tmp_path / "haproxy.cfg"
    path.write_text(haproxy.adapt(original, FRONT))
    checked = subprocess.run([binary, "-c", "-f", path], capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_front_end_crosses_a_command_line() -> None:
    assert haproxy.FrontEnd.read(str(FRONT)) == FRONT
    for wrong in ("25,45", '{"answer": 1}', "1"):
        with pytest.raises((TypeError, ValueError)):
            haproxy.FrontEnd.read(wrong)


@pytest.mark.parametrize(
    ("bind", "listening"),
    [
        ("", ["127.0.0.1:8000"]),
        ("127.0.0.2:8123", ["127.0.0.2:8123"]),
        ("localhost:8123", ["localhost:8123"]),
        ("::1:8123", ["::1:8123"]),
        ("0.0.0.0:8123", ["*:8123"]),
        # Not as one: IPv4 addresses would then be written as those of IPv6.
        (":::8123", ["*:8123", ":::8123"]),
    ],
)
def test_only_the_front_end_listens_where_clients_come_from(original: str, bind: str, listening: list[str]) -> None:
    adapted = haproxy.adapt(original, a_front_end(bind=bind))
    of_clients = [line.split()[1] for line in adapted.splitlines() if re.match(r" *bind .* maxconn", line)]
    assert of_clients == listening


async def test_a_process_with_few_files_takes_fewer_connections(tmp_path: Path, original: str) -> None:
    wanted = a_front_end(connections=10_000)
    assert wanted.within(1_000_000) == wanted
    few = wanted.within(8_000)
    assert 3_000 < few.connections < 4_000
    async with in_front_of(1, haproxy.adapt(original, few), tmp_path, files=8_000):
        pass  # it listens
    with pytest.raises(AssertionError):
        async with in_front_of(1, haproxy.adapt(original, wanted), tmp_path, files=8_000):
            pass


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
    replica = await asyncio.start_server(_Sleeper().serve, "127.0.0.1", 0)
    (port,) = (one.getsockname()[1] for one in replica.sockets)
    try:
        async with in_front_of(port, config, directory) as front:
            yield f"http://127.0.0.1:{front}"
    finally:
        replica.close()


async def test_a_process_that_hangs_delays_no_other_request(original: str, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    adapted = haproxy.adapt(original, FRONT)
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


@pytest.mark.parametrize("status", sorted(haproxy.REPLIES.keys() - {404}))
def test_haproxys_problems_are_those_of_the_error_table(status: int) -> None:
    classes = {
        error.code: error for error in (InvalidRequest, ContentTooLarge, InternalError, Overloaded, MethodNotAllowed)
    }
    body = json.loads(haproxy.problem(status))
    error = classes[body["code"]]
    assert (body["errorCode"], body["title"]) == (error.error_code, error.title)
    assert body["type"] == f"/docs/errors#{error.code}"
    if error is not InvalidRequest:
        assert body["status"] == error.http_status
    assert ("retry_after_seconds" in body) == error.retryable
