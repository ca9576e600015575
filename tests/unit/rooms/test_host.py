"""The rooms of one actor: which it takes, which it lets go, and how it shuts down."""

from __future__ import annotations

import asyncio

import pytest

from parlor.errors import ParlorError
from parlor.model.ids import RoomId
from parlor.model.messages import FinishReason
from parlor.rooms.commands import Command, DeleteRoom, Outcome, Refused, RoomDone, SendDone, Stop, UpdateRoom, Wake
from parlor.rooms.host import SETTLE_SECONDS, RoomHost
from tests.unit.domain import HOME, Domain, DomainMaker, settle

pytestmark = pytest.mark.unit


async def one(host: RoomHost, command: Command, *, activate: bool = True) -> Outcome:
    (outcome,) = await host.execute([command], activate=activate)
    return outcome


def refusal(outcome: Outcome) -> str:
    assert isinstance(outcome, Refused), outcome
    return ParlorError.from_wire(outcome.error).code


async def sent(domain: Domain, host: RoomHost, room_id: RoomId, text: str = "Hello") -> SendDone:
    outcome = await one(host, domain.send_command(room_id, text))
    assert isinstance(outcome, SendDone), outcome
    return outcome


async def test_outcomes_come_in_the_order_of_the_commands(domain: Domain) -> None:
    host, rooms = domain.host(), [await domain.new_room() for _ in range(4)]
    commands = [domain.send_command(room_id, f"{n}") for n in range(3) for room_id in rooms]
    outcomes = await host.execute(commands, activate=True)
    for command, outcome in zip(commands, outcomes, strict=True):
        assert isinstance(outcome, SendDone)
        assert outcome.receipt.message.message_id == command.message_id
        assert outcome.receipt.message.room_id == command.room_id
    assert set(host.rooms) == set(rooms)
    assert domain.metrics.rooms == 4


async def test_one_refusal_does_not_touch_the_other_commands(domain: Domain) -> None:
    host, room_id = domain.host(), await domain.new_room()
    mine, stranger = domain.send_command(room_id), domain.send_command(room_id, session=domain.session("eve"))
    outcomes = await host.execute([mine, stranger, domain.send_command(room_id)], activate=True)
    assert [type(outcome) for outcome in outcomes] == [SendDone, Refused, SendDone]
    assert refusal(outcomes[1]) == "room-not-found"


async def test_a_slow_room_does_not_hold_up_the_others(domain: Domain) -> None:
    host, slow, quick = domain.host(), await domain.new_room(), await domain.new_room()
    await sent(domain, host, quick)
    gate = domain.pipeline.gates["claim_room"] = asyncio.Event()
    waiting = domain.spawn(one(host, domain.send_command(slow)))
    await settle()
    await sent(domain, host, quick)
    assert not waiting.done()
    gate.set()
    assert isinstance(await waiting, SendDone)


async def test_a_room_that_is_not_here_is_elsewhere_unless_it_is_to_come_here(domain: Domain) -> None:
    host, room_id = domain.host(), await domain.new_room()
    assert refusal(await one(host, domain.send_command(room_id), activate=False)) == "room-moved"
    assert host.rooms == []
    await sent(domain, host, room_id)
    assert isinstance(await one(host, domain.send_command(room_id), activate=False), SendDone)


async def test_a_host_counts_the_replies_that_are_being_written(domain: Domain) -> None:
    host, rooms = domain.host(), [await domain.new_room() for _ in range(2)]
    for room_id in rooms:
        await sent(domain, host, room_id, "first")
    await sent(domain, host, rooms[0], "waits for its turn")
    await settle()
    assert host.replies == 2
    domain.model.talks[1].finish()
    await domain.clock.advance(1)
    assert host.replies == 1


async def test_a_full_host_takes_no_room_more(new_domain: DomainMaker) -> None:
    domain = new_domain(rooms={"max_rooms_per_actor": 2})
    host, rooms = domain.host(), [await domain.new_room() for _ in range(3)]
    for room_id in rooms[:2]:
        await sent(domain, host, room_id)
    assert refusal(await one(host, domain.send_command(rooms[2]))) == "overloaded"
    await sent(domain, host, rooms[0])


async def test_ids_of_rooms_that_never_were_do_not_fill_a_host(new_domain: DomainMaker) -> None:
    domain = new_domain(rooms={"max_rooms_per_actor": 2})
    host, room_id = domain.host(), await domain.new_room()
    for _ in range(5):
        assert refusal(await one(host, domain.send_command(domain.mint.room_id(HOME)))) == "room-not-found"
    await domain.clock.advance(1)
    assert host.rooms == []
    await sent(domain, host, room_id)


