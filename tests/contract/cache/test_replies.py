"""start_attempt, append_delta, complete_reply, renew_reply: a reply is written once, in order, and ends once."""

from __future__ import annotations

import pytest

from parlor.errors import IllegalTransition
from parlor.states import MessageState
from tests.contract.cache.world import NOW, World

pytestmark = pytest.mark.contract


async def test_deltas_are_contiguous_in_characters(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    reply = await world.start(address, turn)
    pieces, offset = ["Hé", "llo ", "wörld 🎉", "", "!"], 0
    for piece in pieces:
        await world.rooms.append_delta(address, "claim-1", reply, 1, offset, piece)
        offset += len(piece)
    deltas = [event for event in await world.events(address) if event[b"type"] == b"message.delta"]
    assert [(event[b"offset"], event[b"text"].decode()) for event in deltas] == [
        (b"0", "Hé"),
        (b"2", "llo "),
        (b"6", "wörld 🎉"),
        (b"13", "!"),
    ]
    page = await world.page(address)
    assert (page.live_message, page.live_attempt, page.live_text) == (reply, 1, "".join(pieces))


async def test_a_duplicate_piece_is_ignored(world: World) -> None:
    address = await world.claimed()
    reply = await world.start(address, await world.send(address, 0))
    await world.rooms.append_delta(address, "claim-1", reply, 1, 0, "Hello")
    before = await world.dump()
    for offset in (0, 2, 4):
        await world.rooms.append_delta(address, "claim-1", reply, 1, offset, "lo")
    assert await world.dump() == before


async def test_a_piece_behind_a_hole_is_refused(world: World) -> None:
    address = await world.claimed()
    reply = await world.start(address, await world.send(address, 0))
    await world.rooms.append_delta(address, "claim-1", reply, 1, 0, "Hello")
    before = await world.dump()
    with pytest.raises(IllegalTransition):
        await world.rooms.append_delta(address, "claim-1", reply, 1, 6, "!")
    assert await world.dump() == before


@pytest.mark.parametrize("attempt", [1, 3])
async def test_a_piece_of_another_attempt_is_refused(world: World, attempt: int) -> None:
    address = await world.claimed()
    reply = await world.start(address, await world.send(address, 0), attempt=2)
    before = await world.dump()
    with pytest.raises(IllegalTransition):
        await world.rooms.append_delta(address, "claim-1", reply, attempt, 0, "x")
    assert await world.dump() == before


async def test_a_piece_of_another_reply_is_refused(world: World) -> None:
    address = await world.claimed()
    first, second = await world.send(address, 0), await world.send(address, 2)
    await world.start(address, first)
    assert second.reply_id is not None
    with pytest.raises(IllegalTransition):
        await world.rooms.append_delta(address, "claim-1", second.reply_id, 1, 0, "x")


async def test_a_new_attempt_tells_readers_to_forget_the_text(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    reply = await world.start(address, turn)
    await world.rooms.append_delta(address, "claim-1", reply, 1, 0, "Lost")
    await world.start(address, turn, attempt=2)
    page = await world.page(address)
    assert (page.live_attempt, page.live_text) == (2, "")
    await world.rooms.append_delta(address, "claim-1", reply, 2, 0, "New")
    page = await world.page(address)
    assert (page.live_attempt, page.live_text) == (2, "New")
    assert (await world.event_types(address))[2:] == ["message.delta", "message.reset", "message.delta"]


async def test_the_first_attempt_resets_nothing(world: World) -> None:
    address = await world.claimed()
    await world.start(address, await world.send(address, 0))
    assert "message.reset" not in await world.event_types(address)


async def test_an_attempt_that_comes_late_does_not_take_over(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.start(address, turn, attempt=2)
    before = await world.dump()
    with pytest.raises(IllegalTransition):
        await world.start(address, turn, attempt=1)
    assert await world.dump() == before


async def test_an_attempt_at_a_reply_that_has_ended_is_refused(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.start(address, turn)
    await world.complete(address, turn)
    before = await world.dump()
    with pytest.raises(IllegalTransition):
        await world.start(address, turn, attempt=2)
    assert await world.dump() == before


async def test_an_attempt_at_a_message_that_redis_does_not_know_is_refused(world: World) -> None:
    address = await world.claimed()
    with pytest.raises(IllegalTransition):
        await world.rooms.start_attempt(address, "claim-1", world.message_id(), 9, 1)


async def test_a_long_reply_is_whole_after_its_log_was_cut(world: World) -> None:
    world.live.twice = False
    address = await world.claimed()
    reply = await world.start(address, await world.send(address, 0))
    for number in range(world.settings.cache.events_per_room + 5):
        await world.rooms.append_delta(address, "claim-1", reply, 1, number, str(number % 10))
    assert await world.redis.xlen(world.key("events", address)) <= world.settings.cache.events_per_room
    expected = "".join(str(number % 10) for number in range(world.settings.cache.events_per_room + 5))
    assert (await world.page(address)).live_text == expected


async def test_a_reply_ends_as_pending_queued_and_told(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    reply = await world.start(address, turn)
    await world.rooms.append_delta(address, "claim-1", reply, 1, 0, "Hi")
    world.clock.now += 20
    doc = await world.complete(address, turn)
    found = await world.states.message_state(address.room_id, 2)
    assert found is not None
    assert found[0] is MessageState.PENDING
    assert [(step.from_state, step.to_state, step.by) for step in found[1]] == [("COMPOSING", "PENDING", "room")]
    assert await world.states.message_doc(address.room_id, 2) == doc
    entry = (await world.queued())[-1]
    assert (entry.op, entry.seq, entry.doc, entry.final, entry.last_seq, entry.count) == (
        "CHAT_MESSAGE_SAVE",
        2,
        doc,
        True,
        2,
        2,
    )
    last = (await world.events(address))[-1]
    assert (last[b"type"], last[b"state"]) == (b"message.completed", b"PENDING")
    page = await world.page(address)
    assert (page.live_message, page.live_text) == ("", "")
    assert (await world.room(address)).room.last_message_at == NOW + 20
    assert await world.redis.zcard(world.keys.generating(world.partition)) == 0
    assert not await world.redis.exists(world.key("draft", address), world.key("open", address))


async def test_a_reply_ends_once(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.start(address, turn)
    await world.complete(address, turn, "First")
    before = await world.dump()
    world.clock.now += 1
    await world.complete(address, turn, "Second")
    assert await world.dump() == before


async def test_the_end_of_a_deleted_reply_is_refused(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.start(address, turn)
    doc = world.ending(turn)
    await world.states.delete_message(address, "claim-1", 2, doc, stored=False, by="account")
    before = await world.dump()
    with pytest.raises(IllegalTransition):
        await world.complete(address, turn)
    assert await world.dump() == before


async def test_the_end_of_a_reply_that_never_began_leaves_the_live_one_alone(world: World) -> None:
    address = await world.claimed()
    first, second = await world.send(address, 0), await world.send(address, 2)
    reply = await world.start(address, first)
    await world.rooms.append_delta(address, "claim-1", reply, 1, 0, "Still")
    await world.complete(address, second)
    await world.rooms.append_delta(address, "claim-1", reply, 1, 5, " here")
    assert (await world.page(address)).live_text == "Still here"


async def test_a_room_stays_listed_until_its_last_reply_has_ended(world: World) -> None:
    address = await world.claimed()
    turns = [await world.send(address, 0), await world.send(address, 2)]
    generating = world.keys.generating(world.partition)
    await world.start(address, turns[0])
    await world.complete(address, turns[0])
    assert await world.redis.zcard(generating) == 1
    await world.start(address, turns[1])
    await world.complete(address, turns[1])
    assert await world.redis.zcard(generating) == 0


async def test_a_sign_of_life_moves_the_deadline_and_keeps_the_log(world: World) -> None:
    address = await world.claimed()
    await world.start(address, await world.send(address, 0))
    await world.redis.pexpire(world.key("events", address), 10_000)
    world.clock.now += 5001
    assert await world.reader.overdue_rooms(world.partition, 10) == [address.room_id]
    await world.rooms.renew_reply(address, "claim-1")
    assert await world.reader.overdue_rooms(world.partition, 10) == []
    assert await world.redis.pttl(world.key("events", address)) > 100_000


async def test_a_sign_of_life_that_comes_after_the_end_lists_nothing(world: World) -> None:
    address = await world.claimed()
    turn = await world.send(address, 0)
    await world.start(address, turn)
    await world.complete(address, turn)
    await world.rooms.renew_reply(address, "claim-1")
    world.clock.now += 60_000
    assert await world.reader.overdue_rooms(world.partition, 10) == []


@pytest.mark.parametrize(("behind_ms", "overdue"), [(9_000, False), (3_600_000, True)])
async def test_a_deadline_that_a_wrong_clock_set_is_not_waited_for(world: World, behind_ms: int, overdue: bool) -> None:
    address = await world.claimed()
    await world.start(address, await world.send(address, 0))
    world.clock.now -= behind_ms
    assert await world.reader.overdue_rooms(world.partition, 10) == [address.room_id] * overdue
    await world.rooms.renew_reply(address, "claim-1")
    assert await world.reader.overdue_rooms(world.partition, 10) == []


async def test_overdue_rooms_come_oldest_first_and_not_too_many(world: World) -> None:
    rooms = []
    for _ in range(4):
        address = await world.claimed()
        await world.send(address, 0)
        rooms.append(address.room_id)
        world.clock.now += 10
    world.clock.now += 10_000
    assert await world.reader.overdue_rooms(world.partition, 3) == rooms[:3]
