"""Accounts that are deleted with everything that they have (I22)."""

from __future__ import annotations

import contextlib
import itertools
import zlib
from typing import Any

import pytest

from parlor.administration.deletions import UNDER_WAY_MS, Deletions
from parlor.administration.operations import Operations
from parlor.cache.audit import AuditCache
from parlor.cache.dead_letters import DeadLetterCache
from parlor.cache.operators import OperatorCache
from parlor.cache.records import text
from parlor.errors import StoreUnavailable
from parlor.model.access import Deletion, Session
from parlor.model.ids import AccountId
from parlor.model.requests import ReplyMode
from parlor.persistence.dead_letters import DeadLetters
from parlor.rooms.room import Room
from parlor.store.deletions import DeletionStore, Remains
from parlor.store.ports import Batch
from parlor.store.rows import Row
from tests.unit.domain import Domain, settle
from tests.unit.fsck.chat import check, kinds
from tests.unit.memory_store import PARTITIONS

pytestmark = pytest.mark.unit

EVE, BOB = AccountId("eve"), AccountId("bob-1")
NOTHING = Remains(0, 0, 0, 0)


def dead_letters(domain: Domain) -> DeadLetters:
    audit = AuditCache(domain.live, domain.settings.redis.prefix)
    return DeadLetters(
        DeadLetterCache(domain.live), audit, OperatorCache(domain.live), domain.states, domain.loader, domain.store
    )


def deletions(domain: Domain) -> Deletions:
    return Deletions(
        domain.store,
        domain.live,
        domain.directory,
        domain.loader,
        domain.files,
        dead_letters(domain),
        domain.clock,
    )


def operations(domain: Domain) -> Operations:
    return Operations(domain.store, domain.reader, dead_letters(domain), domain.live.limits, domain.mint, domain.clock)


async def session_of(domain: Domain, account: AccountId) -> Session:
    row = await domain.store.open_account(account)
    return Session(account, row.account_db_key, row.partition, await domain.store.shard_of(row.partition))


async def write(domain: Domain, session: Session) -> None:
    await domain.finish_writing(domain.writer(session.partition, name="write", shard=session.shard_id))


async def talk(domain: Domain, session: Session, *contents: str) -> Room:
    """A room with messages that are on their way to the shard."""
    room = domain.room(await domain.new_room(session, "Private"))
    for content in contents:
        await domain.send(room, content, session=session, reply=ReplyMode.NONE)
    return room


async def remains(domain: Domain, session: Session) -> Remains:
    return await DeletionStore(domain.store).remains(session.shard_id, session.account_db_key)


async def receipt_of(domain: Domain, account: AccountId = EVE) -> Deletion:
    found = await DeletionStore(domain.store).find(account)
    assert found is not None
    return found


async def finish(domain: Domain, session: Session, *, lost: int = 0) -> Deletion:
    """Lets time and writers go on until the receipt is finished. The store's answer number ``lost`` does not arrive."""
    calls, call = itertools.count(1), domain.store._call

    async def unsure(*args: Any) -> list[Row]:
        found = await call(*args)
        if next(calls) == lost:
            raise StoreUnavailable(debug="the answer was lost")
        return found

    for _ in range(10):
        domain.store._call = unsure  # type: ignore[method-assign,assignment]
        with contextlib.suppress(StoreUnavailable):
            await deletions(domain).step()
        domain.store._call = call  # type: ignore[method-assign]
        await write(domain, session)
        domain.clock.ms += UNDER_WAY_MS
        if (await receipt_of(domain, session.account_id)).finished_at is not None:
            break
    return await receipt_of(domain, session.account_id)


async def test_everything_of_the_account_goes_and_nothing_of_others(domain: Domain) -> None:
    eve, bob = await session_of(domain, EVE), await session_of(domain, BOB)
    assert eve.partition == bob.partition, "nothing but the account tells the two apart"
    await talk(domain, eve, "stored", "too")
    earlier = await talk(domain, eve, "deleted before")
    await domain.delete_room(earlier, eve)
    kept = await talk(domain, bob, "bob's")
    await write(domain, eve)
    await talk(domain, eve, "on its way")
    for session in (eve, bob):
        async with domain.files.receive(session) as upload:
            await upload.write(b"Private notes")
            await upload.keep("notes.txt")
    first = await operations(domain).delete(EVE)
    assert (first.finished_at, first.account_id) == (None, EVE)
    receipt = await finish(domain, eve)
    assert receipt.finished_at is not None
    assert (receipt.receipt_id, receipt.rooms) == (first.receipt_id, 3)
    assert await remains(domain, eve) == NOTHING
    assert await remains(domain, bob) == Remains(1, 2, 1, 1)
    assert [row.doc.content for row in await domain.rows(kept.room_id)] == ["bob's"]
    assert [key for key in await domain.redis.keys() if text(key).endswith(":eve")] == []
    assert (await domain.directory.page(eve, 10, None)).rooms == []
    assert len([blob async for blob in domain.file_store.blobs()]) == 1
    assert kinds(await check(domain)) == []


