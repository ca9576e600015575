"""regenerate_reply, edit_message, and what makes way in append_turn: what was said is kept, once, in one step."""

from __future__ import annotations

import pytest
from msgspec import structs

from parlor.cache.live import RoomAddress
from parlor.cache.rooms import Appended, Change, Unwanted
from parlor.errors import Fenced, IllegalTransition, OutOfStep, Overloaded, RoomBusy
from parlor.model import MessageDoc, SenderType, ended_version, reserved_version
from parlor.states import MessageState
from tests.contract.cache.world import World

pytestmark = pytest.mark.contract


async def change(world: World, address: RoomAddress, seq: int) -> Change:
    """The next version of what is at this place."""
    past = await world.states.message_doc(address.room_id, seq)
    assert past is not None
    if past.sender_type is SenderType.USER:
        return Change(seq, past, structs.replace(past, content="edited", version=past.version + 1))
    attempt = max(1, past.attempt) + 1
    doc = structs.replace(past, content="", version=reserved_version(attempt), attempt=attempt, finish_reason=None)
    return Change(seq, past, doc)


async def ended(world: World, address: RoomAddress) -> Appended:
    """One turn that has ended."""
    turn = await world.send(address, 0)
    await world.start(address, turn)
    await world.complete(address, turn, "One")
    return turn


async def finish(world: World, address: RoomAddress, begun: Change, text: str) -> MessageDoc:
    doc = structs.replace(begun.doc, content=text, version=ended_version(begun.doc.attempt))
    await world.rooms.start_attempt(address, "claim-1", doc.message_id, begun.seq, doc.attempt)
    await world.rooms.complete_reply(address, "claim-1", begun.seq, doc, "message.completed")
    return doc


def tombstone(doc: MessageDoc) -> MessageDoc:
    return structs.replace(doc, content="")


# Regenerate


async def test_a_reply_is_open_again_and_what_it_said_is_kept(world: World) -> None:
    address = await world.claimed()
    await ended(world, address)
    begun = await change(world, address, 2)
    assert await world.rooms.regenerate(address, "claim-1", "n1", begun)
    assert await world.state(address, 2) is MessageState.COMPOSING
    assert [doc.content for doc in await world.reader.versions(address.room_id, 2)] == ["One"]
    claimed = await world.rooms.claim(address.room_id, "claim-2")
    assert claimed is not None
    assert claimed.open_replies == [(begun.doc.message_id, 2)]
    entry = (await world.queued())[-1]
    assert (entry.final, entry.doc, entry.past) == (False, begun.doc, begun.past)
    assert (await world.event_types(address))[-1] == "message.updated"


async def test_each_attempt_is_kept_once(world: World) -> None:
    address = await world.claimed()
    await ended(world, address)
    for text in ("Two", "Three"):
        begun = await change(world, address, 2)
        assert await world.rooms.regenerate(address, "claim-1", text, begun)
        assert not await world.rooms.regenerate(address, "claim-1", text, begun)
        await finish(world, address, begun, text)
    assert [doc.content for doc in await world.reader.versions(address.room_id, 2)] == ["One", "Two"]
    assert [entry.recount for entry in await world.queued() if entry.seq == 2 and entry.final] == [False, True, True]


async def test_an_earlier_attempt_ends_and_settles_nothing(world: World) -> None:
    address = await world.claimed()
    turn = await ended(world, address)
    begun = await change(world, address, 2)
    await world.rooms.regenerate(address, "claim-1", "n1", begun)
    await world.complete(address, turn, "a copy that the network held back")
    assert await world.state(address, 2) is MessageState.COMPOSING
    with pytest.raises(IllegalTransition):
        await world.start(address, turn, attempt=1)
    await world.stored(address)
    assert await world.state(address, 2) is MessageState.COMPOSING
    await finish(world, address, begun, "Two")
    await world.stored(address)
    assert await world.state(address, 2) is MessageState.SENT


