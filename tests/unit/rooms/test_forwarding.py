"""Two clusters on one Redis: a room stays where its owner lives, and goes where its requests are."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from msgspec import structs

from parlor.cache.clusters import CALL_MS
from parlor.errors import CacheUnavailable
from parlor.model.ids import NO_CLUSTER, ClusterId, MessageId, RoomId
from parlor.model.messages import FinishReason
from parlor.rooms.commands import Command, MessageDone, Outcome, Refused, Regenerate, SendDone, Stop, Wake
from parlor.rooms.forwarding import ForwardedCalls, Forwarder, Unanswered
from parlor.rooms.host import HAND_OVER_AFTER, RoomHost
from tests.unit.domain import Domain, settle

pytestmark = pytest.mark.unit

BLUE, GREEN = ClusterId("0b1"), ClusterId("9ee")


class Side:
    """One cluster: a host, and both ends of the way to the other one."""

    def __init__(self, domain: Domain, cluster: ClusterId) -> None:
        self.domain = domain
        self.cluster = cluster
        self.host: RoomHost = domain.host(cluster)
        self.forwarder = Forwarder(cluster, domain.clusters, domain.clock, domain.mint)
        self.calls = ForwardedCalls(cluster, domain.clusters, domain.clock, self.serve)
        self.taking = domain.spawn(self.calls.run())
        self.gate: asyncio.Event | None = None
        """What is served for the other cluster waits for it."""

    async def serve(self, command: Command) -> Outcome:
        if self.gate is not None:
            await self.gate.wait()
        return (await self.host.execute([command], activate=True))[0]

    async def ask(self, command: Command) -> Outcome:
        """As the gateway of this cluster does it, once."""
        holder = await self.domain.reader.holder(command.room_id)
        copy = structs.replace(command, ticket=holder.ticket)
        asked = self.domain.spawn(self.forwarder.forward(holder.cluster, copy))
        await settle()
        while not asked.done():
            await self.domain.clock.advance(0.01)
        return await asked or await self.serve(copy)

    async def send(self, room_id: RoomId, text: str = "Hello") -> SendDone:
        outcome = await self.ask(self.domain.send_command(room_id, text))
        assert isinstance(outcome, SendDone), outcome
        return outcome

    async def die(self) -> None:
        self.taking.cancel()
        await asyncio.gather(self.taking, return_exceptions=True)


@pytest.fixture
async def blue(domain: Domain) -> Side:
    return Side(domain, BLUE)


@pytest.fixture
async def green(domain: Domain, blue: Side) -> Side:
    side = Side(domain, GREEN)
    await settle()
    return side


async def holder_of(domain: Domain, room_id: RoomId) -> ClusterId:
    return (await domain.reader.holder(room_id)).cluster


async def test_a_claim_names_its_cluster(domain: Domain, blue: Side) -> None:
    room_id = await domain.new_room()
    assert await holder_of(domain, room_id) == NO_CLUSTER
    await blue.send(room_id)
    assert await holder_of(domain, room_id) == BLUE
    await domain.answer(0, "Hi")
    await blue.host.passivate(room_id)
    assert await holder_of(domain, room_id) == NO_CLUSTER


async def test_a_room_whose_requests_alternate_is_not_taken_and_no_reply_is_reset(
    domain: Domain, blue: Side, green: Side
) -> None:
    room_id = await domain.new_room()
    for talk in range(2 * HAND_OVER_AFTER):
        sent = await (green if talk % 2 else blue).send(room_id, f"{talk}")
        assert sent.receipt.message.seq == 2 * talk + 1
        await settle()
        domain.model.talks[talk].say("Hm. ")
        await domain.clock.advance(0.1)
        # Also one for the reply that is being written.
        await (blue if talk % 2 else green).ask(Wake(None, room_id, "sweep"))
        await domain.answer(talk, "Hi")
    assert (blue.host.rooms, green.host.rooms) == ([room_id], [])
    assert [kind for kind, _ in await domain.events(room_id) if kind == "message.reset"] == []
    assert [text for _, text in await domain.texts(room_id)][1::2] == ["Hm. Hi"] * 2 * HAND_OVER_AFTER


async def test_a_room_goes_where_all_of_its_requests_are_between_two_replies(
    domain: Domain, blue: Side, green: Side
) -> None:
    room_id = await domain.new_room()
    await blue.send(room_id)
    await domain.answer(0, "Hi")
    for talk in range(1, HAND_OVER_AFTER + 1):
        assert blue.host.rooms == [room_id]
        await green.send(room_id)
        if talk < HAND_OVER_AFTER:
            await domain.answer(talk, "Hi")
    await domain.clock.advance(1.0)
    assert blue.host.rooms == [room_id], "its reply is being written"
    await domain.answer(HAND_OVER_AFTER, "Hi")
    await domain.clock.advance(0.1)
    assert blue.host.rooms == []
    await green.send(room_id)
    assert green.host.rooms == [room_id]
    assert await holder_of(domain, room_id) == GREEN
    assert [kind for kind, _ in await domain.events(room_id) if kind == "message.reset"] == []


async def test_it_stays_when_somebody_comes_to_its_own_cluster_meanwhile(
    domain: Domain, blue: Side, green: Side
) -> None:
    room_id = await domain.new_room()
    await blue.send(room_id)
    await domain.answer(0, "Hi")
    for talk in range(1, HAND_OVER_AFTER + 1):
        await green.send(room_id)
        if talk < HAND_OVER_AFTER:
            await domain.answer(talk, "Hi")
    await blue.send(room_id)
    for talk in range(HAND_OVER_AFTER, HAND_OVER_AFTER + 2):
        await domain.answer(talk, "Hi")
    await domain.clock.advance(1.0)
    assert blue.host.rooms == [room_id]


async def test_a_refusal_is_an_answer_too(domain: Domain, blue: Side, green: Side) -> None:
    room_id = await domain.new_room()
    await blue.send(room_id)
    outcome = await green.ask(domain.send_command(room_id, session=domain.session("eve")))
    assert isinstance(outcome, Refused)
    assert outcome.error.kind == "RoomNotFound"


async def test_rooms_of_a_cluster_that_died_are_claimed_when_it_is_not_heard_of(
    domain: Domain, blue: Side, green: Side
) -> None:
    room_id = await domain.new_room()
    await blue.send(room_id)
    await blue.die()
    await domain.redis.delete(domain.live.keys.alive(BLUE))  # as when it expires
    await green.send(room_id)
    assert green.host.rooms == [room_id]
    assert await domain.clusters.others(GREEN) == []


async def test_a_cluster_that_leaves_says_so(domain: Domain, blue: Side, green: Side) -> None:
    room_id = await domain.new_room()
    await blue.send(room_id)
    assert await domain.clusters.others(GREEN) == [BLUE]
    await blue.die()
    await blue.calls.close()
    assert await domain.clusters.others(GREEN) == []
    assert await green.forwarder.forward(BLUE, domain.send_command(room_id)) is None


async def test_a_cluster_without_a_name_asks_nobody(domain: Domain, blue: Side) -> None:
    nameless = Forwarder(NO_CLUSTER, domain.clusters, domain.clock, domain.mint)
    assert await nameless.forward(BLUE, domain.send_command(await domain.new_room())) is None
    assert await nameless.elsewhere({BLUE, GREEN}) == set()


async def test_which_clusters_are_others_and_live(domain: Domain, blue: Side, green: Side) -> None:
    assert await green.forwarder.elsewhere({BLUE, GREEN, NO_CLUSTER, ClusterId("dead")}) == {BLUE}


async def test_a_late_copy_is_refused_when_a_higher_ticket_was_served(domain: Domain, blue: Side, green: Side) -> None:
    """A stop that the other cluster held back must not stop the attempt that was begun after it."""
    room_id = await domain.new_room()
    sent = await blue.send(room_id)
    reply = sent.receipt.reply
    assert reply is not None
    await settle()
    stop = Stop(domain.ada, room_id, "request", reply.message_id, None)
    ticket = await domain.reader.claims(room_id)
    blue.gate = asyncio.Event()
    late = domain.spawn(green.forwarder.forward(BLUE, structs.replace(stop, ticket=ticket)))
    await domain.clock.advance(CALL_MS / 1000 + 0.1)
    with pytest.raises(Unanswered):
        await late
    gate, blue.gate = blue.gate, None
    again = domain.spawn(green.forwarder.forward(BLUE, structs.replace(stop, ticket=ticket + 1)))
    await domain.clock.advance(1.0)
    assert isinstance(await again, MessageDone)
    await regenerated(domain, blue, room_id, reply.message_id)
    gate.set()
    await domain.clock.advance(1.0)
    domain.model.talks[1].say("Whole.")
    domain.model.talks[1].finish()
    await domain.clock.advance(1.0)
    last = (await domain.page(room_id)).messages[1]
    assert (last.content, last.finish_reason) == ("Whole.", FinishReason.STOP)


async def regenerated(domain: Domain, side: Side, room_id: RoomId, reply: MessageId) -> None:
    (done,) = await side.host.execute(
        [Regenerate(domain.ada, room_id, "request", reply, domain.mint.token())], activate=False
    )
    assert isinstance(done, MessageDone)
    await settle()


async def test_calls_that_cannot_be_served_hold_up_no_others(domain: Domain, blue: Side, green: Side) -> None:
    room_id = await domain.new_room()
    await blue.send(room_id)
    assert await domain.clusters.call(BLUE, domain.mint.token(), b"of another age")
    host, blue.host = blue.host, None  # type: ignore[assignment]  # a fault of ours
    failed = domain.spawn(green.forwarder.forward(BLUE, structs.replace(domain.send_command(room_id), ticket=1)))
    with structlog.testing.capture_logs() as logs:
        await domain.clock.advance(CALL_MS / 1000 + 0.1)
    with pytest.raises(Unanswered):
        await failed
    assert {"call_not_understood", "call_failed"} <= {line["event"] for line in logs}
    blue.host = host
    assert (await green.send(room_id)).receipt.message.seq == 3


async def test_redis_away_is_said_to_the_caller_and_the_clusters_go_on(domain: Domain, blue: Side, green: Side) -> None:
    room_id = await domain.new_room()
    await blue.send(room_id)
    domain.server.connected = False
    with pytest.raises(CacheUnavailable):
        await green.forwarder.forward(BLUE, structs.replace(domain.send_command(room_id), ticket=1))
    await domain.clock.advance(1.0)
    domain.server.connected = True
    await domain.clock.advance(1.0)
    assert (await green.send(room_id)).receipt.message.seq == 3
