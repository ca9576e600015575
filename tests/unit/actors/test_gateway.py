"""The gateway: every command finds its room, wherever it is by then, and asking again changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

import actors.routing
from actors.contracts import STATE_MACHINE
from parlor.errors import (
    IdempotencyMismatch,
    MessageNotFound,
    Overloaded,
    RoomBusy,
    RoomNotFound,
    StoreUnavailable,
)
from parlor.llm.ports import UnknownPersona
from parlor.model.requests import DeleteOutcome, Idempotency, OnBusy, ReplyMode, SendRequest
from parlor.model.states import RoomState
from tests.unit.actors.cluster import Cluster
from tests.unit.domain import HOME, NEIGHBOUR, Domain, DomainMaker, settle

pytestmark = pytest.mark.unit

SAY = SendRequest("Hello", reply=ReplyMode.NONE)
LONG = 30.0
"""Seconds: a refusal does not wait."""
Attempt: TypeAlias = Callable[[], Awaitable[object]]


@pytest.fixture
def cluster(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(domain, monkeypatch)


async def test_a_conversation_through_the_gateway(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()
    await domain.loader.open_partition(HOME)
    room = (await gateway.create_room(domain.ada, "A title", None)).room
    assert (room.title, room.ai_persona, room.state) == ("A title", "GPT4O", RoomState.PENDING)
    receipt = await gateway.send_message(domain.ada, room.room_id, SendRequest("Hello"))
    assert receipt.reply is not None
    await settle()
    domain.model.talks[0].say("Hi!")
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    assert (await gateway.wait_for_reply(domain.ada, room.room_id, receipt.reply.message_id, 1)).content == "Hi!"
    page = await gateway.list_messages(domain.ada, room.room_id, 10, None, None)
    assert [message.content for message in page.messages] == ["Hello", "Hi!"]
    assert (await gateway.update_room(domain.ada, room.room_id, "Another", None)).title == "Another"
    updated = await gateway.update_room(domain.ada, room.room_id, None, "BRIEF")
    assert (updated.title, updated.ai_persona) == ("Another", "BRIEF")
    with pytest.raises(UnknownPersona):
        await gateway.update_room(domain.ada, room.room_id, "Not this", "NOBODY")
    assert (await gateway.get_room(domain.ada, room.room_id)).title == "Another"
    deleted = await gateway.delete_message(domain.ada, room.room_id, receipt.message.message_id)
    assert deleted.outcome is DeleteOutcome.CANCELLED
    state = await gateway.message_state(domain.ada, room.room_id, receipt.message.message_id)
    assert state.state == "DELETED"
    assert (await gateway.room_state(domain.ada, room.room_id)).state == "PENDING"
    assert [message.seq async for message in gateway.export(domain.ada, room.room_id)] == [1, 2]
    assert (await gateway.delete_room(domain.ada, room.room_id)).state is RoomState.DELETING
    with pytest.raises(RoomNotFound):
        await gateway.get_room(domain.ada, room.room_id)


async def test_the_place_of_a_room_is_asked_for_once(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    for _ in range(5):
        await gateway.send_message(domain.ada, room_id, SAY)
    assert cluster.supervisor.asked == [(room_id, None)]
    assert [seq for seq, _ in await domain.texts(room_id)] == [1, 2, 3, 4, 5]


async def test_a_room_that_moved_is_found_again(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    await gateway.send_message(domain.ada, room_id, SAY)
    await cluster.actor_of(room_id).host.passivate(room_id)
    receipt = await gateway.send_message(domain.ada, room_id, SAY)
    assert receipt.message.seq == 2
    assert cluster.supervisor.asked == [(room_id, None), (room_id, None)]


async def test_two_gateways_agree_about_a_room(cluster: Cluster) -> None:
    domain, room_id = cluster.domain, await cluster.domain.new_room()
    gateways = [cluster.gateway(), cluster.gateway()]
    receipts = await asyncio.gather(*(gateways[n % 2].send_message(domain.ada, room_id, SAY) for n in range(10)))
    assert sorted(receipt.message.seq for receipt in receipts) == list(range(1, 11))


async def test_a_room_goes_on_elsewhere_when_its_actor_dies(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    await gateway.send_message(domain.ada, room_id, SAY)
    before = cluster.actor_of(room_id)
    before.dead = True
    assert (await gateway.send_message(domain.ada, room_id, SAY)).message.seq == 2
    assert (room_id, "rooms-0") in cluster.supervisor.asked
    assert room_id in cluster.actors["rooms-1"].host.rooms


async def test_the_other_rooms_of_an_actor_that_fell_silent_do_not_wait_for_it(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()
    first, second = await domain.new_room(), await domain.new_room()
    for room_id in (first, second):
        cluster.place(room_id, "rooms-0")
        await gateway.send_message(domain.ada, room_id, SAY)
    silent = cluster.actors["rooms-0"]
    silent.batches.clear()
    silent.hangs = silent.too_late = True
    for room_id in (first, second):
        assert (await gateway.send_message(domain.ada, room_id, SAY)).message.seq == 2
        assert room_id in cluster.actors["rooms-1"].host.rooms
    assert silent.batches == [1], "the second room was not tried there"
    assert cluster.supervisor.asked[-2:] == [(first, "rooms-0"), (second, "rooms-0")]


async def test_an_actor_that_was_slow_once_keeps_its_rooms(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()
    rooms = [await domain.new_room() for _ in range(2)]
    for room_id in rooms:
        cluster.place(room_id, "rooms-0")
        await gateway.send_message(domain.ada, room_id, SAY)
    cluster.actors["rooms-0"].fails_once = True
    for seq in (2, 3):
        for room_id in rooms:
            assert (await gateway.send_message(domain.ada, room_id, SAY)).message.seq == seq
    assert set(cluster.actors["rooms-0"].host.rooms) == set(rooms)
    assert cluster.supervisor.asked[2:] == [(room_id, "rooms-0") for room_id in rooms], "asked about once"


@pytest.mark.parametrize("warm", [True, False])
async def test_a_send_that_happened_although_its_actor_died_is_not_sent_twice(cluster: Cluster, warm: bool) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    if warm:
        await gateway.update_room(domain.ada, room_id, "warm", None)
    cluster.actors["rooms-0"].dies_after_the_call = True
    receipt = await gateway.send_message(domain.ada, room_id, SendRequest("once"))
    assert receipt.reply is not None
    assert not receipt.replayed
    await settle()
    domain.model.talks[-1].finish()
    await domain.clock.advance(1)
    messages = (await domain.page(room_id)).messages
    assert [message.message_id for message in messages] == [receipt.message.message_id, receipt.reply.message_id]


async def test_an_actor_that_does_not_answer_is_given_up(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    for actor in cluster.actors.values():
        actor.hangs = actor.too_late = True
    with pytest.raises(Overloaded) as refused:
        await gateway.send_message(domain.ada, room_id, SAY)
    assert refused.value.retry_after is not None


async def test_a_late_copy_of_a_rename_does_not_undo_a_newer_one(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    gate = cluster.actors["rooms-0"].gate = asyncio.Event()
    cluster.actors["rooms-0"].too_late = True
    assert (await gateway.update_room(domain.ada, room_id, "older", None)).title == "older"
    assert (await gateway.update_room(domain.ada, room_id, "newer", None)).title == "newer"
    assert cluster.actors["rooms-0"].batches == [1]
    gate.set()
    await settle()
    assert (await gateway.get_room(domain.ada, room_id)).title == "newer"
    assert (await gateway.send_message(domain.ada, room_id, SAY)).message.seq == 1


@pytest.mark.parametrize("held", [True, False])
async def test_a_late_copy_of_a_send_that_was_refused_is_not_appended(cluster: Cluster, held: bool) -> None:
    """Also when the one that refused it had held the room all along, and the book named another one."""
    domain, room_id = cluster.domain, await cluster.domain.new_room()
    busy, refused = cluster.gateway(), cluster.gateway()
    if held:
        cluster.place(room_id, "rooms-1")
        await busy.send_message(domain.ada, room_id, SendRequest("Hello"))
        cluster.place(room_id, "rooms-0")
    gate = cluster.actors["rooms-0"].gate = asyncio.Event()
    cluster.actors["rooms-0"].too_late = True
    sending = domain.spawn(busy.send_message(domain.ada, room_id, SendRequest("Hello")))
    await settle()
    with pytest.raises(RoomBusy):
        await refused.send_message(domain.ada, room_id, SendRequest("never", on_busy=OnBusy.REJECT))
    await sending
    for talk in range(2 if held else 1):
        await domain.answer(talk, "Hi")
    gate.set()
    await domain.clock.advance(1)
    assert "never" not in [text for _, text in await domain.texts(room_id)]


async def test_an_owner_goes_on_when_another_gateway_asks_for_its_room(cluster: Cluster) -> None:
    domain, room_id = cluster.domain, await cluster.domain.new_room()
    await cluster.gateway().send_message(domain.ada, room_id, SendRequest("Hello"))
    await settle()
    domain.model.talks[0].say("Hi")
    for seq in (3, 4, 5):
        assert (await cluster.gateway().send_message(domain.ada, room_id, SAY)).message.seq == seq
    domain.model.talks[0].finish()
    await domain.clock.advance(1)
    assert (await domain.texts(room_id))[1] == (2, "Hi")
    assert await domain.reader.claims(room_id) == 4


async def test_a_full_pool_is_said(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(domain, monkeypatch, actors_count=1, max_rooms=1)
    gateway, first, second = cluster.gateway(), await domain.new_room(), await domain.new_room()
    await gateway.send_message(domain.ada, first, SAY)
    with pytest.raises(Overloaded) as refused:
        await gateway.send_message(domain.ada, second, SAY)
    assert refused.value.retry_after is not None
    assert (await gateway.send_message(domain.ada, first, SAY)).message.seq == 2


@pytest.mark.parametrize("fault", ["dead", "missing"])
async def test_without_a_supervisor_known_rooms_go_on(
    cluster: Cluster, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors.routing, "PLACE_SECONDS", 0.5)
    domain, gateway = cluster.domain, cluster.gateway()
    known, unknown = await domain.new_room(), await domain.new_room()
    await gateway.send_message(domain.ada, known, SAY)
    if fault == "dead":
        cluster.supervisor.dead = True
    else:
        gateway._rooms._supervisor = None
        cluster.missing.add("supervisor")
    assert (await gateway.send_message(domain.ada, known, SAY)).message.seq == 2
    with pytest.raises(Overloaded):
        await gateway.send_message(domain.ada, unknown, SAY)
    cluster.supervisor.dead = False
    cluster.missing.clear()
    assert (await gateway.send_message(domain.ada, unknown, SAY)).message.seq == 1


async def test_a_room_waits_for_a_supervisor_that_is_started_again(cluster: Cluster) -> None:
    domain, gateway, room = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    cluster.supervisor.dead = True
    asyncio.get_running_loop().call_later(0.2, setattr, cluster.supervisor, "dead", False)
    assert (await gateway.send_message(domain.ada, room, SAY)).message.seq == 1


async def test_a_refusal_comes_back_as_its_error(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    await gateway.send_message(domain.ada, room_id, SendRequest("Hello"))
    with pytest.raises(RoomBusy) as busy:
        await gateway.send_message(domain.ada, room_id, SendRequest("Hello", on_busy=OnBusy.REJECT))
    assert busy.value.retry_after is not None


async def test_a_room_of_another_partition_needs_no_looking_up(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()
    elsewhere = await domain.new_room(domain.session("bob", NEIGHBOUR))
    domain.store.calls.clear()
    message_id = domain.mint.message_id(NEIGHBOUR)
    attempts: list[Attempt] = [
        lambda: gateway.get_room(domain.ada, elsewhere),
        lambda: gateway.update_room(domain.ada, elsewhere, "x", None),
        lambda: gateway.delete_room(domain.ada, elsewhere),
        lambda: gateway.send_message(domain.ada, elsewhere, SAY),
        lambda: gateway.list_messages(domain.ada, elsewhere, 10, None, None),
        lambda: gateway.get_message(domain.ada, elsewhere, message_id),
        lambda: gateway.delete_message(domain.ada, elsewhere, message_id),
        lambda: gateway.room_state(domain.ada, elsewhere),
        lambda: gateway.message_state(domain.ada, elsewhere, message_id),
    ]
    for attempt in attempts:
        with pytest.raises(RoomNotFound):
            await attempt()
    assert cluster.supervisor.asked == []
    assert domain.store.calls == []


async def test_a_neighbours_room_is_not_found_by_anything(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    receipt = await gateway.send_message(domain.ada, room_id, SendRequest("private", idempotency=Idempotency("k", "f")))
    eve, message_id = domain.session("eve"), receipt.message.message_id
    attempts: list[Attempt] = [
        lambda: gateway.get_room(eve, room_id),
        lambda: gateway.update_room(eve, room_id, "x", None),
        lambda: gateway.delete_room(eve, room_id),
        lambda: gateway.send_message(eve, room_id, SAY),
        lambda: gateway.send_message(eve, room_id, SendRequest("private", idempotency=Idempotency("k", "f"))),
        lambda: gateway.list_messages(eve, room_id, 10, None, None),
        lambda: gateway.get_message(eve, room_id, message_id),
        lambda: gateway.delete_message(eve, room_id, message_id),
        lambda: gateway.room_state(eve, room_id),
        lambda: gateway.message_state(eve, room_id, message_id),
        lambda: gateway.wait_for_reply(eve, room_id, message_id, LONG),
        lambda: gateway.wait_for_commit(eve, room_id, message_id, LONG),
        lambda: anext(gateway.export(eve, room_id)),
        lambda: gateway.room_events(eve, room_id, None).__aenter__(),
        lambda: gateway.room_events(eve, room_id, receipt.cursor).__aenter__(),
        lambda: gateway.reply_events(eve, room_id, message_id, None).__aenter__(),
    ]
    for attempt in attempts:
        with pytest.raises(RoomNotFound):
            await attempt()
    assert (await gateway.send_message(domain.ada, room_id, SAY)).message.seq == 3


async def test_a_message_id_of_another_partition_is_no_message_of_this_room(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    foreign = domain.mint.message_id(NEIGHBOUR)
    attempts: list[Attempt] = [
        lambda: gateway.get_message(domain.ada, room_id, foreign),
        lambda: gateway.delete_message(domain.ada, room_id, foreign),
        lambda: gateway.message_state(domain.ada, room_id, foreign),
    ]
    for attempt in attempts:
        with pytest.raises(MessageNotFound):
            await attempt()


async def test_a_persona_that_is_none_is_refused_before_anything_happens(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    with pytest.raises(UnknownPersona) as refused:
        await gateway.create_room(domain.ada, None, "NOBODY")
    assert refused.value.extra["errors"]
    with pytest.raises(UnknownPersona):
        await gateway.send_message(domain.ada, room_id, SendRequest("x", ai_persona="NOBODY"))
    assert await domain.texts(room_id) == []


async def test_a_room_is_created_once_for_each_key(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()
    await domain.loader.open_partition(HOME)
    cluster.state_machine.failures = 1
    once = Idempotency("k", "f")
    first = await gateway.create_room(domain.ada, "Once", None, once)
    assert not first.replayed, "asking the state machine again is not the client's repeat"
    again = await gateway.create_room(domain.ada, "Once", None, once)
    assert (again.replayed, again.room) == (True, first.room)
    with pytest.raises(IdempotencyMismatch):
        await gateway.create_room(domain.ada, "Twice", None, Idempotency("k", "other"))
    assert (await gateway.list_rooms(domain.ada, 10, None)).total_count == 1
    await gateway.delete_room(domain.ada, first.room.room_id)
    with pytest.raises(RoomNotFound):
        await gateway.create_room(domain.ada, "Once", None, once)


async def test_a_state_machine_that_dies_is_asked_again(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()
    await domain.loader.open_partition(HOME)
    cluster.state_machine.failures = 2
    room = (await gateway.create_room(domain.ada, "Once", None)).room
    assert (await gateway.list_rooms(domain.ada, 10, None)).total_count == 1
    assert (await gateway.room_state(domain.ada, room.room_id)).state == "PENDING"
    cluster.state_machine.failures = 100
    with pytest.raises(Overloaded):
        await gateway.create_room(domain.ada, "Twice", None)


async def test_an_owners_deletes_do_not_wait_for_a_state_machine_that_hangs(cluster: Cluster) -> None:
    """What a room's owner does stays in its process."""
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    said = (await gateway.send_message(domain.ada, room_id, SAY)).message
    cluster.state_machine.hangs = True
    deleted = await gateway.delete_message(domain.ada, room_id, said.message_id)
    assert deleted.outcome is DeleteOutcome.CANCELLED
    assert (await gateway.send_message(domain.ada, room_id, SAY)).message.seq == 2
    assert (await gateway.delete_room(domain.ada, room_id)).state is RoomState.DELETING
    assert STATE_MACHINE not in cluster.lookups


async def test_an_account_is_made_when_first_seen_and_remembered(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()
    first = await gateway.session("new person")
    assert await gateway.session("new person") == first
    assert first.shard_id == await domain.store.shard_of(first.partition)
    domain.store.down = True
    assert await gateway.session("new person") == first
    with pytest.raises(StoreUnavailable):
        await gateway.session("a stranger")
    domain.store.down, domain.server.connected = False, False
    assert await gateway.session("new person") == first


async def test_only_so_many_places_are_remembered(new_domain: DomainMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.routing.PLACES", 3)
    domain = new_domain()
    cluster = Cluster(domain, monkeypatch)
    gateway, rooms = cluster.gateway(), [await domain.new_room() for _ in range(5)]
    for room_id in rooms:
        await gateway.send_message(domain.ada, room_id, SAY)
    assert len(gateway._rooms._places) == 3
    await gateway.send_message(domain.ada, rooms[0], SAY)
    assert cluster.supervisor.asked.count((rooms[0], None)) == 2


async def test_readiness_says_whether_the_supervisor_answers(cluster: Cluster) -> None:
    gateway = cluster.gateway()
    cluster.missing.add("supervisor")
    (health,) = await gateway.readiness()
    assert not health.ok
    assert health.name == "actors"