async def test_an_idle_room_is_let_go_and_moves_on_request(new_domain: DomainMaker) -> None:
    domain = new_domain(rooms={"idle_after": 10})
    host, other, room_id = domain.host(), domain.host(), await domain.new_room()
    domain.spawn(host.run())
    done = await sent(domain, host, room_id)
    await domain.clock.advance(60)
    assert host.rooms == [room_id], "its reply is being written"
    domain.model.talks[0].finish()
    await domain.clock.advance(9)
    assert host.rooms == [room_id]
    await domain.clock.advance(5)
    assert host.rooms == []
    assert await domain.redis.hget(domain.live.keys.room(HOME, room_id), "claim") == b""
    assert refusal(await one(host, domain.send_command(room_id), activate=False)) == "room-moved"
    again = await sent(domain, other, room_id)
    assert again.receipt.message.seq == done.receipt.message.seq + 2


async def test_an_idle_room_that_another_host_took_keeps_its_claim(new_domain: DomainMaker) -> None:
    domain = new_domain(rooms={"idle_after": 10})
    host, other, room_id = domain.host(), domain.host(), await domain.new_room()
    domain.spawn(host.run())
    await one(host, Wake(None, room_id, ""))
    await one(other, Wake(None, room_id, ""))
    claim = await domain.redis.hget(domain.live.keys.room(HOME, room_id), "claim")
    await domain.clock.advance(15)
    assert host.rooms == []
    assert await domain.redis.hget(domain.live.keys.room(HOME, room_id), "claim") == claim
    assert isinstance(await one(other, domain.send_command(room_id), activate=False), SendDone)


async def test_a_room_that_was_lost_is_dropped_and_can_come_back(domain: Domain) -> None:
    host, other, room_id = domain.host(), domain.host(), await domain.new_room()
    await sent(domain, host, room_id)
    await sent(domain, other, room_id)
    assert refusal(await one(host, domain.send_command(room_id), activate=False)) == "room-moved"
    await domain.clock.advance(1)
    assert host.rooms == []
    await sent(domain, host, room_id)
    assert host.rooms == [room_id]
    assert [seq for seq, _ in await domain.texts(room_id)] == [1, 2, 3, 4, 5, 6]


async def test_a_deleted_room_is_dropped(domain: Domain) -> None:
    host, room_id = domain.host(), await domain.new_room()
    await sent(domain, host, room_id)
    await one(host, DeleteRoom(domain.ada, room_id, ""))
    await domain.clock.advance(1)
    assert host.rooms == []
    assert refusal(await one(host, domain.send_command(room_id))) == "room-not-found"


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "never was"])
async def test_everyone_who_asks_for_a_room_that_is_not_there_is_told_so_at_once(domain: Domain, deleted: bool) -> None:
    """Not "elsewhere", for which a gateway looks for the room again and again, and gives up as overloaded."""
    host, room_id = domain.host(), await domain.new_room()
    done = await sent(domain, host, room_id)
    message_id = done.receipt.message.message_id
    if deleted:
        await one(host, DeleteRoom(domain.ada, room_id, ""))
        await domain.clock.advance(1)
    else:
        room_id = domain.mint.room_id(HOME)
    outcomes = await asyncio.gather(
        *(
            one(host, command)
            for _ in range(4)
            for command in (
                domain.send_command(room_id),
                Stop(domain.ada, room_id, "", message_id, None),
                UpdateRoom(domain.ada, room_id, "", "n"),
            )
        )
    )
    assert [refusal(outcome) for outcome in outcomes] == ["room-not-found"] * 12


async def test_what_waits_behind_a_delete_is_answered_behind_it(domain: Domain) -> None:
    host, room_id = domain.host(), await domain.new_room()
    await sent(domain, host, room_id)
    gate = domain.pipeline.gates["delete_room"] = asyncio.Event()
    deleting = [domain.spawn(one(host, DeleteRoom(domain.ada, room_id, ""))) for _ in range(2)]
    sending = [domain.spawn(one(host, domain.send_command(room_id))) for _ in range(3)]
    await settle()
    gate.set()
    assert [isinstance(await each, RoomDone) for each in deleting] == [True, True], "deleting again is harmless"
    assert [refusal(await each) for each in sending] == ["room-not-found"] * 3


async def test_a_caller_that_leaves_takes_no_command_with_it(domain: Domain) -> None:
    host, room_id = domain.host(), await domain.new_room()
    gate = domain.pipeline.gates["claim_room"] = asyncio.Event()
    leaving = domain.spawn(host.execute([domain.send_command(room_id, "kept")], activate=True))
    await settle()
    leaving.cancel()
    gate.set()
    await settle()
    assert (await domain.texts(room_id))[0] == (1, "kept")


async def test_draining_refuses_what_is_new_and_lets_replies_end(domain: Domain) -> None:
    host, room_id = domain.host(), await domain.new_room()
    await sent(domain, host, room_id)
    await settle()
    draining = domain.spawn(host.drain(10))
    await settle()
    outcome = await one(host, domain.send_command(room_id))
    assert refusal(outcome) == "overloaded"
    assert isinstance(outcome, Refused)
    assert outcome.error.retry_after is not None
    domain.model.talks[0].say("whole")
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    assert draining.done()
    assert host.rooms == []
    reply = (await domain.page(room_id)).messages[1]
    assert (reply.content, reply.finish_reason) == ("whole", FinishReason.STOP)
    assert await domain.redis.hget(domain.live.keys.room(HOME, room_id), "claim") == b""


