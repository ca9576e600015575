"""start_attempt, append_delta, complete_reply, renew_reply: a reply is written once, in order, and ends once."""

from __future__ import annotations

import json

import pytest

from parlor.cache.changes import Opening, Piece
from parlor.cache.events import EventLog
from parlor.errors import IllegalTransition
from parlor.model.parts import OPEN, Layout, Part, ReasoningPart, ReasoningSpan, TextPart, TextSpan
from parlor.model.states import MessageState
from tests.contract.cache.fixtures import CLAIM_1, NOW, CacheFixtures, plain

pytestmark = pytest.mark.contract


async def test_deltas_are_contiguous_in_characters(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    reply = await fixtures.start(address, turn)
    pieces, offset = ["Hé", "llo ", "wörld 🎉", "", "!"], 0
    for piece in pieces:
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(offset, piece))
        offset += len(piece)
    deltas = [event for event in await fixtures.events(address) if event[b"type"] == b"message.delta"]
    assert [(event[b"offset"], event[b"text"].decode()) for event in deltas] == [
        (b"0", "Hé"),
        (b"2", "llo "),
        (b"6", "wörld 🎉"),
        (b"13", "!"),
    ]
    page = await fixtures.page(address)
    assert (page.live_message, page.live_attempt, page.live.content) == (reply, 1, "".join(pieces))


async def test_a_duplicate_piece_is_ignored(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    reply = await fixtures.start(address, await fixtures.send(address, 0))
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "Hello"))
    before = await fixtures.dump()
    for offset in (0, 2, 4):
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(offset, "lo"))
    assert await fixtures.dump() == before


async def test_a_piece_behind_a_hole_is_refused(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    reply = await fixtures.start(address, await fixtures.send(address, 0))
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "Hello"))
    before = await fixtures.dump()
    with pytest.raises(IllegalTransition):
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(6, "!"))
    assert await fixtures.dump() == before


@pytest.mark.parametrize("attempt", [1, 3])
async def test_a_piece_of_another_attempt_is_refused(fixtures: CacheFixtures, attempt: int) -> None:
    address = await fixtures.claimed()
    reply = await fixtures.start(address, await fixtures.send(address, 0), attempt=2)
    before = await fixtures.dump()
    with pytest.raises(IllegalTransition):
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, attempt, plain(0, "x"))
    assert await fixtures.dump() == before


async def test_a_piece_of_another_reply_is_refused(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first, second = await fixtures.send(address, 0), await fixtures.send(address, 2)
    await fixtures.start(address, first)
    assert second.reply_id is not None
    with pytest.raises(IllegalTransition):
        await fixtures.rooms.append_delta(address, CLAIM_1, second.reply_id, 1, plain(0, "x"))


async def test_a_new_attempt_tells_readers_to_forget_the_text(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    reply = await fixtures.start(address, turn)
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "Lost"))
    await fixtures.start(address, turn, attempt=2)
    page = await fixtures.page(address)
    assert (page.live_attempt, page.live.content) == (2, "")
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 2, plain(0, "New"))
    page = await fixtures.page(address)
    assert (page.live_attempt, page.live.content) == (2, "New")
    assert (await fixtures.event_types(address))[2:] == ["message.delta", "message.reset", "message.delta"]


async def test_an_attempt_may_begin_with_text_that_is_kept(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    reply = await fixtures.start(address, turn)
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "Lost"))
    kept = "Hé 🎉 "
    for attempt in (2, 3):
        await fixtures.rooms.start_attempt(
            address, CLAIM_1, reply, turn.seq + 1, attempt, Opening(kept, None, [TextPart(kept)])
        )
        page = await fixtures.page(address)
        assert (page.live_attempt, page.live.content) == (attempt, kept)
        with pytest.raises(IllegalTransition):
            await fixtures.rooms.append_delta(address, CLAIM_1, reply, attempt, plain(len(kept) + 1, "hole"))
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, attempt, plain(len(kept), "on"))
    assert (await fixtures.page(address)).live.content == f"{kept}on"
    told = [(event[b"type"].decode(), event.get(b"offset")) for event in (await fixtures.events(address))[3:]]
    assert told == [("message.reset", None), ("message.delta", b"0"), ("message.delta", b"5")] * 2


THOUGHT = ReasoningPart("h\u00e9 \U0001f914", 70)


