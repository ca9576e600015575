"""regenerate_reply, edit_message, and what makes way in append_turn: what was said is kept, once, in one step."""

from __future__ import annotations

import pytest
from msgspec import structs

from parlor.cache.changes import Appended, Change, Revised, Unwanted
from parlor.cache.live import RoomAddress
from parlor.errors import Fenced, IllegalTransition, OutOfStep, Overloaded, RoomBusy
from parlor.model.messages import MessageDoc, SenderType, ended_version, reserved_version
from parlor.model.states import MessageState
from tests.contract.cache.fixtures import CLAIM_1, CLAIM_2, CacheFixtures

pytestmark = pytest.mark.contract


async def change(fixtures: CacheFixtures, address: RoomAddress, seq: int) -> Change:
    """The next version of what is at this place."""
    past = await fixtures.states.message_doc(address.room_id, seq)
    assert past is not None
    if past.sender_type is SenderType.USER:
        return Change(seq, past, structs.replace(past, content="edited", version=past.version + 1))
    attempt = max(1, past.attempt) + 1
    doc = structs.replace(past, content="", version=reserved_version(attempt), attempt=attempt, finish_reason=None)
    return Change(seq, past, doc)


async def ended(fixtures: CacheFixtures, address: RoomAddress) -> Appended:
    """One turn that has ended."""
    turn = await fixtures.send(address, 0)
    await fixtures.start(address, turn)
    await fixtures.complete(address, turn, "One")
    return turn


async def finish(fixtures: CacheFixtures, address: RoomAddress, begun: Change, text: str) -> MessageDoc:
    doc = structs.replace(begun.doc, content=text, version=ended_version(begun.doc.attempt))
    await fixtures.rooms.start_attempt(address, CLAIM_1, doc.message_id, begun.seq, doc.attempt)
    await fixtures.rooms.complete_reply(address, CLAIM_1, begun.seq, doc, "message.completed")
    return doc


def tombstone(doc: MessageDoc) -> MessageDoc:
    return structs.replace(doc, content="")


# Regenerate