async def test_a_reply_that_is_being_written_ends(domain: Domain) -> None:
    eve = await session_of(domain, EVE)
    room = domain.room(await domain.new_room(eve))
    await domain.send(room, "Tell me everything", session=eve)
    await settle()
    domain.model.talks[0].say("It began")
    await domain.clock.advance(0.1)
    await operations(domain).delete(EVE)
    await deletions(domain).step()
    domain.model.talks[0].say(" and went on")
    await domain.clock.advance(0.1)
    domain.model.talks[0].finish()
    await domain.clock.advance(0.1)
    assert (await finish(domain, eve)).rooms == 1
    assert await remains(domain, eve) == NOTHING
    assert kinds(await check(domain)) == []


async def test_nothing_is_finished_while_requests_may_be_under_way(domain: Domain) -> None:
    eve = await session_of(domain, EVE)
    await operations(domain).delete(EVE)
    await deletions(domain).step()
    await talk(domain, eve, "let in by a replica that did not know yet")
    await write(domain, eve)
    domain.clock.ms += UNDER_WAY_MS - 1
    await deletions(domain).step()
    assert (await receipt_of(domain)).finished_at is None
    assert (await finish(domain, eve)).rooms == 1
    assert await remains(domain, eve) == NOTHING


@pytest.mark.parametrize("lost", range(1, 30))
async def test_it_goes_on_where_it_was_interrupted(domain: Domain, lost: int) -> None:
    eve = await session_of(domain, EVE)
    await talk(domain, eve, "one", "two")
    await talk(domain, eve, "three")
    await write(domain, eve)
    await operations(domain).delete(EVE)
    assert (await finish(domain, eve, lost=lost)).rooms == 2
    assert await remains(domain, eve) == NOTHING
    assert kinds(await check(domain)) == []


async def test_a_redis_that_came_back_empty_changes_nothing(domain: Domain) -> None:
    eve = await session_of(domain, EVE)
    await talk(domain, eve, "one")
    await write(domain, eve)
    await operations(domain).delete(EVE)
    await deletions(domain).step()
    await domain.redis.flushall()
    domain.queue = type(domain.queue)(domain.live, domain.settings.redis, domain.redis, domain.pipeline)
    assert (await finish(domain, eve)).rooms == 1
    assert await remains(domain, eve) == NOTHING


async def test_what_is_parked_of_the_account_goes_too(domain: Domain) -> None:
    eve, bob = await session_of(domain, EVE), await session_of(domain, BOB)

    def poisoned(batch: Batch) -> bool:
        return any(save.doc.content == "poison" for save in batch.message_saves)

    domain.store.poison = poisoned
    for session in (eve, bob):
        await talk(domain, session, "poison")
    await write(domain, eve)
    await operations(domain).delete(EVE)
    assert (await finish(domain, eve)).finished_at is not None
    assert [one.entry.address.account_id for one in await dead_letters(domain).all()] == [BOB]


async def test_a_repeated_delete_is_the_first_one(domain: Domain) -> None:
    await session_of(domain, EVE)
    asked = operations(domain)
    first = await asked.delete(EVE)
    domain.clock.ms += 1000
    assert await asked.delete(EVE) == first


async def test_fsck_finds_a_receipt_that_does_not_hold(domain: Domain) -> None:
    eve = await session_of(domain, EVE)
    await operations(domain).delete(EVE)
    await finish(domain, eve)
    await talk(domain, eve, "late")
    await write(domain, eve)
    report = await check(domain)
    (finding,) = report.findings
    assert (finding.invariant, finding.kind) == ("I22", "account-remains")
    assert "1 rooms, 2 rows of messages, 1 rows of use left" in finding.what


def test_the_two_share_a_partition() -> None:
    assert len({zlib.crc32(name.encode()) % PARTITIONS for name in (EVE, BOB)}) == 1
