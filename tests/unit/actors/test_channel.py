"""Commands to one RoomActor in shared calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from actors import channel
from actors.channel import ActorUnreachable, RoomChannel
from parlor.errors import InternalError
from parlor.model.ids import RoomId
from parlor.rooms.commands import Command, Done, Outcome, SendDone, Wake
from tests.unit.actors.cluster import Cluster, FakeRoomActor
from tests.unit.domain import Domain, settle

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("in_flight", [1, 2])
async def test_what_is_asked_for_right_after_an_answer_is_sent_too(
    monkeypatch: pytest.MonkeyPatch, in_flight: int
) -> None:
    """While the last sender has not quite ended it still counts: what comes then must not wait for ever."""
    monkeypatch.setattr(channel, "CALLS_IN_FLIGHT", in_flight)
    made = RoomChannel("rooms-000", "test")

    async def served(commands: list[Command], *, activate: bool) -> list[Outcome]:
        assert not activate
        await asyncio.sleep(0)
        return [Done() for _ in commands]

    monkeypatch.setattr(made, "_call", served)

    async def one_after_the_other() -> int:
        for _ in range(5):
            assert await made.execute(Wake(None, RoomId("room"), "")) == Done()
        return 5

    async with asyncio.timeout(2):
        assert sum(await asyncio.gather(one_after_the_other(), one_after_the_other())) == 10
    await made.close()


@pytest.fixture(params=["socket", "ray"])
async def actor(
    domain: Domain, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[FakeRoomActor]:
    """On the caller's node, and on another."""
    found = Cluster(domain, monkeypatch, actors_count=1).actors["rooms-0"]
    if request.param == "socket":
        await found.room_socket.open(f"parlor-test-{uuid4().hex}")
    yield found
    found.room_socket.close()
    await settle()


async def warm_room(domain: Domain, made: RoomChannel) -> RoomId:
    room_id = await domain.new_room()
    await made.activate(Wake(None, room_id, ""))
    return room_id


async def test_what_comes_while_calls_are_under_way_shares_the_next_one(domain: Domain, actor: FakeRoomActor) -> None:
    made = RoomChannel("rooms-0", "test")
    room_id = await warm_room(domain, made)
    actor.batches.clear()
    actor.gate = asyncio.Event()
    commands = [domain.send_command(room_id, f"{n}") for n in range(60)]
    asked = []
    for command in commands:
        asked.append(domain.spawn(made.execute(command)))
        await settle()
    assert actor.batches == [1, 1]
    actor.gate.set()
    outcomes = await asyncio.gather(*asked)
    assert actor.batches == [1, 1, 58]
    for command, outcome in zip(commands, outcomes, strict=True):
        assert isinstance(outcome, SendDone)
        assert outcome.receipt.message.message_id == command.message_id
    await made.close()


async def test_one_turn_of_the_loop_is_one_call(domain: Domain, actor: FakeRoomActor) -> None:
    made = RoomChannel("rooms-0", "test")
    room_id = await warm_room(domain, made)
    actor.batches.clear()
    await asyncio.gather(*(made.execute(domain.send_command(room_id)) for _ in range(40)))
    assert sum(actor.batches) == 40
    assert len(actor.batches) <= 2


async def test_a_batch_is_no_larger_than_its_limit(
    domain: Domain, actor: FakeRoomActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "BATCH", 7)
    made = RoomChannel("rooms-0", "test")
    room_id = await warm_room(domain, made)
    await asyncio.gather(*(made.execute(domain.send_command(room_id)) for _ in range(30)))
    assert max(actor.batches) <= 7


async def test_a_dead_actor_is_unreachable_for_all_and_looked_for_again(domain: Domain, actor: FakeRoomActor) -> None:
    made = RoomChannel("rooms-0", "test")
    room_id = await warm_room(domain, made)
    actor.dead = True
    failed = await asyncio.gather(
        *(made.execute(domain.send_command(room_id)) for _ in range(5)), return_exceptions=True
    )
    assert [type(error) for error in failed] == [ActorUnreachable] * 5
    with pytest.raises(ActorUnreachable):
        await made.activate(Wake(None, room_id, ""))
    actor.dead = False
    assert isinstance(await made.execute(domain.send_command(room_id)), SendDone)


