"""A shard's notes of calls that its messages do not bear out, and messages without their note (I26)."""

from __future__ import annotations

from uuid import UUID

import pytest
from msgspec import structs

from parlor.fsck.findings import NoteCalls
from parlor.model.ids import MessageId, RoomId
from parlor.model.parts import ToolCallPart
from parlor.rooms.room import Room
from parlor.store.calls import CallNotes, CallStore, NotedCalls, NotedReply
from parlor.store.ports import CallNote
from tests.unit.domain import SHARD, Domain
from tests.unit.fsck.chat import check, kinds
from tests.unit.memory_store import MemoryDatabase
from tests.unit.rooms.deciding import decide, finished, parked
from tests.unit.rooms.test_tools import passed
from tests.unit.scripted_tools import tool

pytestmark = pytest.mark.unit

OTHER = "sha256:" + "a" * 64


@pytest.fixture
def domain(domain: Domain) -> Domain:
    domain.model.tools = (
        structs.replace(tool("pay"), approval="always"),
        structs.replace(tool("once"), approval="first"),
    )
    return domain


def sql(domain: Domain, statement: str, *values: object) -> None:
    database = domain.store._shards[SHARD]
    assert isinstance(database, MemoryDatabase)
    assert database._connection.execute(statement, values).rowcount > 0


async def noted(domain: Domain, room_id: RoomId) -> NotedCalls:
    return (await CallNotes(domain.store).of(SHARD, [room_id])).get(room_id, NotedCalls())


class Waiting:
    """A room whose reply at seq 2 waits for a person, stored."""

    def __init__(self, domain: Domain, room: Room, message_id: MessageId, call: ToolCallPart) -> None:
        self.domain, self.room, self.message_id, self.call = domain, room, message_id, call

    @classmethod
    async def begin(cls, domain: Domain, name: str = "pay") -> Waiting:
        room, reply, (call,) = await parked(domain, (name, "{}"))
        await domain.write_all()
        waiting = cls(domain, room, reply.message_id, call)
        assert await waiting.listed()
        return waiting

    @property
    def raw(self) -> bytes:
        return UUID(self.room.room_id).bytes

    async def listed(self) -> bool:
        reply = NotedReply(self.message_id, self.domain.ada.account_db_key)
        return (await noted(self.domain, self.room.room_id)).waiting == {2: reply}

    async def approve(self) -> None:
        await decide(self.domain, self.room, self.message_id, self.call)
        await passed(self.domain)
        await finished(self.domain, self.room)
        await self.domain.write_all()


async def found_and_repaired(domain: Domain, *expected: tuple[str, int]) -> None:
    want = sorted(("I26", kind, seq) for kind, seq in expected)
    assert sorted(kinds(await check(domain))) == want
    repaired = await check(domain, repair=True)
    assert (sorted(kinds(repaired)), repaired.left) == (want, [])
    assert kinds(await check(domain)) == []


async def test_nothing_is_found_before_and_after_a_decision(domain: Domain) -> None:
    waiting = await Waiting.begin(domain, "once")
    assert kinds(await check(domain)) == []
    await waiting.approve()
    assert await noted(domain, waiting.room.room_id) == NotedCalls({}, {waiting.call.digest})
    assert kinds(await check(domain)) == []


async def test_a_reply_that_waits_and_is_not_listed_is_found(domain: Domain) -> None:
    waiting = await Waiting.begin(domain)
    sql(domain, "DELETE FROM waiting_replies WHERE room_id = ?", waiting.raw)
    await found_and_repaired(domain, ("waiting-unlisted", 2))
    assert await waiting.listed()
    listed = await CallStore(domain.store).waiting(SHARD, domain.ada.account_db_key, start=None, limit=9)
    assert [each.message_id for each in listed] == [waiting.message_id]


async def test_a_reply_that_is_listed_and_waits_for_nobody_is_found(domain: Domain) -> None:
    waiting = await Waiting.begin(domain)
    await waiting.approve()
    row = (waiting.raw, domain.ada.account_db_key, UUID(waiting.message_id).bytes)
    sql(domain, "INSERT INTO waiting_replies (room_id, seq, account_db_key, message_id) VALUES (?, 2, ?, ?)", *row)
    await found_and_repaired(domain, ("waiting-over", 2))
    assert await noted(domain, waiting.room.room_id) == NotedCalls()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE waiting_replies SET account_db_key = account_db_key + 1 WHERE room_id = ?",
        "UPDATE waiting_replies SET message_id = x'00112233445566778899aabbccddeeff' WHERE room_id = ?",
    ],
)
async def test_a_reply_that_is_listed_as_anothers_is_found(domain: Domain, damage: str) -> None:
    waiting = await Waiting.begin(domain)
    sql(domain, damage, waiting.raw)
    assert not await waiting.listed()
    await found_and_repaired(domain, ("waiting-other", 2))
    assert await waiting.listed()


