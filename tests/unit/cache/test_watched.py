"""Watched and Tail: one reading for many readers, each at its own pace; no Redis here."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.cache import watched as watched_module
from parlor.cache.events import CHUNK, Entry, EventLog
from parlor.cache.reads import LogPosition
from parlor.cache.watched import Tail, Watched
from parlor.cursors import parse_event_cursor
from parlor.errors import InternalError, StreamExpired
from parlor.model import Event

pytestmark = pytest.mark.unit

RING = 4


@pytest.fixture(autouse=True, scope="module")
def _small_ring() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watched_module, "RING", RING)
        yield


class Log:
    """An event log in memory: entries ``1-0``, ``2-0``, ...; those up to ``cut`` are gone."""

    def __init__(self) -> None:
        self.last = 0
        self.cut = 0
        self.reads = 0

    async def entries(self, stream: str, after: str) -> list[Entry]:
        self.reads += 1
        first = max(parse_event_cursor(after)[0], self.cut) + 1
        return [(f"{n}-0".encode(), {b"n": str(n).encode()}) for n in range(first, self.last + 1)][:CHUNK]

    async def position(self) -> LogPosition:
        return LogPosition(f"{self.last}-0", f"{self.cut}-0")

    async def render(self, entry: Entry) -> Event | None:
        number = int(entry[1][b"n"])
        # Every fifth speaks of something that is gone by now.
        return None if number % 5 == 0 else Event(f"{number}-0", "e", b"{}")

    def watched(self) -> Watched:
        return Watched("s", f"{self.last}-0", self.position, self.render)

    def tail(self, watched: Watched, cursor: int) -> Tail:
        return Tail(watched, cast("EventLog", self), f"{cursor}-0")

    async def pump(self, watched: Watched) -> None:
        """As the hub does when it was woken."""
        entries = await self.entries("s", watched.position)
        if entries:
            watched.push([(entry_id.decode(), await self.render((entry_id, fields))) for entry_id, fields in entries])
        watched.stir()


def numbers(events: list[Event]) -> list[int]:
    return [parse_event_cursor(event.cursor)[0] for event in events]


async def drain(tail: Tail) -> list[int]:
    found: list[int] = []
    while events := await tail.next(0):
        found += numbers(events)
    return found


@given(
    steps=st.lists(st.one_of(st.integers(1, 9), st.just("pump"), st.just("read"), st.just("join")), max_size=30),
    begin=st.integers(0, 12),
)
def test_every_reader_gets_every_event_behind_its_cursor_once_and_in_order(steps: list[int | str], begin: int) -> None:
    async def run() -> None:
        log = Log()
        log.last = begin
        watched = log.watched()
        readers: list[tuple[int, Tail, list[int]]] = [(begin, log.tail(watched, begin), [])]
        for step in steps:
            if isinstance(step, int):
                log.last += step
            elif step == "pump":
                await log.pump(watched)
            elif step == "join":
                cursor = log.last // 2
                readers.append((cursor, log.tail(watched, cursor), []))
            else:
                _, tail, seen = readers[-1]
                seen += numbers(await tail.next(0))
        await log.pump(watched)
        for cursor, tail, seen in readers:
            seen.extend(await drain(tail))
            assert seen == [n for n in range(cursor + 1, log.last + 1) if n % 5]
            assert parse_event_cursor(tail.cursor) >= (log.last, 0) or log.last <= cursor

    asyncio.run(run())


async def test_readers_in_the_ring_do_not_read_the_log() -> None:
    log = Log()
    watched = log.watched()
    tails = [log.tail(watched, 0) for _ in range(20)]
    log.last = RING
    await log.pump(watched)
    before = log.reads
    assert [await drain(tail) for tail in tails] == [[1, 2, 3, 4]] * 20
    assert log.reads == before


async def test_the_ring_is_bounded() -> None:
    log = Log()
    watched = log.watched()
    log.last = 100
    await log.pump(watched)
    assert [at for at, _ in watched.ring] == ["97-0", "98-0", "99-0", "100-0"]
    assert watched.ring_start == "96-0"


async def test_a_long_replay_comes_in_chunks() -> None:
    log = Log()
    log.last = 3 * CHUNK
    tail = log.tail(log.watched(), 0)
    assert len(await tail.next(0)) <= CHUNK


async def test_a_reader_that_the_logs_end_overtook_is_told_where_it_begins() -> None:
    log = Log()
    watched = log.watched()
    tail = log.tail(watched, 0)
    log.last, log.cut = 20, 10
    await log.pump(watched)
    with pytest.raises(StreamExpired) as expired:
        await tail.next(0)
    assert expired.value.extra == {"oldest_cursor": "10-0"}


async def test_silence_ends_with_nothing() -> None:
    log = Log()
    assert await log.tail(log.watched(), 0).next(0.001) == []


async def test_a_waiting_reader_is_woken() -> None:
    log = Log()
    watched = log.watched()
    waiting = [asyncio.create_task(log.tail(watched, 0).next(30)) for _ in range(3)]
    await asyncio.sleep(0)
    log.last = 1
    await log.pump(watched)
    async with asyncio.timeout(5):
        assert [numbers(events) for events in await asyncio.gather(*waiting)] == [[1]] * 3


async def test_a_reader_that_gives_up_waiting_does_not_disturb_the_others() -> None:
    log = Log()
    watched = log.watched()
    patient, impatient = (asyncio.create_task(log.tail(watched, 0).next(30)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    log.last = 1
    await log.pump(watched)
    async with asyncio.timeout(5):
        assert numbers(await patient) == [1]


async def test_events_that_speak_of_nothing_are_passed_over_without_an_empty_answer() -> None:
    log = Log()
    log.last = 4
    watched = log.watched()
    tail = log.tail(watched, 4)
    waiting = asyncio.create_task(tail.next(30))
    log.last = 5
    await asyncio.sleep(0)
    await log.pump(watched)
    await asyncio.sleep(0)
    assert not waiting.done()
    log.last = 6
    await log.pump(watched)
    async with asyncio.timeout(5):
        assert numbers(await waiting) == [6]


async def test_a_failure_reaches_every_reader_and_those_who_wait_for_a_stir() -> None:
    log = Log()
    watched = log.watched()
    waiting = asyncio.create_task(log.tail(watched, 0).next(30))
    stirred = asyncio.create_task(log.tail(watched, 0).stirred(30))
    await asyncio.sleep(0)
    watched.fail(InternalError(debug="broken"))
    async with asyncio.timeout(5):
        with pytest.raises(InternalError):
            await waiting
        await stirred
    with pytest.raises(InternalError):
        await log.tail(watched, 0).next(0)


async def test_a_stir_since_the_last_look_is_not_waited_for() -> None:
    log = Log()
    watched = log.watched()
    tail = log.tail(watched, 0)
    watched.stir()
    async with asyncio.timeout(5):
        await tail.stirred(30)
        waiting = asyncio.create_task(tail.stirred(30))
        await asyncio.sleep(0)
        assert not waiting.done()
        watched.stir()
        await waiting


async def test_waiting_for_a_stir_ends() -> None:
    log = Log()
    await log.tail(log.watched(), 0).stirred(0.001)
