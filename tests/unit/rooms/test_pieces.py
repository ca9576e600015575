"""The pieces in which a reply is written: the first one at once, the next ones as often as Redis has time for them."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.domain import Domain, settle
from tests.unit.rooms.test_reply import begun, deltas

pytestmark = pytest.mark.unit

INTERVAL = 0.025
"""Of deltas, the default."""


async def test_the_first_piece_is_told_at_once_and_the_next_ones_together(domain: Domain) -> None:
    room, talk = await begun(domain)
    talk.say("A")
    await settle()
    assert await deltas(domain, room) == [(0, "A")]
    talk.say("B", "C", "D")
    await settle()
    assert await deltas(domain, room) == [(0, "A")]
    await domain.clock.advance(INTERVAL)
    assert await deltas(domain, room) == [(0, "A"), (1, "BCD")]
    talk.say("E")
    await domain.clock.advance(INTERVAL)
    assert await deltas(domain, room) == [(0, "A"), (1, "BCD"), (4, "E")]


@pytest.mark.parametrize(("took", "pause"), [(0.0, INTERVAL), (0.06, 0.06), (5.0, 0.1)])
async def test_where_redis_is_slow_pieces_are_fewer(domain: Domain, took: float, pause: float) -> None:
    room, talk = await begun(domain)
    gate = domain.pipeline.gates["append_delta"] = asyncio.Event()
    talk.say("A")
    await settle()
    await domain.clock.advance(took)
    gate.set()
    await settle()
    talk.say("B")
    await domain.clock.advance(pause - 0.005)
    assert await deltas(domain, room) == [(0, "A")]
    await domain.clock.advance(0.01)
    assert await deltas(domain, room) == [(0, "A"), (1, "B")]


async def test_where_redis_is_slow_what_the_model_says_waits_for_the_next_piece(domain: Domain) -> None:
    """In the connection's buffer, where several pieces cost as much as one; it comes no later for that."""
    room, talk = await begun(domain)
    gate = domain.pipeline.gates["append_delta"] = asyncio.Event()
    talk.say("A")
    await settle()
    await domain.clock.advance(0.06)
    gate.set()
    await settle()
    for piece in "BCD":
        talk.say(piece)
        await settle()
    assert talk.parts.qsize() == 2, "one was taken when it came"
    await domain.clock.advance(0.06)
    assert await deltas(domain, room) == [(0, "A"), (1, "BCD")]
    talk.say("E")
    talk.finish()
    await domain.clock.advance(1)
    assert (await domain.texts(room.room_id))[1] == (2, "ABCDE")


async def test_a_reply_that_waits_for_its_next_piece_is_stopped_at_once(domain: Domain) -> None:
    room, talk = await begun(domain)
    gate = domain.pipeline.gates["append_delta"] = asyncio.Event()
    talk.say("A")
    await settle()
    await domain.clock.advance(5)
    gate.set()
    await settle()
    talk.say("B", "C")
    await settle()
    assert not talk.parts.empty()
    reply = (await domain.page(room.room_id)).messages[1]
    await domain.stop(room, reply.message_id)
    assert talk.closed
    assert (await domain.texts(room.room_id))[1] == (2, "AB")