async def test_draining_ends_what_takes_too_long_and_leaves_what_waits(domain: Domain) -> None:
    host, room_id = domain.host(), await domain.new_room()
    await sent(domain, host, room_id, "one")
    await sent(domain, host, room_id, "two")
    await settle()
    domain.model.talks[0].say("half a")
    draining = domain.spawn(host.drain(10))
    await domain.clock.advance(9.9)
    assert not draining.done()
    await domain.clock.advance(1)
    assert draining.done()
    assert domain.model.talks[0].closed
    messages = (await domain.page(room_id)).messages
    assert (messages[1].content, messages[1].finish_reason) == ("half a", FinishReason.INTERRUPTED)
    assert messages[3].is_streaming
    successor = domain.host()
    await one(successor, Wake(None, room_id, ""))
    await settle()
    domain.model.talks[1].say("on time")
    domain.model.talks[1].finish()
    await domain.clock.advance(0.1)
    assert (await domain.page(room_id)).messages[3].content == "on time"
    assert (await domain.page(room_id)).messages[3].attempt == 1


async def test_draining_an_empty_host_takes_no_time(domain: Domain) -> None:
    await domain.host().drain(10)


async def test_draining_with_redis_down_ends(domain: Domain) -> None:
    host, room_id = domain.host(), await domain.new_room()
    await sent(domain, host, room_id)
    domain.server.connected = False
    draining = domain.spawn(host.drain(1))
    await domain.clock.advance(5)
    assert draining.done()
    domain.server.connected = True
    await domain.clock.advance(5)
    assert await domain.reader.overdue_rooms(HOME, 10) == [room_id]


async def test_a_room_is_given_away_between_two_replies(domain: Domain) -> None:
    host, room_id = domain.host(), await domain.new_room()
    await sent(domain, host, room_id, "one")
    await sent(domain, host, room_id, "two")
    await settle()
    giving = domain.spawn(host.give_away(room_id, 60))
    await domain.clock.advance(10)
    assert not giving.done()
    await sent(domain, host, room_id, "three")
    domain.model.talks[0].say("whole")
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    assert await giving
    assert host.rooms == []
    successor = domain.host()
    await one(successor, Wake(None, room_id, ""))
    for number, text in ((1, "the second"), (2, "the third")):
        await settle()
        domain.model.talks[number].say(text)
        domain.model.talks[number].finish()
        await domain.clock.advance(1)
    messages = (await domain.page(room_id)).messages
    assert [(m.content, m.attempt) for m in messages[1::2]] == [("whole", 1), ("the second", 1), ("the third", 1)]


async def test_a_room_whose_reply_takes_too_long_stays(domain: Domain) -> None:
    host, room_id = domain.host(), await domain.new_room()
    await sent(domain, host, room_id)
    await settle()
    giving = domain.spawn(host.give_away(room_id, 5))
    await domain.clock.advance(6)
    assert not await giving
    assert host.rooms == [room_id]
    await sent(domain, host, room_id, "another")
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    assert len(domain.model.talks) == 2, "replies begin again"


async def test_a_room_that_was_given_away_is_not_taken_back_at_once(domain: Domain) -> None:
    host, room_id = domain.host(), await domain.new_room()
    await one(host, Wake(None, room_id, ""))
    assert await host.give_away(room_id, 5)
    assert refusal(await one(host, Wake(None, room_id, ""))) == "room-moved"
    await domain.clock.advance(SETTLE_SECONDS)
    assert not isinstance(await one(host, Wake(None, room_id, "")), Refused)
    assert await host.give_away(RoomId("never here"), 5)


async def test_leaving_lets_quiet_rooms_go_first_and_cuts_the_rest(domain: Domain) -> None:
    host, quiet, busy = domain.host(), await domain.new_room(), await domain.new_room()
    await one(host, Wake(None, quiet, ""))
    await sent(domain, host, busy)
    await settle()
    domain.model.talks[0].say("cut")
    await domain.clock.advance(0.1)
    leaving = domain.spawn(host.leave(5))
    await domain.clock.advance(1)
    assert host.rooms == [busy]
    assert refusal(await one(host, domain.send_command(quiet))) == "room-moved"
    await domain.clock.advance(5)
    assert leaving.done()
    assert host.rooms == []
    successor = domain.host()
    await one(successor, Wake(None, busy, ""))
    await settle()
    domain.model.talks[1].say("whole")
    domain.model.talks[1].finish()
    await domain.clock.advance(0.1)
    reply = (await domain.page(busy)).messages[1]
    assert (reply.content, reply.attempt) == ("whole", 2)
