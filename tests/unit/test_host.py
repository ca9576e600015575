"""The rooms of one actor: who gets in, who is let go, and how all of it ends."""

from __future__ import annotations

import asyncio

import pytest

from parlor.commands import Command, DeleteRoom, Outcome, Refused, SendDone, Wake
from parlor.errors import ParlorError
from parlor.host import RoomHost
from parlor.ids import RoomId
from parlor.model import FinishReason
from tests.unit.rig import HOME, Rig, RigMaker, settle

pytestmark = pytest.mark.unit


async def one(host: RoomHost, command: Command, *, activate: bool = True) -> Outcome:
    (outcome,) = await host.execute([command], activate=activate)
    return outcome


def refusal(outcome: Outcome) -> str:
    assert isinstance(outcome, Refused), outcome
    return ParlorError.from_wire(outcome.error).code


async def sent(rig: Rig, host: RoomHost, room_id: RoomId, text: str = "Hello") -> SendDone:
    outcome = await one(host, rig.send_command(room_id, text))
    assert isinstance(outcome, SendDone), outcome
    return outcome


async def test_outcomes_come_in_the_order_of_the_commands(rig: Rig) -> None:
    host, rooms = rig.host(), [await rig.new_room() for _ in range(4)]
    commands = [rig.send_command(room_id, f"{n}") for n in range(3) for room_id in rooms]
    outcomes = await host.execute(commands, activate=True)
    for command, outcome in zip(commands, outcomes, strict=True):
        assert isinstance(outcome, SendDone)
        assert outcome.receipt.message.message_id == command.message_id
        assert outcome.receipt.message.room_id == command.room_id
    assert set(host.rooms) == set(rooms)
    assert rig.metrics.rooms == 4


async def test_one_refusal_does_not_touch_the_other_commands(rig: Rig) -> None:
    host, room_id = rig.host(), await rig.new_room()
    mine, stranger = rig.send_command(room_id), rig.send_command(room_id, session=rig.session("eve"))
    outcomes = await host.execute([mine, stranger, rig.send_command(room_id)], activate=True)
    assert [type(outcome) for outcome in outcomes] == [SendDone, Refused, SendDone]
    assert refusal(outcomes[1]) == "room-not-found"


async def test_a_slow_room_does_not_hold_up_the_others(rig: Rig) -> None:
    host, slow, quick = rig.host(), await rig.new_room(), await rig.new_room()
    await sent(rig, host, quick)
    gate = rig.pipeline.gates["claim_room"] = asyncio.Event()
    waiting = rig.spawn(one(host, rig.send_command(slow)))
    await settle()
    await sent(rig, host, quick)
    assert not waiting.done()
    gate.set()
    assert isinstance(await waiting, SendDone)


async def test_a_room_that_is_not_here_is_elsewhere_unless_it_is_to_come_here(rig: Rig) -> None:
    host, room_id = rig.host(), await rig.new_room()
    assert refusal(await one(host, rig.send_command(room_id), activate=False)) == "room-moved"
    assert host.rooms == []
    await sent(rig, host, room_id)
    assert isinstance(await one(host, rig.send_command(room_id), activate=False), SendDone)


async def test_a_full_host_takes_no_room_more(new_rig: RigMaker) -> None:
    rig = new_rig(rooms={"max_rooms_per_actor": 2})
    host, rooms = rig.host(), [await rig.new_room() for _ in range(3)]
    for room_id in rooms[:2]:
        await sent(rig, host, room_id)
    assert refusal(await one(host, rig.send_command(rooms[2]))) == "overloaded"
    await sent(rig, host, rooms[0])


async def test_ids_of_rooms_that_never_were_do_not_fill_a_host(new_rig: RigMaker) -> None:
    rig = new_rig(rooms={"max_rooms_per_actor": 2})
    host, room_id = rig.host(), await rig.new_room()
    for _ in range(5):
        assert refusal(await one(host, rig.send_command(rig.mint.room_id(HOME)))) == "room-not-found"
    await rig.clock.advance(1)
    assert host.rooms == []
    await sent(rig, host, room_id)


async def test_an_idle_room_is_let_go_and_moves_on_request(new_rig: RigMaker) -> None:
    rig = new_rig(rooms={"idle_after": 10})
    host, other, room_id = rig.host(), rig.host(), await rig.new_room()
    rig.spawn(host.run())
    done = await sent(rig, host, room_id)
    await rig.clock.advance(60)
    assert host.rooms == [room_id], "its reply is being written"
    rig.model.talks[0].finish()
    await rig.clock.advance(9)
    assert host.rooms == [room_id]
    await rig.clock.advance(5)
    assert host.rooms == []
    assert await rig.redis.hget(rig.live.keys.room(HOME, room_id), "claim") == b""
    assert refusal(await one(host, rig.send_command(room_id), activate=False)) == "room-moved"
    again = await sent(rig, other, room_id)
    assert again.receipt.message.seq == done.receipt.message.seq + 2