async def test_a_reply_that_is_being_written_is_not_regenerated(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.start(address, turn)
    before = await world.dump()
    with pytest.raises(RoomBusy):
        await world.rooms.regenerate(address, "claim-1", "n1", await change(world, address, 2))
    assert await world.dump() == before


async def test_a_reply_behind_which_somebody_wrote_is_not_regenerated(world: World) -> None:
    address = await world.claimed()
    await ended(world, address)
    await world.send(address, 2, reply=False)
    before = await world.dump()
    with pytest.raises(IllegalTransition) as refused:
        await world.rooms.regenerate(address, "claim-1", "n1", await change(world, address, 2))
    assert refused.value.extra == {"from": "PENDING", "to": "COMPOSING"}
    assert await world.dump() == before


async def test_what_was_read_before_another_change_is_refused(world: World) -> None:
    address = await world.claimed()
    await ended(world, address)
    old = await change(world, address, 2)
    await world.rooms.regenerate(address, "claim-1", "n1", old)
    await finish(world, address, old, "Two")
    before = await world.dump()
    with pytest.raises(OutOfStep):
        await world.rooms.regenerate(address, "claim-1", "n2", old)
    assert await world.dump() == before


async def test_a_stale_owner_regenerates_and_edits_nothing(world: World) -> None:
    address = await world.claimed()
    await ended(world, address)
    await world.rooms.claim(address.room_id, "claim-2")
    before = await world.dump()
    with pytest.raises(Fenced):
        await world.rooms.regenerate(address, "claim-1", "n1", await change(world, address, 2))
    with pytest.raises(Fenced):
        await world.rooms.edit(address, "claim-1", "n2", await change(world, address, 1), None, waits=False)
    assert await world.dump() == before


async def test_a_full_queue_refuses_both(world: World) -> None:
    address = await world.claimed()
    await ended(world, address)
    after, world.live.twice = 2, False
    while True:
        try:
            await world.send(address, after, reply=False)
        except Overloaded:
            break
        after += 1
    for seq in range(3, after + 1):
        await world.redis.hset(world.key("states", address), f"s:{seq}", "DELETED")
    world.live.twice = True
    before = await world.dump()
    with pytest.raises(Overloaded):
        await world.rooms.regenerate(address, "claim-1", "n1", await change(world, address, 2))
    with pytest.raises(Overloaded):
        await world.rooms.edit(
            address, "claim-1", "n2", await change(world, address, 1), await change(world, address, 2), waits=False
        )
    assert await world.dump() == before


async def test_a_deleted_reply_leaves_no_version(world: World) -> None:
    address = await world.claimed()
    await ended(world, address)
    begun = await change(world, address, 2)
    await world.rooms.regenerate(address, "claim-1", "n1", begun)
    await finish(world, address, begun, "Two")
    await world.states.delete_message(address, "claim-1", 2, begun.doc, stored=False, by="account")
    assert await world.reader.versions(address.room_id, 2) == []
    assert not any(b"One" in value for value in (await world.hash("messages", address)).values())


# Edit


async def test_message_and_reply_change_together(world: World) -> None:
    address = await world.claimed()
    await ended(world, address)
    question, reply = await change(world, address, 1), await change(world, address, 2)
    last_event = (await world.hash("room", address))[b"event"].decode()
    done, cursor = await world.rooms.edit(address, "claim-1", "n1", question, reply, waits=False)
    assert (done, cursor) == (True, last_event)
    assert [await world.state(address, seq) for seq in (1, 2)] == [MessageState.PENDING, MessageState.COMPOSING]
    assert [doc.content for doc in await world.reader.versions(address.room_id, 1)] == ["Hello"]
    assert [doc.content for doc in await world.reader.versions(address.room_id, 2)] == ["One"]
    assert await world.rooms.edit(address, "claim-1", "n1", question, reply, waits=False) == (False, last_event)


async def test_an_edit_is_settled_by_its_own_commit_only(world: World) -> None:
    address = await world.claimed()
    await world.send(address, 0, reply=False)
    old = await world.queued()
    await world.rooms.edit(address, "claim-1", "n1", await change(world, address, 1), None, waits=False)
    await world.begin(address, old)
    await world.finish(address, old)
    assert await world.state(address, 1) is not MessageState.SENT
    await world.stored(address)
    assert await world.state(address, 1) is MessageState.SENT


async def test_a_waiting_message_is_edited_and_its_reply_waits_on(world: World) -> None:
    address = await world.claimed()
    first, second = await world.send(address, 0), await world.send(address, 2)
    await world.start(address, first)
    await world.rooms.edit(address, "claim-1", "n1", await change(world, address, 3), None, waits=True)
    assert await world.reader.waiting_replies(address.room_id) == [4]
    await world.complete(address, first)
    await world.start(address, second)
    before = await world.dump()
    with pytest.raises(RoomBusy):
        await world.rooms.edit(address, "claim-1", "n2", await change(world, address, 3), None, waits=True)
    assert await world.dump() == before


async def test_an_edit_behind_which_somebody_wrote_is_refused(world: World) -> None:
    address = await world.claimed()
    await ended(world, address)
    await world.send(address, 2, reply=False)
    with pytest.raises(IllegalTransition):
        await world.rooms.edit(
            address, "claim-1", "n1", await change(world, address, 1), await change(world, address, 2), waits=False
        )


# Making way


async def test_what_makes_way_goes_with_the_turn_that_comes(world: World) -> None:
    address = await world.claimed()
    first, second = await world.send(address, 0), await world.send(address, 2)
    await world.start(address, first)
    waiting = await world.states.message_doc(address.room_id, 4)
    assert waiting is not None
    assert second.reply_id is not None
    gone = Unwanted(4, tombstone(waiting), second.reply_id)
    turn = structs.replace(world.turn(), unwanted=[gone], strict=True, stays=[first.reply_id] if first.reply_id else [])
    appended = await world.rooms.append(address, "claim-1", 4, turn)
    assert appended.seq == 5
    assert await world.state(address, 4) is MessageState.DELETED
    assert (await world.room(address)).room.message_count == 5
    assert await world.reader.waiting_replies(address.room_id) == [6]
    kinds = await world.event_types(address)
    assert kinds[-3:] == ["message.deleted", "message.created", "message.created"]


async def test_a_turn_goes_whole_or_not_at_all(world: World) -> None:
    address = await world.claimed()
    turn = await ended(world, address)
    docs = [await world.states.message_doc(address.room_id, seq) for seq in (2, 1)]
    assert turn.reply_id is not None
    gone = [Unwanted(seq, tombstone(doc), turn.reply_id) for seq, doc in zip((2, 1), docs, strict=True) if doc]
    await world.rooms.append(address, "claim-1", 2, structs.replace(world.turn(), unwanted=gone, strict=True))
    assert [await world.state(address, seq) for seq in (1, 2)] == [MessageState.PENDING, MessageState.PENDING]


async def test_a_reply_that_nobody_expected_refuses_the_turn(world: World) -> None:
    address = await world.claimed()
    first = await world.send(address, 0)
    await world.start(address, first)
    before = await world.dump()
    with pytest.raises(RoomBusy):
        await world.rooms.append(address, "claim-1", 2, world.turn(strict=True))
    assert await world.dump() == before