async def test_reasoning_and_text_are_written_part_by_part(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    reply = await fixtures.start(address, await fixtures.send(address, 0))
    layouts: list[Layout] = [(ReasoningSpan(OPEN),), (ReasoningSpan(4, 70), TextSpan(OPEN))]
    pieces = [
        Piece(0, True, 0, 0, "h\u00e9", layouts[0]),
        Piece(0, True, 2, 2, " \U0001f914"),
        Piece(1, False, 0, 4, "So", layouts[1], THOUGHT),
        Piece(1, False, 2, 6, "!"),
    ]
    shown: list[list[Part]] = []
    for piece in pieces:
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, piece)
        shown.append((await fixtures.page(address)).live.shown)
    thinks = ReasoningPart("h\u00e9"), ReasoningPart("h\u00e9 \U0001f914")
    assert shown == [[thinks[0]], [thinks[1]], [THOUGHT, TextPart("So")], [THOUGHT, TextPart("So!")]]
    before = await fixtures.dump()
    for piece in pieces:
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, piece)
    assert await fixtures.dump() == before, "each is written once"
    told = [
        (event[b"type"].decode(), event[b"index"], event.get(b"offset"))
        for event in (await fixtures.events(address))[2:]
    ]
    assert told == [
        ("message.reasoning", b"0", b"0"),
        ("message.reasoning", b"0", b"2"),
        ("message.part", b"0", None),
        ("message.delta", b"1", b"0"),
        ("message.delta", b"1", b"2"),
    ]


