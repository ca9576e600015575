"""The gateway's requests about replies, memory and use: which command reaches the room's owner, and who is refused."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from ray.exceptions import RayActorError

from actors.gateway import ActorGateway
from parlor.errors import (
    CacheUnavailable,
    IllegalTransition,
    InternalError,
    MessageNotFound,
    RoomNotFound,
    StoreUnavailable,
)
from parlor.model.access import DailyUse, Session
from parlor.model.ids import MessageId, RoomId
from parlor.model.messages import FinishReason, Message, MessageList
from parlor.model.requests import AttemptReceipt, EditReceipt, OnBusy, ReplyMode, SendRequest
from parlor.model.rooms import RoomMemory
from parlor.model.states import MessageState
from parlor.rooms.commands import (
    Command,
    Continue,
    Done,
    Edit,
    EditDone,
    MessageDone,
    Outcome,
    Refused,
    Regenerate,
    ResetMemory,
    Stop,
    decode_commands,
    encode_outcomes,
)
from tests.unit.actors.cluster import Cluster, Method
from tests.unit.domain import HOME, NEIGHBOUR, OTHER_SHARD, Domain, settle

pytestmark = pytest.mark.unit


class Owner:
    """Stands in for the room's owner: keeps the commands, gives the outcome that a test sets."""

    def __init__(self, cluster: Cluster) -> None:
        self.served: list[Command] = []
        self.outcome: Outcome = Done()
        self.dies = 0
        """So many calls end with the actor's death, after they were served."""
        for actor in cluster.actors.values():
            actor.execute = Method(self._execute)

    async def _execute(self, blob: bytes, activate: bool) -> bytes:
        commands = decode_commands(blob)
        self.served += commands
        if self.dies:
            self.dies -= 1
            raise RayActorError
        return encode_outcomes([self.outcome] * len(commands))


