"""Committing a batch: each operation once, in order, and a row that is refused apart from the others."""

from __future__ import annotations

import pytest

from parlor.model.states import MessageState
from parlor.store.ports import Batch
from tests.unit.account_use import used_by_day
from tests.unit.domain import HOME, Domain
from tests.unit.persistence.writer_fixture import INTERVAL, killed, opened, started, states, stored

pytestmark = pytest.mark.unit


async def test_a_batch_whose_answer_was_lost_is_counted_once(domain: Domain) -> None:
    room = await opened(domain)
    await started(domain)
    domain.store.lost.append("fp_writer_apply")
    await domain.say(room, "once")
    await domain.clock.advance(INTERVAL + 0.1)
    await domain.say(room, "twice")
    await domain.clock.advance(10)
    assert await stored(domain, room.room_id) == ["once", "twice"]
    assert await states(domain, room.room_id) == [MessageState.SENT, MessageState.SENT]
    uses = await used_by_day(domain)
    assert [use.messages for use in uses] == [2]
    assert await domain.queued() == 0


async def test_half_a_bisected_batch_whose_answer_was_lost_is_counted_once(domain: Domain) -> None:
    room = await opened(domain)
    await started(domain)

    def poisoned(batch: Batch) -> bool:
        bad = any(save.doc.content == "poison" for save in batch.message_saves)
        if bad and "fp_writer_apply" not in domain.store.lost and len(domain.store.batches) == 1:
            domain.store.lost.append("fp_writer_apply")
        return bad

    domain.store.poison = poisoned
    for text in ("one", "two", "poison", "four"):
        await domain.say(room, text)
    await domain.clock.advance(20)
    assert await stored(domain, room.room_id) == ["one", "two", "four"]
    uses = await used_by_day(domain)
    assert [use.messages for use in uses] == [3]


async def test_a_poison_row_is_parked_and_the_others_go_on_in_order(domain: Domain) -> None:
    room = await opened(domain)
    domain.store.poison = lambda batch: any(save.doc.content == "poison" for save in batch.message_saves)
    for text in ("one", "two", "poison", "four", "five"):
        await domain.say(room, text)
    await started(domain)
    await domain.clock.advance(INTERVAL + 1)
    assert [(row.seq, row.doc.content) for row in await domain.rows(room.room_id)] == [
        (1, "one"),
        (2, "two"),
        (4, "four"),
        (5, "five"),
    ]
    assert domain.metrics.parked_count == 1
    depth, _, dead = await domain.queue.depth(HOME)
    assert (depth, dead) == (0, 1)
    parked = await domain.redis.xrange(domain.live.keys.dead(HOME))
    assert parked
    ((_, fields),) = parked
    assert fields is not None
    assert b"poison" in fields[b"doc"]
    assert b"poison" in fields[b"reason"]
    applied = [batch.fences[0].applied for batch in domain.store.batches]
    assert applied[-1] == max(applied)


async def test_a_commit_that_was_not_finished_is_only_finished(domain: Domain) -> None:
    room = await opened(domain)
    task = await started(domain)
    domain.pipeline.refuse["finish_batch"] = 1
    await domain.say(room, "once")
    await domain.clock.advance(INTERVAL + 0.1)
    assert await stored(domain, room.room_id) == ["once"]
    assert await states(domain, room.room_id) == [MessageState.PROCESSING]
    await killed(task, domain)
    await started(domain)
    assert await states(domain, room.room_id) == [MessageState.SENT]
    assert len(domain.store.batches) == 1
    assert await domain.queued() == 0