async def test_an_attempt_begins_with_every_part_that_is_kept(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    reply = await fixtures.start(address, turn)
    parts: list[Part] = [THOUGHT, TextPart("So"), THOUGHT, TextPart("on")]
    layout = (ReasoningSpan(4, 70), TextSpan(2), ReasoningSpan(4, 70), TextSpan(OPEN))
    opening = Opening(f"{THOUGHT.text}So{THOUGHT.text}on", layout, parts)
    await fixtures.rooms.start_attempt(address, CLAIM_1, reply, turn.seq + 1, 2, opening)
    live = (await fixtures.page(address)).live
    assert (live.content, live.shown) == ("Soon", parts)
    log = EventLog(fixtures.live)
    entries = (await log.entries(fixtures.key("events", address), "0-0"))[2:]
    read = [await log.room_event(address.room_id, entry) for entry in entries]
    whole = {"type": "reasoning", "text": THOUGHT.text, "duration_ms": 70}
    about = {"message_id": reply, "attempt": 2}
    assert [(event.type, json.loads(event.data)) for event in read if event is not None] == [
        ("message.reset", about),
        ("message.part", {**about, "index": 0, "part": whole}),
        ("message.delta", {**about, "index": 1, "offset": 0, "text": "So"}),
        ("message.part", {**about, "index": 2, "part": whole}),
        ("message.delta", {**about, "index": 3, "offset": 2, "text": "on"}),
    ]
    await fixtures.rooms.start_attempt(address, CLAIM_1, reply, turn.seq + 1, 3)
    live = (await fixtures.page(address)).live
    assert (live.content, live.parts) == ("", None), "nothing of it is left"


async def test_the_first_attempt_resets_nothing(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.start(address, await fixtures.send(address, 0))
    assert "message.reset" not in await fixtures.event_types(address)


async def test_an_attempt_that_comes_late_does_not_take_over(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.start(address, turn, attempt=2)
    before = await fixtures.dump()
    with pytest.raises(IllegalTransition):
        await fixtures.start(address, turn, attempt=1)
    assert await fixtures.dump() == before


async def test_an_attempt_at_a_reply_that_has_ended_is_refused(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.start(address, turn)
    await fixtures.complete(address, turn)
    before = await fixtures.dump()
    with pytest.raises(IllegalTransition):
        await fixtures.start(address, turn, attempt=2)
    assert await fixtures.dump() == before


async def test_an_attempt_at_a_message_that_redis_does_not_know_is_refused(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    with pytest.raises(IllegalTransition):
        await fixtures.rooms.start_attempt(address, CLAIM_1, fixtures.message_id(), 9, 1)


async def test_a_long_reply_is_whole_after_its_log_was_cut(fixtures: CacheFixtures) -> None:
    fixtures.live.twice = False
    address = await fixtures.claimed()
    reply = await fixtures.start(address, await fixtures.send(address, 0))
    for number in range(fixtures.settings.cache.events_per_room + 5):
        await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(number, str(number % 10)))
    assert await fixtures.redis.xlen(fixtures.key("events", address)) <= fixtures.settings.cache.events_per_room
    expected = "".join(str(number % 10) for number in range(fixtures.settings.cache.events_per_room + 5))
    assert (await fixtures.page(address)).live.content == expected


async def test_a_reply_ends_as_pending_queued_and_told(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    reply = await fixtures.start(address, turn)
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "Hi"))
    fixtures.clock.ms += 20
    doc = await fixtures.complete(address, turn)
    found = await fixtures.states.message_state(address.room_id, 2)
    assert found is not None
    assert found[0] is MessageState.PENDING
    assert [(step.from_state, step.to_state, step.by) for step in found[1]] == [("COMPOSING", "PENDING", "room")]
    assert await fixtures.states.message_doc(address.room_id, 2) == doc
    entry = (await fixtures.queued())[-1]
    assert (entry.op, entry.seq, entry.doc, entry.final, entry.last_seq, entry.count) == (
        "CHAT_MESSAGE_SAVE",
        2,
        doc,
        True,
        2,
        2,
    )
    last = (await fixtures.events(address))[-1]
    assert (last[b"type"], last[b"state"]) == (b"message.completed", b"PENDING")
    page = await fixtures.page(address)
    assert (page.live_message, page.live.content) == ("", "")
    assert (await fixtures.room(address)).room.last_message_at == NOW + 20
    assert await fixtures.redis.zcard(fixtures.keys.generating(fixtures.partition)) == 0
    assert not await fixtures.redis.exists(fixtures.key("draft", address), fixtures.key("open", address))


async def test_a_reply_ends_once(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.start(address, turn)
    await fixtures.complete(address, turn, "First")
    before = await fixtures.dump()
    fixtures.clock.ms += 1
    await fixtures.complete(address, turn, "Second")
    assert await fixtures.dump() == before


async def test_the_end_of_a_deleted_reply_is_refused(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.start(address, turn)
    doc = fixtures.ending(turn)
    await fixtures.states.delete_message(address, CLAIM_1, 2, doc, stored=False, by="account")
    before = await fixtures.dump()
    with pytest.raises(IllegalTransition):
        await fixtures.complete(address, turn)
    assert await fixtures.dump() == before


async def test_the_end_of_a_reply_that_never_began_leaves_the_live_one_alone(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    first, second = await fixtures.send(address, 0), await fixtures.send(address, 2)
    reply = await fixtures.start(address, first)
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(0, "Still"))
    await fixtures.complete(address, second)
    await fixtures.rooms.append_delta(address, CLAIM_1, reply, 1, plain(5, " here"))
    assert (await fixtures.page(address)).live.content == "Still here"


async def test_a_room_stays_listed_until_its_last_reply_has_ended(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turns = [await fixtures.send(address, 0), await fixtures.send(address, 2)]
    generating = fixtures.keys.generating(fixtures.partition)
    await fixtures.start(address, turns[0])
    await fixtures.complete(address, turns[0])
    assert await fixtures.redis.zcard(generating) == 1
    await fixtures.start(address, turns[1])
    await fixtures.complete(address, turns[1])
    assert await fixtures.redis.zcard(generating) == 0


async def test_a_sign_of_life_moves_the_deadline_and_keeps_the_log(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    await fixtures.start(address, await fixtures.send(address, 0))
    await fixtures.redis.pexpire(fixtures.key("events", address), 10_000)
    fixtures.clock.ms += 5001
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == [address.room_id]
    await fixtures.rooms.renew_reply(address, CLAIM_1)
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == []
    assert await fixtures.redis.pttl(fixtures.key("events", address)) > 100_000


async def test_a_sign_of_life_that_comes_after_the_end_lists_nothing(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.start(address, turn)
    await fixtures.complete(address, turn)
    await fixtures.rooms.renew_reply(address, CLAIM_1)
    fixtures.clock.ms += 60_000
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == []


@pytest.mark.parametrize(("behind_ms", "overdue"), [(9_000, False), (3_600_000, True)])
async def test_a_deadline_that_a_wrong_clock_set_is_not_waited_for(
    fixtures: CacheFixtures, behind_ms: int, overdue: bool
) -> None:
    address = await fixtures.claimed()
    await fixtures.start(address, await fixtures.send(address, 0))
    fixtures.clock.ms -= behind_ms
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == [address.room_id] * overdue
    await fixtures.rooms.renew_reply(address, CLAIM_1)
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 10) == []


async def test_overdue_rooms_come_oldest_first_and_not_too_many(fixtures: CacheFixtures) -> None:
    rooms = []
    for _ in range(4):
        address = await fixtures.claimed()
        await fixtures.send(address, 0)
        rooms.append(address.room_id)
        fixtures.clock.ms += 10
    fixtures.clock.ms += 10_000
    assert await fixtures.reader.overdue_rooms(fixtures.partition, 3) == rooms[:3]
