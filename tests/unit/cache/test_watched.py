"""Watched and Tail: one reading for many readers, each at its own pace; no Redis here."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.cache import watched as watched_module
from parlor.cache.events import CHUNK, LogReader, Shown, deleted_by, without
from parlor.cache.reads import LogPosition
from parlor.cache.watched import Tail, Watched
from parlor.errors import InternalError, StreamExpired
from parlor.model.cursors import parse_event_cursor
from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import Event

pytestmark = pytest.mark.unit

RING = 4
ROOM = RoomId("r")


@pytest.fixture(autouse=True, scope="module")
def _small_ring() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watched_module, "RING", RING)
        yield


class Log:
    """An event log in memory: entries ``1-0``, ``2-0``, ...; those up to ``cut`` are gone. Every fifth is not shown."""

    def __init__(self, size: int = 2) -> None:
        self.last = 0
        self.cut = 0
        self.reads = 0
        self.size = size
        """Of an event's data, in bytes."""
        self.about: dict[int, MessageId] = {}
        self.deleted: dict[int, MessageId] = {}
        """Which messages the entries are about, and which of them are deletions."""

    async def read(self, after: str) -> list[Shown]:
        self.reads += 1
        first = max(parse_event_cursor(after)[0], self.cut) + 1
        read = [(f"{number}-0", self._event(number)) for number in range(first, self.last + 1)][:CHUNK]
        return without(read, deleted_by(event for _, event in read))

    def _event(self, number: int) -> Event | None:
        if number in self.deleted:
            return Event(f"{number}-0", "message.deleted", b"{}", self.deleted[number])
        if number % 5 == 0:
            return None
        return Event(f"{number}-0", "e", b"x" * self.size, self.about.get(number), room_id=ROOM)

    async def position(self) -> LogPosition:
        return LogPosition(f"{self.last}-0", f"{self.cut}-0")

    def watched(self) -> Watched:
        return Watched("s", f"{self.last}-0", self.position, LogReader(self.read, lambda _: None))

    def tail(self, watched: Watched, cursor: int) -> Tail:
        tail = Tail(watched, f"{cursor}-0", f"{self.last}-0")
        watched.tails.add(tail)
        return tail

    def delete(self, message: MessageId) -> None:
        self.last += 1
        self.deleted[self.last] = message

    async def pump(self, watched: Watched) -> None:
        """As the hub does when it was woken."""
        if read := await self.read(watched.position):
            watched.push(read)
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


@given(
    steps=st.lists(
        st.one_of(st.integers(1, 4), st.sampled_from(["pump", "read", "join", *"abc"])), min_size=5, max_size=40
    )
)
def test_what_is_deleted_is_not_handed_out_again(steps: list[int | str]) -> None:
    """Entries are about `a`, `b` and `c` in turn. A reader is shown nothing of a message that was deleted before the
    reader came, or whose deletion was read for it or for others."""

    async def run() -> None:
        readers = Readers()
        for step in [*steps, "pump", "read"]:
            await readers.do(step)

    asyncio.run(run())


class Readers:
    """Readers of one log, each with the messages that it must not be shown."""

    def __init__(self) -> None:
        self._log = Log(size=watched_module.PIECE // 2)
        self._watched = self._log.watched()
        self._tails: list[tuple[Tail, set[str]]] = []

    async def do(self, step: int | str) -> None:
        """Writes so many entries, deletes a message, or what the step says."""
        match step:
            case int():
                self._write(step)
            case "pump":
                await self._log.pump(self._watched)
                for _, gone in self._tails:
                    gone.update(self._log.deleted.values())
            case "join":
                tail = self._log.tail(self._watched, self._log.last // 2)
                self._tails.append((tail, set(self._log.deleted.values())))
            case "read":
                for tail, gone in self._tails:
                    await self._read(tail, gone)
            case message if message not in self._log.deleted.values():
                self._log.delete(MessageId(message))

    def _write(self, count: int) -> None:
        for _ in range(count):
            self._log.last += 1
            message = MessageId("abc"[self._log.last % 3])
            if message not in self._log.deleted.values():
                self._log.about[self._log.last] = message

    async def _read(self, tail: Tail, gone: set[str]) -> None:
        events = await tail.next(0)
        assert not [event for event in events if event.type == "e" and event.message_id in gone]
        gone.update(event.message_id or "" for event in events if event.type != "e")


async def test_a_deletion_takes_what_was_said_out_of_the_ring_and_leaves_the_rest() -> None:
    log = Log()
    watched = log.watched()
    slow = log.tail(watched, 0)
    log.last, log.about = 3, {1: MessageId("gone"), 2: MessageId("stays"), 3: MessageId("gone")}
    await log.pump(watched)
    log.delete(MessageId("gone"))
    await log.pump(watched)
    before = log.reads
    assert numbers(await slow.next(0)) == [2, 4]
    assert log.reads == before, "it was given from the ring"


async def test_a_deletion_takes_what_was_said_from_a_reader_who_has_it_to_come() -> None:
    log = Log(size=watched_module.PIECE)
    log.last, log.about = 4, dict.fromkeys((1, 2, 4), MessageId("gone"))
    watched = log.watched()
    slow = log.tail(watched, 0)
    assert numbers(await slow.next(0)) == [1]
    log.delete(MessageId("gone"))
    await log.pump(watched)
    assert numbers(await slow.next(0)) == [3]
    assert numbers(await slow.next(0)) == [5]


async def test_the_end_of_a_room_takes_everything_else_of_it() -> None:
    log = Log(size=watched_module.PIECE)
    log.last = 3
    watched = log.watched()
    slow = log.tail(watched, 0)
    assert numbers(await slow.next(0)) == [1]
    updated, deleted = (
        Event(f"{number}-0", kind, b"{}", room_id=ROOM) for number, kind in ((4, "room.updated"), (5, "room.deleted"))
    )
    watched.push([("4-0", updated)])
    watched.push([("5-0", deleted)])
    assert list(watched.ring) == [("4-0", None), ("5-0", deleted)]
    assert await slow.next(0) == [deleted]


async def test_a_reader_is_not_given_from_a_ring_that_is_behind_the_log() -> None:
    """It came after the deletion, which the hub has yet to read."""
    log = Log()
    watched = log.watched()
    log.last, log.about = 2, {1: MessageId("gone")}
    await log.pump(watched)
    log.delete(MessageId("gone"))
    assert numbers(await log.tail(watched, 0).next(0)) == [2, 3]


async def test_what_waits_for_a_reader_is_read_again_when_deletions_may_have_been_missed() -> None:
    log = Log(size=watched_module.PIECE)
    log.last, log.about = 3, {2: MessageId("gone")}
    watched = log.watched()
    slow = log.tail(watched, 0)
    assert numbers(await slow.next(0)) == [1]
    log.delete(MessageId("gone"))
    watched.skip_to("4-0")
    assert numbers(await slow.next(0)) == [3]


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


@pytest.mark.parametrize(("size", "count"), [(10, CHUNK), (30_000, 3), (1_000_000, 1)])
async def test_a_long_replay_comes_in_pieces(size: int, count: int) -> None:
    log = Log(size)
    log.last = 3 * CHUNK
    tail = log.tail(log.watched(), 0)
    events = await tail.next(0)
    assert len(events) == sum(number % 5 != 0 for number in range(1, CHUNK + 1)) if count == CHUNK else count
    assert numbers(events) + await drain(tail) == [number for number in range(1, log.last + 1) if number % 5]


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