async def test_an_actor_that_does_not_answer_in_time_is_unreachable(
    domain: Domain, actor: FakeRoomActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = RoomChannel("rooms-0", "test")
    room_id = await warm_room(domain, made)
    actor.hangs = True
    monkeypatch.setattr(channel, "ANSWER_SECONDS", 0.02)
    with pytest.raises(ActorUnreachable):
        await made.execute(domain.send_command(room_id))


async def test_what_waits_behind_a_call_that_fails_does_not_try_the_same_actor(
    domain: Domain, actor: FakeRoomActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = RoomChannel("rooms-0", "test")
    room_id = await warm_room(domain, made)
    actor.batches.clear()
    actor.hangs = True
    answer_seconds = channel.ANSWER_SECONDS
    monkeypatch.setattr(channel, "ANSWER_SECONDS", 0.02)
    asked = []
    for _ in range(5):
        asked.append(domain.spawn(made.execute(domain.send_command(room_id))))
        await settle()
    failed = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in failed] == [ActorUnreachable] * 5
    assert actor.batches == [1, 1], "the calls under way, and no third one"
    assert made.breaks == 2
    actor.hangs = False
    monkeypatch.setattr(channel, "ANSWER_SECONDS", answer_seconds)
    assert isinstance(await made.execute(domain.send_command(room_id)), SendDone)
    await made.close()


async def test_a_caller_that_leaves_does_not_disturb_the_others(domain: Domain, actor: FakeRoomActor) -> None:
    made = RoomChannel("rooms-0", "test")
    room_id = await warm_room(domain, made)
    actor.gate = asyncio.Event()
    leaving, staying = [domain.spawn(made.execute(domain.send_command(room_id, text))) for text in ("one", "two")]
    await settle()
    leaving.cancel()
    actor.gate.set()
    assert isinstance(await staying, SendDone)
    assert sorted(text for _, text in await domain.texts(room_id) if text) == ["one", "two"]


async def test_closing_waits_for_what_is_under_way(domain: Domain, actor: FakeRoomActor) -> None:
    made = RoomChannel("rooms-0", "test")
    room_id = await warm_room(domain, made)
    actor.gate = asyncio.Event()
    asked = domain.spawn(made.execute(domain.send_command(room_id)))
    await settle()
    closing = domain.spawn(made.close())
    await settle()
    assert not closing.done()
    actor.gate.set()
    await closing
    assert asked.done()


@pytest.mark.parametrize("steps", range(4))
async def test_a_call_that_is_cancelled_leaves_nobody_waiting(
    domain: Domain, actor: FakeRoomActor, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Neither those whose commands are in it, nor those who wait for the next one."""
    monkeypatch.setattr(channel, "CALLS_IN_FLIGHT", 1)
    made = RoomChannel("rooms-0", "test")
    room_id = await warm_room(domain, made)
    actor.gate = asyncio.Event()
    callers = [domain.spawn(made.execute(domain.send_command(room_id)))]
    for _ in range(steps):
        await asyncio.sleep(0)
    callers.append(domain.spawn(made.execute(domain.send_command(room_id))))
    await asyncio.sleep(0)
    for sender in list(made._commands._senders):
        sender.cancel()
    async with asyncio.timeout(5):
        failed = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(error) for error in failed] == [ActorUnreachable] * 2
    actor.gate.set()
    assert isinstance(await made.execute(domain.send_command(room_id)), SendDone)
    await made.close()


async def test_a_fault_of_ours_is_told_to_the_callers_and_not_taken_for_a_dead_actor(
    domain: Domain, actor: FakeRoomActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = RoomChannel("rooms-0", "test")
    room_id = await warm_room(domain, made)

    def broken(commands: list[Command]) -> bytes:
        raise TypeError("a defect")

    monkeypatch.setattr(channel, "encode_commands", broken)
    failed = await asyncio.gather(
        *(made.execute(domain.send_command(room_id)) for _ in range(2)), return_exceptions=True
    )
    assert [type(error) for error in failed] == [InternalError] * 2
    assert made.breaks == 0
    await made.close()


async def test_a_closed_channel_refuses_at_once(domain: Domain, actor: FakeRoomActor) -> None:
    made = RoomChannel("rooms-0", "test")
    await made.close()
    with pytest.raises(ActorUnreachable):
        await made.execute(domain.send_command(await domain.new_room()))