async def test_a_reply_is_open_again_and_what_it_said_is_kept(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await ended(fixtures, address)
    begun = await change(fixtures, address, 2)
    assert (await fixtures.revisions.regenerate(address, CLAIM_1, "n1", begun)).done
    assert await fixtures.state(address, 2) is MessageState.COMPOSING
    assert [doc.content for doc in await fixtures.reader.versions(address.room_id, 2)] == ["One"]
    claimed = await fixtures.claim(address.room_id, CLAIM_2)
    assert claimed is not None
    assert claimed.open_replies == [begun.doc.message_id]
    entry = (await fixtures.queued())[-1]
    assert (entry.final, entry.doc, entry.past) == (False, begun.doc, begun.past)
    assert (await fixtures.event_types(address))[-1] == "message.updated"


async def test_a_slot_that_is_open_again_says_what_is_kept(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await ended(fixtures, address)
    begun = await change(fixtures, address, 2)
    begun = structs.replace(begun, doc=structs.replace(begun.doc, content="One"))
    assert await fixtures.revisions.revised_by(address, 2, "n1") is None
    assert (await fixtures.revisions.regenerate(address, CLAIM_1, "n1", begun)).done
    assert await fixtures.revisions.revised_by(address, 2, "n1") == Revised(False, False)
    assert await fixtures.revisions.revised_by(address, 2, "n") is None
    (row,) = [row for row in (await fixtures.page(address)).rows if row.seq == 2]
    assert (row.state, row.doc) == (MessageState.COMPOSING, begun.doc)
    assert [doc.content for doc in await fixtures.reader.versions(address.room_id, 2)] == ["One"]


async def test_each_attempt_is_kept_once(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await ended(fixtures, address)
    for text in ("Two", "Three"):
        begun = await change(fixtures, address, 2)
        assert await fixtures.revisions.regenerate(address, CLAIM_1, text, begun) == Revised(True, False)
        assert await fixtures.revisions.regenerate(address, CLAIM_1, text, begun) == Revised(False, False)
        await finish(fixtures, address, begun, text)
    assert [doc.content for doc in await fixtures.reader.versions(address.room_id, 2)] == ["One", "Two"]
    assert [entry.recount for entry in await fixtures.queued() if entry.seq == 2 and entry.final] == [False, True, True]


async def test_an_earlier_attempt_ends_and_settles_nothing(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await ended(fixtures, address)
    begun = await change(fixtures, address, 2)
    await fixtures.revisions.regenerate(address, CLAIM_1, "n1", begun)
    await fixtures.complete(address, turn, "a copy that the network held back")
    assert await fixtures.state(address, 2) is MessageState.COMPOSING
    with pytest.raises(IllegalTransition):
        await fixtures.start(address, turn, attempt=1)
    await fixtures.stored(address)
    assert await fixtures.state(address, 2) is MessageState.COMPOSING
    await finish(fixtures, address, begun, "Two")
    await fixtures.stored(address)
    assert await fixtures.state(address, 2) is MessageState.SENT


async def test_a_reply_that_is_being_written_is_not_regenerated(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.start(address, turn)
    before = await fixtures.dump()
    with pytest.raises(RoomBusy):
        await fixtures.revisions.regenerate(address, CLAIM_1, "n1", await change(fixtures, address, 2))
    assert await fixtures.dump() == before


async def test_a_reply_behind_which_somebody_wrote_is_not_regenerated(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await ended(fixtures, address)
    await fixtures.send(address, 2, reply=False)
    before = await fixtures.dump()
    with pytest.raises(IllegalTransition) as refused:
        await fixtures.revisions.regenerate(address, CLAIM_1, "n1", await change(fixtures, address, 2))
    assert refused.value.extra == {"from": "PENDING", "to": "COMPOSING"}
    assert await fixtures.dump() == before


async def test_what_was_read_before_another_change_is_refused(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await ended(fixtures, address)
    old = await change(fixtures, address, 2)
    await fixtures.revisions.regenerate(address, CLAIM_1, "n1", old)
    await finish(fixtures, address, old, "Two")
    before = await fixtures.dump()
    with pytest.raises(OutOfStep):
        await fixtures.revisions.regenerate(address, CLAIM_1, "n2", old)
    assert await fixtures.dump() == before


async def test_a_stale_owner_regenerates_and_edits_nothing(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await ended(fixtures, address)
    await fixtures.claim(address.room_id, CLAIM_2)
    before = await fixtures.dump()
    with pytest.raises(Fenced):
        await fixtures.revisions.regenerate(address, CLAIM_1, "n1", await change(fixtures, address, 2))
    with pytest.raises(Fenced):
        await fixtures.revisions.edit(address, CLAIM_1, "n2", await change(fixtures, address, 1), None, waits=False)
    assert await fixtures.dump() == before


async def test_a_full_queue_refuses_both(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await ended(fixtures, address)
    after, fixtures.live.twice = 2, False
    while True:
        try:
            await fixtures.send(address, after, reply=False)
        except Overloaded:
            break
        after += 1
    for seq in range(3, after + 1):
        await fixtures.redis.hset(fixtures.key("states", address), f"s:{seq}", "DELETED")
    fixtures.live.twice = True
    before = await fixtures.dump()
    with pytest.raises(Overloaded):
        await fixtures.revisions.regenerate(address, CLAIM_1, "n1", await change(fixtures, address, 2))
    with pytest.raises(Overloaded):
        await fixtures.revisions.edit(
            address,
            CLAIM_1,
            "n2",
            await change(fixtures, address, 1),
            await change(fixtures, address, 2),
            waits=False,
        )
    assert await fixtures.dump() == before


async def test_a_deleted_reply_leaves_no_version(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await ended(fixtures, address)
    begun = await change(fixtures, address, 2)
    await fixtures.revisions.regenerate(address, CLAIM_1, "n1", begun)
    await finish(fixtures, address, begun, "Two")
    await fixtures.states.delete_message(address, CLAIM_1, 2, begun.doc, stored=False, by="account")
    assert await fixtures.reader.versions(address.room_id, 2) == []
    assert not any(b"One" in value for value in (await fixtures.hash("messages", address)).values())


# Edit


async def test_message_and_reply_change_together(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await ended(fixtures, address)
    question, reply = await change(fixtures, address, 1), await change(fixtures, address, 2)
    last_event = (await fixtures.hash("room", address))[b"event"].decode()
    edited = await fixtures.revisions.edit(address, CLAIM_1, "n1", question, reply, waits=False)
    assert edited == Revised(True, False, last_event)
    assert [await fixtures.state(address, seq) for seq in (1, 2)] == [MessageState.PENDING, MessageState.COMPOSING]
    assert [doc.content for doc in await fixtures.reader.versions(address.room_id, 1)] == ["Hello"]
    assert [doc.content for doc in await fixtures.reader.versions(address.room_id, 2)] == ["One"]
    again = await fixtures.revisions.edit(address, CLAIM_1, "n1", question, reply, waits=False)
    assert again == Revised(False, False, last_event)


async def test_an_edit_is_settled_by_its_own_commit_only(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.send(address, 0, reply=False)
    old = await fixtures.queued()
    await fixtures.revisions.edit(address, CLAIM_1, "n1", await change(fixtures, address, 1), None, waits=False)
    await fixtures.begin(address, old)
    await fixtures.finish(address, old)
    assert await fixtures.state(address, 1) is not MessageState.SENT
    await fixtures.stored(address)
    assert await fixtures.state(address, 1) is MessageState.SENT


async def test_a_waiting_message_is_edited_and_its_reply_waits_on(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first, second = await fixtures.send(address, 0), await fixtures.send(address, 2)
    await fixtures.start(address, first)
    await fixtures.revisions.edit(address, CLAIM_1, "n1", await change(fixtures, address, 3), None, waits=True)
    assert await fixtures.reader.waiting_replies(address.room_id) == [4]
    await fixtures.complete(address, first)
    await fixtures.start(address, second)
    before = await fixtures.dump()
    with pytest.raises(RoomBusy):
        await fixtures.revisions.edit(address, CLAIM_1, "n2", await change(fixtures, address, 3), None, waits=True)
    assert await fixtures.dump() == before


async def test_an_edit_behind_which_somebody_wrote_is_refused(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await ended(fixtures, address)
    await fixtures.send(address, 2, reply=False)
    with pytest.raises(IllegalTransition):
        await fixtures.revisions.edit(
            address,
            CLAIM_1,
            "n1",
            await change(fixtures, address, 1),
            await change(fixtures, address, 2),
            waits=False,
        )


# Making way


async def test_what_makes_way_goes_with_the_turn_that_comes(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first, second = await fixtures.send(address, 0), await fixtures.send(address, 2)
    await fixtures.start(address, first)
    waiting = await fixtures.states.message_doc(address.room_id, 4)
    assert waiting is not None
    assert second.reply_id is not None
    gone = Unwanted(4, tombstone(waiting), second.reply_id)
    turn = structs.replace(
        fixtures.turn(), unwanted=[gone], strict=True, stays=[first.reply_id] if first.reply_id else []
    )
    appended = await fixtures.rooms.append(address, CLAIM_1, 4, turn)
    assert appended.seq == 5
    assert await fixtures.state(address, 4) is MessageState.DELETED
    assert (await fixtures.room(address)).room.message_count == 5
    assert await fixtures.reader.waiting_replies(address.room_id) == [6]
    kinds = await fixtures.event_types(address)
    assert kinds[-3:] == ["message.deleted", "message.created", "message.created"]


async def test_a_turn_goes_whole_or_not_at_all(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await ended(fixtures, address)
    docs = [await fixtures.states.message_doc(address.room_id, seq) for seq in (2, 1)]
    assert turn.reply_id is not None
    gone = [Unwanted(seq, tombstone(doc), turn.reply_id) for seq, doc in zip((2, 1), docs, strict=True) if doc]
    await fixtures.rooms.append(address, CLAIM_1, 2, structs.replace(fixtures.turn(), unwanted=gone, strict=True))
    assert [await fixtures.state(address, seq) for seq in (1, 2)] == [MessageState.PENDING, MessageState.PENDING]


async def test_a_reply_that_nobody_expected_refuses_the_turn(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first = await fixtures.send(address, 0)
    await fixtures.start(address, first)
    before = await fixtures.dump()
    with pytest.raises(RoomBusy):
        await fixtures.rooms.append(address, CLAIM_1, 2, fixtures.turn(strict=True))
    assert await fixtures.dump() == before
