"""What operators do to accounts and dead letters."""

from __future__ import annotations

from datetime import date

import pytest

from parlor.administration.operations import Operations
from parlor.cache.audit import AuditCache
from parlor.cache.dead_letters import DeadLetterCache
from parlor.cache.operators import OperatorCache
from parlor.errors import AccountNotFound, DeadLetterNotFound
from parlor.model.access import Standing
from parlor.model.cursors import InvalidCursor
from parlor.model.ids import AccountId
from parlor.model.requests import ReplyMode
from parlor.persistence.dead_letters import DeadLetters, NotDropped
from parlor.store.access import AccessStore
from parlor.store.ports import Batch
from tests.unit.domain import HOME, NEIGHBOUR, Domain

pytestmark = pytest.mark.unit

ALICE, BOB = AccountId("alice"), AccountId("bob")
DAY = date(2026, 11, 23)


def operations(domain: Domain) -> Operations:
    audit = AuditCache(domain.live, domain.settings.redis.prefix)
    dead_letters = DeadLetters(
        DeadLetterCache(domain.live), audit, OperatorCache(domain.live), domain.states, domain.loader, domain.store
    )
    return Operations(domain.store, domain.reader, dead_letters, domain.live.limits, domain.mint, domain.clock)


def refuse_everything(batch: Batch) -> bool:
    return bool(batch.message_saves or batch.room_deletes)


async def test_accounts_are_listed_in_the_order_in_which_they_came(domain: Domain) -> None:
    rows = [await domain.store.open_account(AccountId(name)) for name in ("zoe", "bob", "alice")]
    asked = operations(domain)
    assert await asked.accounts(10, 0) == rows
    assert await asked.accounts(1, rows[0].account_db_key) == rows[1:2]
    assert await asked.accounts(10, rows[2].account_db_key) == []


@pytest.mark.parametrize("standing", [Standing.DISABLED, Standing.ACTIVE])
async def test_redis_and_the_database_remember_the_standing(domain: Domain, standing: Standing) -> None:
    before, asked = await domain.store.open_account(ALICE), operations(domain)
    await asked.set_disabled(ALICE, True)
    domain.clock.ms += 1
    await asked.set_disabled(ALICE, standing is Standing.DISABLED)
    await domain.reader.remember_session(before)  # a slow replica's
    row = (await asked.account(ALICE, DAY, DAY)).row
    assert row.standing is standing
    assert await domain.reader.session(ALICE) == row == await domain.store.open_account(ALICE)


async def test_each_change_of_standing_is_told_once(domain: Domain) -> None:
    await domain.store.open_account(ALICE)
    asked = operations(domain)
    for disabled in (False, True, True, False):
        await asked.set_disabled(ALICE, disabled)
    told = (await AccessStore(domain.store).changes(0)).changes
    assert [(change.kind, change.subject) for change in told] == [
        ("account-disabled", ALICE),
        ("account-active", ALICE),
    ]


async def test_nothing_is_done_to_an_account_that_is_not_there(domain: Domain) -> None:
    asked = operations(domain)
    for work in (
        asked.account(BOB, DAY, DAY),
        asked.revoke(BOB, 1),
        asked.set_disabled(BOB, True),
        asked.set_limits(BOB, {"rooms": 1}),
        asked.delete(BOB),
    ):
        with pytest.raises(AccountNotFound):
            await work
    assert await asked.accounts(10, 0) == []
    assert (await AccessStore(domain.store).changes(0)).changes == []


async def test_limits_hold_in_this_process_at_once_and_are_stored(domain: Domain) -> None:
    await domain.store.open_account(ALICE)
    asked = operations(domain)
    await asked.set_limits(ALICE, {"rooms": 1, "streams": "off"})
    await asked.set_limits(ALICE, {"rooms": None})
    assert (domain.live.limits.of(ALICE).streams, domain.live.limits.of(ALICE).rooms) == (None, 10_000)
    assert (await asked.account(ALICE, DAY, DAY)).own_limits == {"streams": "off"}


async def test_a_revocation_reaches_redis_and_the_database(domain: Domain) -> None:
    await domain.store.open_account(ALICE)
    asked = operations(domain)
    await asked.revoke(ALICE, 1234)
    remembered = await domain.reader.session(ALICE)
    assert remembered is not None
    assert remembered.not_before == 1234 == (await domain.store.open_account(ALICE)).not_before


async def test_a_redis_that_is_down_does_not_keep_an_account_in(domain: Domain) -> None:
    await domain.store.open_account(ALICE)
    domain.server.connected = False
    await operations(domain).set_disabled(ALICE, True)
    assert (await domain.store.open_account(ALICE)).standing is Standing.DISABLED


async def test_dead_letters_of_all_partitions_are_read_in_pages(domain: Domain) -> None:
    domain.store.poison = refuse_everything
    for session in (domain.ada, domain.session("eve", NEIGHBOUR)):
        room = domain.room(await domain.new_room(session))
        for content in ("one", "two"):
            await domain.send(room, content, session=session, reply=ReplyMode.NONE)
    await domain.write_all(HOME, NEIGHBOUR)
    asked = operations(domain)
    whole = await asked.dead_letters(10, None)
    assert [one.entry.partition for one in whole] == [0, 0, 2, 2]
    seen, after = [], None
    while page := await asked.dead_letters(1, after):
        seen += page
        after = page[-1].id
    assert seen == whole
    assert await asked.dead_letters(3, whole[0].id) == whole[1:]


@pytest.mark.parametrize("cursor", ["", "x", "1", "1:2", "1:2-3-4", f"0:1-{2**64}", "12345:1-1", "٣:1-1"])
async def test_a_cursor_of_another_list_is_refused(domain: Domain, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        await operations(domain).dead_letters(1, cursor)


async def test_a_dead_letter_is_replayed_once(domain: Domain) -> None:
    room = await domain.opened()
    domain.store.poison = refuse_everything
    await domain.say(room, "one")
    await domain.write_all()
    asked = operations(domain)
    (parked,) = await asked.dead_letters(10, None)
    domain.store.poison = lambda _: False
    await asked.replay(parked.id)
    with pytest.raises(DeadLetterNotFound):
        await asked.replay(parked.id)
    await domain.write_all()
    assert [row.doc.content for row in await domain.rows(room.room_id)] == ["one"]
    for missing in (parked.id, "x", "999999999999:1-1", "0:1"):
        with pytest.raises(DeadLetterNotFound):
            await asked.drop(missing)


async def test_a_delete_is_not_dropped(domain: Domain) -> None:
    room = await domain.opened()
    domain.store.poison = refuse_everything
    await domain.delete_room(room)
    await domain.write_all()
    asked = operations(domain)
    (parked,) = await asked.dead_letters(10, None)
    with pytest.raises(NotDropped) as refused:
        await asked.drop(parked.id)
    assert refused.value.extra == {"from": "parked", "to": "dropped"}