@pytest.fixture
def cluster(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(domain, monkeypatch)


@pytest.fixture
def owner(cluster: Cluster) -> Owner:
    return Owner(cluster)


@pytest.fixture
async def said(cluster: Cluster) -> Message:
    """A message of Ada's, in a room of hers."""
    room = await cluster.domain.opened()
    return await cluster.domain.say(room)


async def test_a_stop_names_reply_and_attempt(cluster: Cluster, owner: Owner, said: Message) -> None:
    owner.outcome = MessageDone(said)
    gateway, ada = cluster.gateway(), cluster.domain.ada
    assert await gateway.stop_reply(ada, said.room_id, said.message_id, 2) == said
    await gateway.stop_reply(ada, said.room_id, said.message_id, None)
    assert owner.served == [
        Stop(ada, said.room_id, "", said.message_id, 2, ticket=1),
        Stop(ada, said.room_id, "", said.message_id, None),
    ]


async def test_each_new_attempt_and_each_edit_has_a_nonce_of_its_own(
    cluster: Cluster, owner: Owner, said: Message
) -> None:
    gateway, ada = cluster.gateway(), cluster.domain.ada
    owner.outcome = MessageDone(said)
    for _ in range(2):
        assert await gateway.regenerate(ada, said.room_id, said.message_id) == AttemptReceipt(said, False)
        assert await gateway.continue_reply(ada, said.room_id, said.message_id) == AttemptReceipt(said, False)
    owner.outcome = EditDone(EditReceipt(said, None, "1-1"))
    for _ in range(2):
        assert await gateway.edit_message(ada, said.room_id, said.message_id, "better") == EditReceipt(
            said, None, "1-1"
        )
    nonces = []
    for command in owner.served:
        assert isinstance(command, Regenerate | Continue | Edit)
        assert (command.session, command.room_id, command.message_id) == (ada, said.room_id, said.message_id)
        assert not isinstance(command, Edit) or command.content == "better"
        nonces.append(command.nonce)
    assert [type(command) for command in owner.served] == [Regenerate, Continue, Regenerate, Continue, Edit, Edit]
    assert len(set(nonces)) == 6
    assert all(re.fullmatch("[0-9a-f]{32}", nonce) for nonce in nonces)


async def test_asking_again_after_a_death_is_the_same_command(cluster: Cluster, owner: Owner, said: Message) -> None:
    owner.outcome, owner.dies = MessageDone(said), 2
    await cluster.gateway().regenerate(cluster.domain.ada, said.room_id, said.message_id)
    first, *others = owner.served
    assert others == [first, first]


async def test_an_owners_refusal_is_raised(cluster: Cluster, owner: Owner, said: Message) -> None:
    owner.outcome = Refused(IllegalTransition(extra={"from": "SENT"}).to_wire())
    with pytest.raises(IllegalTransition) as refused:
        await cluster.gateway().regenerate(cluster.domain.ada, said.room_id, said.message_id)
    assert refused.value.extra == {"from": "SENT"}


async def test_an_answer_to_another_command_is_an_internal_error(cluster: Cluster, owner: Owner, said: Message) -> None:
    owner.outcome = Done()
    with pytest.raises(InternalError):
        await cluster.gateway().stop_reply(cluster.domain.ada, said.room_id, said.message_id, None)


async def test_a_memory_that_was_reset_is_answered_as_it_is_then(cluster: Cluster, owner: Owner, said: Message) -> None:
    gateway, ada = cluster.gateway(), cluster.domain.ada
    assert await gateway.reset_memory(ada, said.room_id) == await gateway.room_memory(ada, said.room_id)
    assert await gateway.room_memory(ada, said.room_id) == RoomMemory("", 0, None, 0)
    assert owner.served == [ResetMemory(ada, said.room_id, "", ticket=1)]


@pytest.mark.parametrize("on_busy", OnBusy)
async def test_every_way_to_treat_a_busy_room_reaches_its_owner(
    cluster: Cluster, owner: Owner, said: Message, on_busy: OnBusy
) -> None:
    owner.outcome = Refused(RoomNotFound().to_wire())
    with pytest.raises(RoomNotFound):
        await cluster.gateway().send_message(cluster.domain.ada, said.room_id, SendRequest("x", on_busy=on_busy))
    (command,) = owner.served
    assert getattr(command, "request", None) == SendRequest("x", on_busy=on_busy)


async def test_a_reply_is_stopped_and_begun_anew_and_its_question_edited(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    receipt = await gateway.send_message(domain.ada, room_id, SendRequest("tea?"))
    assert receipt.reply is not None
    reply_id = receipt.reply.message_id
    await settle()
    domain.model.talks[0].say("First you")
    await domain.clock.advance(1)
    stopped = await gateway.stop_reply(domain.ada, room_id, reply_id, 1)
    assert (stopped.content, stopped.finish_reason, stopped.attempt) == ("First you", FinishReason.STOPPED, 1)
    assert await gateway.stop_reply(domain.ada, room_id, reply_id, None) == stopped

    again = (await gateway.regenerate(domain.ada, room_id, reply_id)).message
    assert (again.message_id, again.attempt, again.state) == (reply_id, 2, MessageState.COMPOSING)
    await domain.answer(1, "Boil water")
    said = await gateway.variants(domain.ada, room_id, reply_id, 20, None)
    assert [(each.attempt, each.content) for each in said.messages] == [(1, "First you"), (2, "Boil water")]

    edited = await gateway.edit_message(domain.ada, room_id, receipt.message.message_id, "coffee?")
    assert edited.message.content == "coffee?"
    assert edited.message.metadata["edited_at"]
    assert edited.reply is not None
    assert (edited.reply.message_id, edited.reply.attempt) == (reply_id, 3)
    await domain.answer(2, "Grind beans")
    assert await domain.texts(room_id) == [(1, "coffee?"), (2, "Grind beans")]
    question = await gateway.variants(domain.ada, room_id, receipt.message.message_id, 20, None)
    assert [each.content for each in question.messages] == ["tea?", "coffee?"]


async def test_a_message_that_was_never_changed_is_its_only_variant(cluster: Cluster, said: Message) -> None:
    found = await cluster.gateway().variants(cluster.domain.ada, said.room_id, said.message_id, 20, None)
    assert found == MessageList([said], None)


async def test_messages_whose_replies_wait_are_the_queue(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    running, *waiting = [await gateway.send_message(domain.ada, room_id, SendRequest(text)) for text in ("1", "2", "3")]
    await settle()
    queued = await gateway.queued_messages(domain.ada, room_id, 50, None)
    assert [each.message_id for each in queued.messages] == [receipt.message.message_id for receipt in waiting]
    assert running.message.message_id not in {each.message_id for each in queued.messages}


async def test_the_running_reply_is_found_behind_any_number_of_waiting_turns(cluster: Cluster) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    assert await gateway.running_reply(domain.ada, room_id) is None
    first, *_ = [await gateway.send_message(domain.ada, room_id, SendRequest(f"{number}")) for number in range(30)]
    await settle()
    running = await gateway.running_reply(domain.ada, room_id)
    assert running is not None
    assert first.reply is not None
    assert (running.message_id, running.is_streaming) == (first.reply.message_id, True)
    with pytest.raises(RoomNotFound):
        await gateway.running_reply(domain.session("eve"), room_id)


@pytest.mark.parametrize("stored", [True, False])
async def test_without_redis_nobody_knows_what_a_room_is_at(cluster: Cluster, stored: bool) -> None:
    domain, gateway, room_id = cluster.domain, cluster.gateway(), await cluster.domain.new_room()
    await gateway.send_message(domain.ada, room_id, SendRequest("x", reply=ReplyMode.NONE))
    if stored:
        await domain.write_all()
    assert [each.content for each in await gateway.current_messages(domain.ada, room_id, 10)] == ["x"]
    domain.server.connected = False
    with pytest.raises(CacheUnavailable):
        await gateway.running_reply(domain.ada, room_id)
    with pytest.raises(CacheUnavailable):
        await gateway.current_messages(domain.ada, room_id, 10)


async def test_use_is_the_accounts_own_on_its_own_shard(cluster: Cluster) -> None:
    domain, gateway = cluster.domain, cluster.gateway()
    bob = domain.session("bob", NEIGHBOUR)
    for session, count in ((domain.ada, 2), (bob, 1)):
        room_id = await domain.new_room(session)
        for _ in range(count):
            await gateway.send_message(session, room_id, SendRequest("x", reply=ReplyMode.NONE))
    await domain.write_all(HOME, NEIGHBOUR)
    today = datetime.fromtimestamp(domain.clock.ms / 1000, UTC).date()
    (used,) = await gateway.usage(domain.ada, today, today, UTC)
    assert used == DailyUse(domain.ada.account_db_key, today.isoformat(), 2, 0, 0)
    assert await gateway.usage(domain.ada, date(2000, 1, 1), date(2000, 12, 31), UTC) == []
    far = timezone(timedelta(hours=14))
    tomorrow = domain.clock.ms // 1000 + 14 * 3600
    (used,) = await gateway.usage(domain.ada, today, today + timedelta(days=1), far)
    assert used.day == datetime.fromtimestamp(tomorrow, UTC).date().isoformat()
    old = Session(domain.ada.account_id, domain.ada.account_db_key, domain.ada.partition, OTHER_SHARD)
    (used,) = await gateway.usage(old, today, today, UTC)
    assert used.messages == 2, "the map says where it lives, not what a session remembers"
    domain.store.down = True
    with pytest.raises(StoreUnavailable):
        await gateway.usage(domain.ada, today, today, UTC)


def of_message(
    gateway: ActorGateway, session: Session, room_id: RoomId, message_id: MessageId
) -> list[Awaitable[object]]:
    return [
        gateway.stop_reply(session, room_id, message_id, None),
        gateway.regenerate(session, room_id, message_id),
        gateway.continue_reply(session, room_id, message_id),
        gateway.edit_message(session, room_id, message_id, "x"),
        gateway.variants(session, room_id, message_id, 20, None),
    ]


def of_room(gateway: ActorGateway, session: Session, room_id: RoomId) -> list[Awaitable[object]]:
    return [
        gateway.queued_messages(session, room_id, 50, None),
        gateway.running_reply(session, room_id),
        gateway.current_messages(session, room_id, 50),
        gateway.room_memory(session, room_id),
        gateway.reset_memory(session, room_id),
    ]


async def test_a_room_of_another_partition_needs_no_looking_up(cluster: Cluster, owner: Owner, said: Message) -> None:
    gateway, bob = cluster.gateway(), cluster.domain.session("bob", NEIGHBOUR)
    cluster.domain.store.calls.clear()
    foreign = cluster.domain.mint.message_id(NEIGHBOUR)
    for message_id in (said.message_id, foreign):
        for attempt in [*of_message(gateway, bob, said.room_id, message_id), *of_room(gateway, bob, said.room_id)]:
            with pytest.raises(RoomNotFound):
                await attempt
    assert owner.served == []
    assert cluster.domain.store.calls == []


async def test_a_message_id_of_another_partition_is_no_message_of_this_room(
    cluster: Cluster, owner: Owner, said: Message
) -> None:
    gateway, foreign = cluster.gateway(), cluster.domain.mint.message_id(NEIGHBOUR)
    for attempt in of_message(gateway, cluster.domain.ada, said.room_id, foreign):
        with pytest.raises(MessageNotFound):
            await attempt
    for attempt in of_message(gateway, cluster.domain.session("eve"), said.room_id, foreign):
        with pytest.raises(RoomNotFound):
            await attempt
    assert owner.served == []


async def test_a_neighbours_room_is_not_found_by_anything(cluster: Cluster, said: Message) -> None:
    gateway, eve = cluster.gateway(), cluster.domain.session("eve")
    for attempt in [*of_message(gateway, eve, said.room_id, said.message_id), *of_room(gateway, eve, said.room_id)]:
        with pytest.raises(RoomNotFound):
            await attempt
    (left,) = (await cluster.domain.page(said.room_id)).messages
    assert left.content == said.content
