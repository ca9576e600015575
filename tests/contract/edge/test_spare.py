"""A spare replica: it gets nothing while the first one is up, and everything when that is gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest

from parlor.settings import Settings
from parlor_cli import front_end, haproxy
from tests.integration.waiting import eventually
from tests.unit.parlor_cli.haproxy_front import a_front_end, in_front_of, serves_config

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore")]


def servers(config: str) -> list[str]:
    return [line.strip() for line in config.splitlines() if line.strip().startswith("server ")]


@pytest.mark.parametrize(("spare", "waiting"), [(True, [False, True, True, True]), (False, [False] * 3 + [True])])
def test_every_replica_but_the_first_waits(tmp_path: Path, spare: bool, waiting: list[bool]) -> None:
    adapted = haproxy.adapt(serves_config(tmp_path, replicas=3), a_front_end(spare=spare))
    found = servers(adapted)
    assert [line.split()[1] for line in found] == ["replica0", "replica1", "replica2", "fallback"]
    assert [line.endswith(" backup") for line in found] == waiting


class Replica:
    """Answers with its name."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._server: asyncio.Server | None = None
        self._open = set[asyncio.StreamWriter]()

    async def start(self, port: int = 0) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    def die(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(self._name), self._name))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


async def test_the_spare_takes_over_in_the_same_request_and_gives_back(tmp_path: Path) -> None:
    first, spare = Replica("first"), Replica("spare")
    first_port, spare_port = await first.start(), await spare.start()
    config = serves_config(tmp_path, replicas=2).replace("127.0.0.1:20021", f"127.0.0.1:{spare_port}")
    # As `ray_cluster.environment` sets it.
    adapted = haproxy.adapt(config.replace("error-limit 3", "error-limit 1"), a_front_end(spare=True))
    assert "error-limit 1 on-error mark-down" in adapted
    async with in_front_of(first_port, adapted, tmp_path) as port, httpx2.AsyncClient(timeout=10) as client:

        async def ask() -> str:
            # On a connection of its own: a kept one is closed with the replica's that it was for.
            url, close = f"http://127.0.0.1:{port}/v1/rooms", {"connection": "close"}
            answer = await client.post(url, content=b"", headers=close)
            return answer.text if answer.status_code == 200 else str(answer.status_code)

        assert {await ask() for _ in range(20)} == {"first"}
        first.die()
        assert {await ask() for _ in range(20)} == {"spare"}
        await first.start(first_port)
        await eventually(ask, lambda answer: answer == "first")
    first.die()
    spare.die()


MEMORY = "MemTotal:       24000000 kB\nMemAvailable:   {} kB\n"


@pytest.mark.parametrize(("free", "expected"), [(4 * 1024**2, True), (4 * 1024**2 - 1, False)])
def test_there_is_a_spare_where_there_is_memory(tmp_path: Path, free: int, expected: bool) -> None:
    (tmp_path / "meminfo").write_text(MEMORY.format(free))
    assert front_end.spare_fits(tmp_path / "meminfo") is expected


@pytest.mark.parametrize("text", ["", "MemAvailable: much kB\n", "MemTotal: 1 kB\n", "no colon\n"])
def test_where_memory_is_not_known_there_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "meminfo").write_text(text)
    assert not front_end.spare_fits(tmp_path / "meminfo")
    assert not front_end.spare_fits(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("binary", "most", "expected"),
    [(Path("/bin/haproxy"), 1, True), (Path("/bin/haproxy"), 2, False), (None, 1, False)],
)
def test_a_spare_replica_needs_haproxy_and_is_no_second_one(
    monkeypatch: pytest.MonkeyPatch, binary: Path | None, most: int, expected: bool
) -> None:
    monkeypatch.setattr(front_end, "haproxy_binary", lambda: binary)
    monkeypatch.setattr(front_end, "spare_fits", lambda: True)
    assert front_end.spare_replica_fits(Settings.model_validate({"api": {"replicas_max": most}})) is expected


def test_only_one_replica_has_a_spare() -> None:
    spare = Settings.model_validate({"api": {"spare": True}})
    assert front_end.front_end(spare).spare
    assert not front_end.front_end(Settings.model_validate({"api": {"spare": True, "replicas_max": 2}})).spare
    assert not front_end.front_end(Settings()).spare
