"""What was said in a deleted message is not handed out again, whichever way one asks (I20)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from parlor.cache.hub import EventHub
from parlor.errors import CacheUnavailable
from parlor.model.requests import OnBusy, ReplyMode, SendReceipt
from parlor.model.states import GONE_MESSAGES, MessageState
from parlor.reading.streams import EventStreams
from parlor.rooms.room import Room
from tests.unit.domain import HOME, Domain, settle
from tests.unit.stream_readers import Reader, of_room, reading

pytestmark = pytest.mark.unit

SECRET = "SECRET"
KEY = "key"


async def _question(domain: Domain, room: Room) -> SendReceipt:
    receipt = await domain.send(room, SECRET, key=KEY)
    await domain.answer(0, "answer")
    await domain.delete_message(room, receipt.message.message_id)
    return receipt


async def _message_without_reply(domain: Domain, room: Room) -> SendReceipt:
    receipt = await domain.send(room, SECRET, key=KEY, reply=ReplyMode.NONE)
    await domain.delete_message(room, receipt.message.message_id)
    return receipt


async def _reply(domain: Domain, room: Room) -> SendReceipt:
    receipt = await domain.send(room, "question", key=KEY)
    await domain.answer(0, SECRET)
    assert receipt.reply is not None
    await domain.delete_message(room, receipt.reply.message_id)
    return receipt


async def _reply_that_is_being_written(domain: Domain, room: Room) -> SendReceipt:
    receipt = await domain.send(room, "question", key=KEY)
    await settle()
    domain.model.talks[0].say(SECRET)
    await domain.clock.advance(0.1)
    assert receipt.reply is not None
    await domain.delete_message(room, receipt.reply.message_id)
    return receipt


async def _text_before_an_edit(domain: Domain, room: Room) -> SendReceipt:
    receipt = await domain.send(room, SECRET, key=KEY)
    await domain.answer(0, "answer")
    await domain.edit(room, receipt.message.message_id, "edited")
    await domain.answer(1, "answer")
    await domain.delete_message(room, receipt.message.message_id)
    return receipt


async def _attempt_before_a_regenerate(domain: Domain, room: Room) -> SendReceipt:
    receipt = await domain.send(room, "question", key=KEY)
    await domain.answer(0, SECRET)
    assert receipt.reply is not None
    await domain.regenerate(room, receipt.reply.message_id)
    await domain.answer(1, "again")
    await domain.delete_message(room, receipt.reply.message_id)
    return receipt


async def _turn_that_was_rolled_back(domain: Domain, room: Room) -> SendReceipt:
    receipt = await domain.send(room, SECRET, key=KEY)
    await settle()
    domain.model.talks[0].say(SECRET)
    await domain.clock.advance(0.1)
    await domain.send(room, "instead", on_busy=OnBusy.ROLLBACK)
    await domain.answer(1, "answer")
    return receipt


DELETED: list[Callable[[Domain, Room], Awaitable[SendReceipt]]] = [
    _question,
    _message_without_reply,
    _reply,
    _reply_that_is_being_written,
    _text_before_an_edit,
    _attempt_before_a_regenerate,
    _turn_that_was_rolled_back,
]


@pytest.fixture
def streams(domain: Domain) -> EventStreams:
    return domain.streams()


@pytest.mark.parametrize("log", ["short", "long", "long, states forgotten", "gone", "stored"])
@pytest.mark.parametrize("delete", DELETED, ids=[each.__name__.strip("_") for each in DELETED])
async def test_no_way_of_asking_gives_out_what_was_deleted(
    domain: Domain,
    streams: EventStreams,
    monkeypatch: pytest.MonkeyPatch,
    delete: Callable[[Domain, Room], Awaitable[SendReceipt]],
    log: str,
) -> None:
    room = await domain.opened()
    begin = (await domain.page(room.room_id)).cursor
    receipt = await delete(domain, room)
    await settle()
    last = await domain.say(room, "last")
    if log.startswith("long"):
        for module in ("events", "hub"):
            monkeypatch.setattr(f"parlor.cache.{module}.CHUNK", 2)
    if "forgotten" in log:
        await _forget_states(domain, room, receipt)
    if log == "stored":
        await domain.write_all()
    if log == "gone":
        await domain.write_all()
        await domain.redis.delete(domain.live.keys.events(HOME, room.room_id))
        begin = (await domain.page(room.room_id)).cursor
    told = await _everything(domain, streams, room, receipt, begin)
    assert last.content in told["page"], "the rest is there"
    if log != "gone":
        assert last.content in told["events of the room"]
    assert {way for way, text in told.items() if SECRET in text} == set()


async def _forget_states(domain: Domain, room: Room, receipt: SendReceipt) -> None:
    """As if so many messages had come since that Redis has forgotten how these ended. They are in their shard."""
    await domain.write_all()
    key = domain.live.keys.states(HOME, room.room_id)
    for message in (receipt.message, receipt.reply):
        if message is not None:
            await domain.redis.hdel(key, f"i:{message.message_id}", f"s:{message.seq}", f"m:{message.seq}")


async def _everything(
    domain: Domain, streams: EventStreams, room: Room, receipt: SendReceipt, begin: str
) -> dict[str, str]:
    """What each way of asking gives out."""
    room_id, account, history = room.room_id, domain.ada.account_id, domain.history
    told: dict[str, str] = {}
    everything = await reading(domain, of_room(domain, streams, room, begin))
    end = (await domain.page(room_id)).cursor
    await everything.until(lambda: begin == end or (bool(everything.events) and everything.events[-1].cursor == end))
    told["events of the room"] = _text(everything)
    again = await domain.send(room, SECRET, key=KEY)
    assert again.replayed
    told["idempotent replay"] = repr(again)
    turn = await reading(domain, streams.turn(room_id, account, again))
    await turn.until_end()
    told["events of the turn"] = _text(turn)
    told["page"] = repr(await domain.page(room_id))
    told["export"] = repr([message async for message in history.all(room_id, account)])
    told["queue"] = repr(await history.queued(room_id, account, limit=50))
    told["memory"] = repr(await domain.memories.memory(room_id))
    for message in filter(None, (receipt.message, receipt.reply)):
        name = message.sender_type
        one = await reading(domain, streams.reply(room_id, account, message.message_id, None))
        await one.until_end()
        told[f"events of the {name} message"] = _text(one)
        told[f"{name} message"] = repr(await history.message(room_id, account, message.message_id))
        told[f"variants of the {name} message"] = repr(
            await history.variants(room_id, account, message.message_id, limit=20)
        )
        waited = await streams.wait_for_reply(room_id, account, message.message_id, 1)
        told[f"waiting for the {name} message"] = repr(waited)
    return told


def _text(reader: Reader) -> str:
    return b"\n".join(event.data for event in reader.events).decode()


async def test_the_stream_of_a_deleted_reply_tells_its_deletion_alone(domain: Domain, streams: EventStreams) -> None:
    room = await domain.opened()
    receipt = await _reply(domain, room)
    assert receipt.reply is not None
    reader = await reading(domain, streams.reply(room.room_id, domain.ada.account_id, receipt.reply.message_id, None))
    assert await reader.until_end() == ["message.deleted"]
    assert reader.data[0]["seq"] == receipt.reply.seq
    assert reader.data[0]["state"] in GONE_MESSAGES


async def test_a_replay_shows_what_stayed_and_the_deletion(domain: Domain, streams: EventStreams) -> None:
    room = await domain.opened()
    begin = (await domain.page(room.room_id)).cursor
    receipt = await _reply(domain, room)
    await domain.say(room, "last")
    reader = await reading(domain, of_room(domain, streams, room, begin))
    await reader.until(lambda: len(reader.events) == 3)
    assert reader.kinds == ["message.created", "message.deleted", "message.created"]
    assert [event.message_id for event in reader.events[:1]] == [receipt.message.message_id]


async def test_a_reader_who_is_there_is_told_as_it_happens(domain: Domain, streams: EventStreams) -> None:
    room = await domain.opened()
    reader = await reading(domain, of_room(domain, streams, room))
    receipt = await domain.send(room, "question")
    await domain.answer(0, SECRET)
    await reader.until(lambda: reader.kinds[-1:] == ["message.completed"])
    assert receipt.reply is not None
    await domain.delete_message(room, receipt.reply.message_id)
    await reader.until(lambda: reader.kinds[-1:] == ["message.deleted"])
    assert SECRET in _text(reader)


async def test_a_repeated_send_does_not_tell_what_is_still_stored(domain: Domain) -> None:
    """Redis goes away between finding the turn by its key and reading it."""
    room = await domain.opened()
    receipt = await domain.send(room, SECRET, key=KEY, reply=ReplyMode.NONE)
    await domain.write_all()
    await domain.delete_message(room, receipt.message.message_id)
    domain.pipeline.refuse["read_page"] = 1
    with pytest.raises(CacheUnavailable):
        await domain.send(room, SECRET, key=KEY, reply=ReplyMode.NONE)
    again = await domain.send(room, SECRET, key=KEY, reply=ReplyMode.NONE)
    assert (again.message.content, again.message.state) == ("", MessageState.DELETING)


async def test_a_deleted_message_ends_the_turn_that_it_was(domain: Domain, streams: EventStreams) -> None:
    """Its creation, which ends the stream of a turn without a reply, is not shown any more."""
    room = await domain.opened()
    receipt = await domain.send(room, "hello", reply=ReplyMode.NONE)
    opened = streams.turn(room.room_id, domain.ada.account_id, receipt)
    await domain.delete_message(room, receipt.message.message_id)
    reader = await reading(domain, opened)
    assert await reader.until_end() == ["message.deleted"]


async def test_readers_who_have_not_got_there_are_not_shown_a_deleted_room(
    domain: Domain, streams: EventStreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parlor.cache.watched.PIECE", 1)
    room = await domain.opened()
    begin = (await domain.page(room.room_id)).cursor
    await domain.say(room, "seen")
    for number in range(5):
        await domain.say(room, f"{SECRET} {number}")
    async with of_room(domain, streams, room, begin) as subscription:
        batches = aiter(subscription)
        (first,) = await anext(batches)
        assert b"seen" in first.data
        await domain.delete_room(room)
        await _pumped(domain)
        assert [event.type async for batch in batches for event in batch] == ["room.deleted"]


async def _pumped(domain: Domain) -> None:
    """Returns when the hub has read what is in the logs."""
    hub: EventHub = domain._hubs[-1]
    (watched,) = hub._watched.values()
    while not any(event is not None and event.type == "room.deleted" for _, event in watched.ring):
        await watched.moved