async def test_an_idle_room_that_another_host_took_keeps_its_claim(new_rig: RigMaker) -> None:
    rig = new_rig(rooms={"idle_after": 10})
    host, other, room_id = rig.host(), rig.host(), await rig.new_room()
    rig.spawn(host.run())
    await one(host, Wake(None, room_id, ""))
    await one(other, Wake(None, room_id, ""))
    claim = await rig.redis.hget(rig.live.keys.room(HOME, room_id), "claim")
    await rig.clock.advance(15)
    assert host.rooms == []
    assert await rig.redis.hget(rig.live.keys.room(HOME, room_id), "claim") == claim
    assert isinstance(await one(other, rig.send_command(room_id), activate=False), SendDone)


async def test_a_room_that_was_lost_is_dropped_and_can_come_back(rig: Rig) -> None:
    host, other, room_id = rig.host(), rig.host(), await rig.new_room()
    await sent(rig, host, room_id)
    await sent(rig, other, room_id)
    assert refusal(await one(host, rig.send_command(room_id), activate=False)) == "room-moved"
    await rig.clock.advance(1)
    assert host.rooms == []
    await sent(rig, host, room_id)
    assert host.rooms == [room_id]
    assert [seq for seq, _ in await rig.texts(room_id)] == [1, 2, 3, 4, 5, 6]


async def test_a_deleted_room_is_dropped(rig: Rig) -> None:
    host, room_id = rig.host(), await rig.new_room()
    await sent(rig, host, room_id)
    await one(host, DeleteRoom(rig.ada, room_id, ""))
    await rig.clock.advance(1)
    assert host.rooms == []
    assert refusal(await one(host, rig.send_command(room_id))) == "room-not-found"


async def test_a_caller_that_leaves_takes_no_command_with_it(rig: Rig) -> None:
    host, room_id = rig.host(), await rig.new_room()
    gate = rig.pipeline.gates["claim_room"] = asyncio.Event()
    leaving = rig.spawn(host.execute([rig.send_command(room_id, "kept")], activate=True))
    await settle()
    leaving.cancel()
    gate.set()
    await settle()
    assert (await rig.texts(room_id))[0] == (1, "kept")


async def test_draining_refuses_what_is_new_and_lets_replies_end(rig: Rig) -> None:
    host, room_id = rig.host(), await rig.new_room()
    await sent(rig, host, room_id)
    await settle()
    draining = rig.spawn(host.drain(10))
    await settle()
    outcome = await one(host, rig.send_command(room_id))
    assert refusal(outcome) == "overloaded"
    assert isinstance(outcome, Refused)
    assert outcome.error.retry_after is not None
    rig.model.talks[0].say("whole")
    rig.model.talks[0].finish()
    await rig.clock.advance(1)
    assert draining.done()
    assert host.rooms == []
    reply = (await rig.page(room_id)).messages[1]
    assert (reply.content, reply.finish_reason) == ("whole", FinishReason.STOP)
    assert await rig.redis.hget(rig.live.keys.room(HOME, room_id), "claim") == b""


async def test_draining_ends_what_takes_too_long_and_leaves_what_waits(rig: Rig) -> None:
    host, room_id = rig.host(), await rig.new_room()
    await sent(rig, host, room_id, "one")
    await sent(rig, host, room_id, "two")
    await settle()
    rig.model.talks[0].say("half a")
    draining = rig.spawn(host.drain(10))
    await rig.clock.advance(9.9)
    assert not draining.done()
    await rig.clock.advance(1)
    assert draining.done()
    assert rig.model.talks[0].closed
    messages = (await rig.page(room_id)).messages
    assert (messages[1].content, messages[1].finish_reason) == ("half a", FinishReason.INTERRUPTED)
    assert messages[3].is_streaming
    successor = rig.host()
    await one(successor, Wake(None, room_id, ""))
    await settle()
    rig.model.talks[1].say("on time")
    rig.model.talks[1].finish()
    await rig.clock.advance(0.1)
    assert (await rig.page(room_id)).messages[3].content == "on time"
    assert (await rig.page(room_id)).messages[3].attempt == 1


async def test_draining_an_empty_host_takes_no_time(rig: Rig) -> None:
    await rig.host().drain(10)


async def test_draining_with_redis_down_ends(rig: Rig) -> None:
    host, room_id = rig.host(), await rig.new_room()
    await sent(rig, host, room_id)
    rig.server.connected = False
    draining = rig.spawn(host.drain(1))
    await rig.clock.advance(5)
    assert draining.done()
    rig.server.connected = True
    await rig.clock.advance(5)
    assert await rig.reader.overdue_rooms(HOME, 10) == [room_id]


async def test_leaving_lets_quiet_rooms_go_first_and_cuts_the_rest(rig: Rig) -> None:
    host, quiet, busy = rig.host(), await rig.new_room(), await rig.new_room()
    await one(host, Wake(None, quiet, ""))
    await sent(rig, host, busy)
    await settle()
    rig.model.talks[0].say("cut")
    await rig.clock.advance(0.1)
    leaving = rig.spawn(host.leave(5))
    await rig.clock.advance(1)
    assert host.rooms == [busy]
    assert refusal(await one(host, rig.send_command(quiet))) == "room-moved"
    await rig.clock.advance(5)
    assert leaving.done()
    assert host.rooms == []
    successor = rig.host()
    await one(successor, Wake(None, busy, ""))
    await settle()
    rig.model.talks[1].say("whole")
    rig.model.talks[1].finish()
    await rig.clock.advance(0.1)
    reply = (await rig.page(busy)).messages[1]
    assert (reply.content, reply.attempt) == ("whole", 2)
