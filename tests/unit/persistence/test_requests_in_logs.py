"""What a writer logs about an operation names the request that it was queued for."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from msgspec import structs
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from parlor.cache.dead_letters import DeadLetterCache
from parlor.cache.queue import decode_entry
from parlor.model.requests import ReplyMode
from parlor.model.tracing import work_for
from parlor.rooms.commands import Regenerate
from parlor.rooms.room import Room
from tests.unit.domain import HOME, Domain, settle
from tests.unit.persistence.writer_fixture import INTERVAL, opened, started

pytestmark = pytest.mark.unit

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def logs() -> Iterator[Lines]:
    with capture_logs(processors=[merge_contextvars]) as found:
        yield found


async def say(domain: Domain, room: Room, text: str, request_id: str, reply: ReplyMode = ReplyMode.NONE) -> None:
    command = structs.replace(domain.send_command(room.room_id, text, reply=reply), request_id=request_id)
    await domain.do_send(room, command)


async def queued(domain: Domain) -> list[tuple[str, str]]:
    entries: Any = await domain.redis.xrange(domain.live.keys.queue(HOME))
    found = [decode_entry(HOME, entry_id, fields) for entry_id, fields in entries]
    return [(entry.op.removeprefix("CHAT_"), entry.request_id) for entry in found]


def lines(logs: Lines, event: str) -> Lines:
    return [line for line in logs if line["event"] == event]


async def test_each_operation_is_queued_for_the_request_that_is_served(domain: Domain) -> None:
    work_for("creates")
    room = await domain.opened()
    work_for("")
    await say(domain, room, "Hello", "sends", ReplyMode.AUTO)
    await domain.answer(0, "Hi")
    reply = (await domain.page(room.room_id)).messages[-1]
    assert await queued(domain) == [
        ("ROOM_CREATE", "creates"),
        ("MESSAGE_SAVE", "sends"),
        ("MESSAGE_SAVE", "sends"),
        ("MESSAGE_SAVE", "sends"),
    ]
    await room.execute(Regenerate(domain.ada, room.room_id, "again", reply.message_id, "nonce"))
    await domain.answer(1, "Hi!")
    assert {request for _, request in (await queued(domain))[4:]} == {"again"}


async def test_a_parked_operation_names_its_request_also_after_it_was_replayed(domain: Domain, logs: Lines) -> None:
    room = await opened(domain)
    domain.store.poison = lambda batch: any(save.doc.content == "poison" for save in batch.message_saves)
    await say(domain, room, "good", "one")
    await say(domain, room, "poison", "two")
    await domain.write_all()
    assert [line["request_id"] for line in lines(logs, "operation_parked")] == ["two"]
    dead_letters = DeadLetterCache(domain.live)
    (dead_letter,) = await dead_letters.of_partition(HOME)
    assert dead_letter.entry.request_id == "two"
    work_for("operator")
    assert await dead_letters.replay(dead_letter)
    work_for("")
    await domain.write_all()
    assert [line["request_id"] for line in lines(logs, "operation_parked")] == ["two", "two"]


async def test_a_batch_that_cannot_be_stored_names_each_request_once(domain: Domain, logs: Lines) -> None:
    room = await opened(domain)
    await started(domain)
    for request_ids in (["one", "two"], ["three"]):
        logs.clear()
        domain.store.down = True
        for request_id in request_ids:
            await say(domain, room, "Hello", request_id)
        await domain.clock.advance(30 * INTERVAL)
        delayed = lines(logs, "batch_not_stored")
        assert sorted(each for line in delayed for each in line["request_ids"]) == sorted(request_ids)
        domain.store.down = False
        await domain.clock.advance(30 * INTERVAL)
    assert await queued(domain) == []


async def test_what_an_older_program_queued_is_stored_and_names_no_request(domain: Domain, logs: Lines) -> None:
    room = await opened(domain)
    await say(domain, room, "poison", "lost")
    queue = domain.live.keys.queue(HOME)
    entries: Any = await domain.redis.xrange(queue)
    ((entry_id, fields),) = entries
    await domain.redis.xdel(queue, entry_id)
    number = await domain.redis.hincrby(domain.live.keys.partition(HOME), "next", 1)
    older = {name: value for name, value in fields.items() if name != b"request"}
    await domain.redis.xadd(queue, older, id=f"{entry_id.decode().partition('-')[0]}-{number}")
    domain.store.poison = lambda batch: bool(batch.message_saves)
    await domain.write_all()
    (line,) = lines(logs, "operation_parked")
    assert (line["op"], "request_id" in line) == ("CHAT_MESSAGE_SAVE", False)
    domain.store.poison = lambda _: False
    (dead_letter,) = await DeadLetterCache(domain.live).of_partition(HOME)
    await DeadLetterCache(domain.live).replay(dead_letter)
    await domain.write_all()
    await settle()
    assert [row.doc.content for row in await domain.rows(room.room_id)] == ["poison"]
