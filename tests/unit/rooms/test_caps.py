"""What is counted has an end: rooms of an account, turns that wait in a room, versions of a message."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.errors import LimitReached, QuotaExceeded
from parlor.model.access import Session
from parlor.model.ids import RoomId
from parlor.model.messages import Message
from parlor.model.requests import ReplyMode
from parlor.model.rooms import NewRoom
from parlor.rooms.room import Room
from tests.unit.domain import Domain, DomainMaker
from tests.unit.fake_clock import settle

pytestmark = pytest.mark.unit


async def create(domain: Domain, session: Session) -> RoomId:
    """Creates a room as the gateway does."""
    address = RoomAddress(domain.mint.room_id(session.partition), session.account_id, session.account_db_key)
    return await domain.states.create_room(address, NewRoom("A room", "GPT4O"), by="account")


@pytest.mark.parametrize("stored", [False, True], ids=["in Redis", "in the shard only"])
async def test_an_account_has_so_many_rooms(new_domain: DomainMaker, stored: bool) -> None:
    domain = new_domain(limits={"rooms": 3})
    for _ in range(3):
        await create(domain, domain.ada)
        if stored:
            await domain.write_all()
            await domain.redis.flushall()
    for _ in range(2):
        with pytest.raises(LimitReached):
            await create(domain, domain.ada)
    await create(domain, domain.session("bob"))


async def test_a_room_that_goes_makes_way_for_another(new_domain: DomainMaker) -> None:
    domain = new_domain(limits={"rooms": 1})
    room = domain.room(await create(domain, domain.ada))
    with pytest.raises(LimitReached):
        await create(domain, domain.ada)
    await domain.delete_room(room)
    await domain.write_all()
    await create(domain, domain.ada)


async def test_rooms_that_cannot_be_counted_are_created(new_domain: DomainMaker) -> None:
    domain = new_domain(limits={"rooms": 3})
    await create(domain, domain.ada)
    domain.store.down = True
    await create(domain, domain.ada)


async def test_without_a_limit_nobody_is_asked(new_domain: DomainMaker) -> None:
    domain = new_domain(limits={"rooms": None})
    await create(domain, domain.ada)
    domain.store.down = True
    await create(domain, domain.ada)


async def test_a_room_has_so_many_turns_that_wait(new_domain: DomainMaker) -> None:
    domain = new_domain(limits={"waiting_turns": 2})
    room = domain.room(await domain.new_room())
    running = await domain.send(room, "is answered now")
    await settle()
    for number in range(2):
        await domain.send(room, f"waits {number}", key=f"key {number}")
    with pytest.raises(LimitReached):
        await domain.send(room, "one too many")
    # What was taken is told again, and what waits for nothing is taken.
    assert (await domain.send(room, "waits 0", key="key 0")).replayed
    await domain.send(room, "for the record", reply=ReplyMode.NONE)
    assert running.reply is not None
    await domain.answer(0, "An answer")
    await domain.send(room, "waits now")


async def said(domain: Domain, room: Room) -> tuple[Message, Message]:
    receipt = await domain.send(room, "question")
    await domain.answer(0, "One")
    assert receipt.reply is not None
    return receipt.message, receipt.reply


async def test_a_reply_has_so_many_attempts(new_domain: DomainMaker) -> None:
    domain = new_domain(limits={"versions": 2})
    room = domain.room(await domain.new_room())
    question, reply = await said(domain, room)
    await domain.regenerate(room, reply.message_id, nonce="second")
    await domain.answer(1, "Two")
    with pytest.raises(LimitReached):
        await domain.regenerate(room, reply.message_id, nonce="third")
    with pytest.raises(LimitReached):
        await domain.edit(room, question.message_id, "begins the reply again")
    # Its answer was lost: it is told what it has begun.
    assert (await domain.regenerate(room, reply.message_id, nonce="second")).attempt == 2


async def test_what_an_operator_set_for_an_account_holds_at_once_for_it_alone(new_domain: DomainMaker) -> None:
    domain = new_domain()
    ada, bob = domain.ada, domain.session("bob")
    room, of_bob = domain.room(await domain.new_room(ada)), domain.room(await domain.new_room(bob))
    domain.live.limits.set("ada", {"rooms": 1, "versions": 1, "waiting_turns": 1, "tokens_per_day": 0})
    await create(domain, bob)
    with pytest.raises(LimitReached):
        await create(domain, ada)
    with pytest.raises(QuotaExceeded):
        await domain.send(room, "question")
    domain.live.limits.set("ada", {"versions": 1, "waiting_turns": 1})
    message = await domain.say(room, "1")
    with pytest.raises(LimitReached):
        await domain.edit(room, message.message_id, "2")
    for number in range(2):
        await domain.send(room, f"{number}")
        await settle()
    with pytest.raises(LimitReached):
        await domain.send(room, "one too many")
    for number in range(3):
        await domain.send(of_bob, f"{number}", session=bob)
        await settle()


async def test_a_message_has_so_many_texts(new_domain: DomainMaker) -> None:
    domain = new_domain(limits={"versions": 3})
    room = domain.room(await domain.new_room())
    message = await domain.say(room, "1")
    for text in ("2", "3"):
        await domain.edit(room, message.message_id, text, nonce=text)
    with pytest.raises(LimitReached):
        await domain.edit(room, message.message_id, "4", nonce="4")
    assert (await domain.edit(room, message.message_id, "3", nonce="3")).message.content == "3"