async def test_a_message_that_is_listed_and_is_not_there_is_found(domain: Domain) -> None:
    waiting = await Waiting.begin(domain)
    sql(domain, "UPDATE waiting_replies SET seq = 7 WHERE room_id = ?", waiting.raw)
    await found_and_repaired(domain, ("waiting-gone", 7), ("waiting-unlisted", 2))
    assert await waiting.listed()


async def test_a_deleted_message_that_is_listed_is_found(domain: Domain) -> None:
    waiting = await Waiting.begin(domain)
    await domain.delete_message(waiting.room, waiting.message_id)
    await domain.write_all()
    row = (waiting.raw, domain.ada.account_db_key, UUID(waiting.message_id).bytes)
    sql(domain, "INSERT INTO waiting_replies (room_id, seq, account_db_key, message_id) VALUES (?, 2, ?, ?)", *row)
    await found_and_repaired(domain, ("waiting-gone", 2))


async def test_notes_of_a_room_that_is_deleted_or_unknown_are_found(domain: Domain) -> None:
    waiting = await Waiting.begin(domain)
    await domain.delete_room(waiting.room)
    await domain.write_all()
    unknown = domain.mint.room_id(domain.ada.partition)
    for raw in (waiting.raw, UUID(unknown).bytes):
        sql(domain, "INSERT INTO waiting_replies VALUES (?, 2, ?, ?)", raw, domain.ada.account_db_key, b"0" * 16)
        sql(domain, "INSERT INTO approved_calls VALUES (?, ?)", raw, OTHER)
    await found_and_repaired(domain, ("calls-of-none", 0), ("calls-of-none", 0))
    for room_id in (waiting.room.room_id, unknown):
        assert await noted(domain, room_id) == NotedCalls()


async def test_an_approval_that_is_not_noted_is_found(domain: Domain) -> None:
    waiting = await Waiting.begin(domain, "once")
    await waiting.approve()
    sql(domain, "DELETE FROM approved_calls WHERE room_id = ?", waiting.raw)
    await found_and_repaired(domain, ("approval-lost", 2))
    assert await noted(domain, waiting.room.room_id) == NotedCalls({}, {waiting.call.digest})


async def test_approvals_that_nobody_gave_are_found(domain: Domain) -> None:
    waiting = await Waiting.begin(domain, "once")
    others = [OTHER, OTHER.replace("a", "b", 2)]
    for digest in others:
        sql(domain, "INSERT INTO approved_calls VALUES (?, ?)", waiting.raw, digest)
    await found_and_repaired(domain, *[("approval-unfounded", 0)] * 2)
    assert await waiting.listed()
    assert (await noted(domain, waiting.room.room_id)).approved == set()


async def test_an_approval_outlives_its_message(domain: Domain) -> None:
    waiting = await Waiting.begin(domain, "once")
    await waiting.approve()
    await domain.delete_message(waiting.room, waiting.message_id)
    await domain.write_all()
    assert (await noted(domain, waiting.room.room_id)).approved == {waiting.call.digest}
    assert kinds(await check(domain)) == []


async def test_an_approval_outlives_a_reply_that_began_anew(domain: Domain) -> None:
    waiting = await Waiting.begin(domain, "once")
    await waiting.approve()
    await domain.regenerate(waiting.room, waiting.message_id)
    await passed(domain)
    await finished(domain, waiting.room, "Another.")
    await domain.write_all()
    assert kinds(await check(domain)) == []


async def test_a_note_that_comes_too_late_changes_nothing(domain: Domain) -> None:
    """The reply is decided about between the look and the repair: its next version is what counts."""
    waiting = await Waiting.begin(domain)
    sql(domain, "DELETE FROM waiting_replies WHERE room_id = ?", waiting.raw)
    (finding,) = (await check(domain)).findings
    assert isinstance(finding.remedy, NoteCalls)
    await waiting.approve()
    notes, remedy = CallNotes(domain.store), finding.remedy
    await notes.note(SHARD, CallNote(waiting.room.room_id, remedy.seq, remedy.version, int(remedy.waits)))
    assert await noted(domain, waiting.room.room_id) == NotedCalls()
