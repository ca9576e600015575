"""Calls over a RoomActor's own socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import uvloop

from actors.room_socket import RoomLink, RoomSocket, _Frames
from tests.unit.domain import settle

pytestmark = pytest.mark.unit


class Echo:
    """Answers what it is asked, when it may."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bool]] = []
        self.answered: list[bytes] = []
        self.gates: dict[bytes, asyncio.Event] = {}
        self.both = asyncio.Event()
        """Set when two calls have come."""
        self.failure: Exception | None = None

    async def execute(self, body: bytes, activate: bool) -> bytes:
        self.asked.append((body, activate))
        if len(self.asked) == 2:
            self.both.set()
        if body in self.gates:
            await self.gates[body].wait()
        if self.failure is not None:
            raise self.failure
        self.answered.append(body)
        return body


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def room_socket(echo: Echo) -> AsyncIterator[RoomSocket]:
    made = RoomSocket(echo.execute)
    await made.open(f"parlor-test-{uuid4().hex}")
    yield made
    made.close()
    await settle()


@pytest.fixture
async def link(room_socket: RoomSocket) -> AsyncIterator[RoomLink]:
    made = await RoomLink.connect(room_socket.path)
    yield made
    made.close()
    await settle()


async def test_an_answer_is_its_calls_whatever_comes_first(echo: Echo, link: RoomLink) -> None:
    slow = echo.gates[b"slow"] = asyncio.Event()
    first = asyncio.create_task(link.call(b"slow", True))
    assert await asyncio.gather(*(link.call(b"%d" % n, False) for n in range(50))) == [b"%d" % n for n in range(50)]
    slow.set()
    assert await first == b"slow"
    assert echo.asked[0] == (b"slow", True)
    assert {activate for _, activate in echo.asked[1:]} == {False}


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
async def test_a_body_of_any_size_arrives_whole(link: RoomLink, size: int) -> None:
    body = os.urandom(size)
    assert await link.call(body, False) == body


async def test_a_call_that_fails_fails_alone(echo: Echo, link: RoomLink) -> None:
    echo.failure = RuntimeError("a defect")
    with pytest.raises(ConnectionAbortedError, match="a defect"):
        await link.call(b"one", False)
    echo.failure = None
    assert await link.call(b"two", False) == b"two"


async def test_an_actor_that_ends_fails_every_call_at_once(echo: Echo, room_socket: RoomSocket, link: RoomLink) -> None:
    for body in (b"one", b"two"):
        echo.gates[body] = asyncio.Event()
    calls = [asyncio.create_task(link.call(body, False)) for body in (b"one", b"two")]
    async with asyncio.timeout(5):
        await echo.both.wait()
        room_socket.close()
        failed = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in failed] == [ConnectionResetError] * 2
        with pytest.raises(ConnectionResetError):
            await link.call(b"late", False)
    for gate in echo.gates.values():
        gate.set()
    await settle()
    assert sorted(echo.answered) == [b"one", b"two"]


async def test_a_caller_that_gives_up_takes_nothing_back(echo: Echo, link: RoomLink) -> None:
    gate = echo.gates[b"given up"] = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await link.call(b"given up", False)
    assert await link.call(b"next", False) == b"next"
    gate.set()
    assert await link.call(b"last", False) == b"last"
    assert sorted(echo.answered) == [b"given up", b"last", b"next"]


async def test_a_retired_link_ends_with_its_last_call(echo: Echo, link: RoomLink) -> None:
    gate = echo.gates[b"under way"] = asyncio.Event()
    call = asyncio.create_task(link.call(b"under way", False))
    await asyncio.sleep(0)
    link.retire()
    gate.set()
    assert await call == b"under way"
    with pytest.raises(ConnectionResetError):
        await link.call(b"late", False)


async def test_nobody_else_is_served(echo: Echo, room_socket: RoomSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket without a file has no permissions: the kernel says whose process called."""
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    link = await RoomLink.connect(room_socket.path)
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionError):
            await link.call(b"foreign", False)
    assert echo.asked == []
    link.close()
    await settle()


def test_ray_s_own_event_loop_does_it_too() -> None:
    """uvloop, which takes an abstract name for a C string where it is left to connect by itself."""

    async def ask() -> bytes:
        served = RoomSocket(Echo().execute)
        await served.open(f"parlor-test-{uuid4().hex}")
        link = await RoomLink.connect(served.path)
        try:
            return await link.call(b"asked", True)
        finally:
            link.close()
            served.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ask()) == b"asked"


async def test_nobody_listens_any_more(room_socket: RoomSocket) -> None:
    path = room_socket.path
    room_socket.close()
    with pytest.raises(OSError):  # noqa: PT011 - the system's error, whichever
        await RoomLink.connect(path)


@pytest.mark.parametrize("step", [1, 2, 3, 8, 9, 10, 13, 1000])
def test_frames_are_cut_anywhere(step: int) -> None:
    found: list[tuple[int, bool, bytes]] = []

    class Collector(_Frames):
        def frame(self, number: int, flag: bool, body: bytes) -> None:
            found.append((number, flag, body))

    sent = b"".join(
        bytes.fromhex(f"{len(body):08x}{number:08x}{flag:02x}") + body
        for number, flag, body in ((1, 0, b"one"), (2, 1, b""), (4_294_967_295, 0, b"three"))
    )
    collector = Collector()
    for start in range(0, len(sent), step):
        collector.data_received(sent[start : start + step])
    assert found == [(1, False, b"one"), (2, True, b""), (4_294_967_295, False, b"three")]
