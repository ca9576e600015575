"""Attempts and edits that are asked for again with their idempotency key: done once, whatever came after."""

from __future__ import annotations

import pytest

from parlor.cache.changes import Revised
from parlor.errors import IdempotencyMismatch, RoomBusy
from parlor.model.requests import Idempotency
from tests.contract.cache.fixtures import CLAIM_1, CacheFixtures
from tests.contract.cache.test_revisions import change, ended, finish

pytestmark = pytest.mark.contract


async def test_an_attempt_is_begun_once_for_each_key(fixtures: CacheFixtures) -> None:
    address, once = await fixtures.claimed(), Idempotency("k", "same")
    await ended(fixtures, address)
    begun = await change(fixtures, address, 2)
    assert await fixtures.revisions.regenerate(address, CLAIM_1, "n1", begun, once) == Revised(True, False)
    assert await fixtures.revisions.regenerate(address, CLAIM_1, "n1", begun, once) == Revised(False, False)
    before = await fixtures.dump()
    assert await fixtures.revisions.regenerate(address, CLAIM_1, "n2", begun, once) == Revised(False, True), (
        "written now"
    )
    assert await fixtures.dump() == before
    await finish(fixtures, address, begun, "Two")
    later = await change(fixtures, address, 2)
    assert (await fixtures.revisions.regenerate(address, CLAIM_1, "n3", later)).done
    await finish(fixtures, address, later, "Three")
    again = await change(fixtures, address, 2)
    assert await fixtures.revisions.regenerate(address, CLAIM_1, "n4", again, once) == Revised(False, True), (
        "not the last"
    )
    assert await fixtures.revisions.revised_by(address, 2, "n4", once) == Revised(False, True)
    assert await fixtures.revisions.revised_by(address, 2, "n1", once) == Revised(False, False)
    assert await fixtures.revisions.revised_by(address, 2, "n4", Idempotency("new", "same")) is None


async def test_a_message_is_edited_once_for_each_key(fixtures: CacheFixtures) -> None:
    address, once = await fixtures.claimed(), Idempotency("k", "same")
    await ended(fixtures, address)
    question, reply = await change(fixtures, address, 1), await change(fixtures, address, 2)
    edited = await fixtures.revisions.edit(address, CLAIM_1, "n1", question, reply, once, waits=False)
    assert (edited.done, edited.replayed) == (True, False)
    before = await fixtures.dump()
    again = await fixtures.revisions.edit(address, CLAIM_1, "n2", question, reply, once, waits=False)
    assert again == Revised(False, True, edited.cursor), "though its reply is being written"
    assert await fixtures.dump() == before
    await finish(fixtures, address, reply, "Two")
    await fixtures.send(address, 2)
    again = await fixtures.revisions.edit(address, CLAIM_1, "n3", question, reply, once, waits=False)
    assert again == Revised(False, True, edited.cursor), "though it is not the last any more"


async def test_a_key_with_another_request_changes_nothing(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = fixtures.turn(key="k", fingerprint="a send")
    appended = await fixtures.rooms.append(address, CLAIM_1, 0, turn)
    await fixtures.start(address, appended)
    await fixtures.complete(address, appended, "One")
    question, reply, other = (
        await change(fixtures, address, 1),
        await change(fixtures, address, 2),
        Idempotency("k", "x"),
    )
    before = await fixtures.dump()
    with pytest.raises(IdempotencyMismatch):
        await fixtures.revisions.regenerate(address, CLAIM_1, "n1", reply, other)
    with pytest.raises(IdempotencyMismatch):
        await fixtures.revisions.edit(address, CLAIM_1, "n1", question, reply, other, waits=False)
    with pytest.raises(IdempotencyMismatch):
        await fixtures.revisions.revised_by(address, 2, "n1", other)
    assert await fixtures.dump() == before


async def test_a_key_of_a_refused_change_is_not_kept(fixtures: CacheFixtures) -> None:
    address = await fixtures.claimed()
    turn = await fixtures.send(address, 0)
    await fixtures.start(address, turn)
    with pytest.raises(RoomBusy):
        await fixtures.revisions.regenerate(
            address, CLAIM_1, "n1", await change(fixtures, address, 2), Idempotency("k", "f")
        )
    assert await fixtures.redis.exists(fixtures.keys.idempotency(fixtures.partition, address.room_id, "k")) == 0
