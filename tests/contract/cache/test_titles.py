"""give_title: titles that no person gave, and stand-ins for them."""

from __future__ import annotations

import pytest

from parlor.cache.live import RoomAddress
from parlor.cache.summaries import SummaryCache
from parlor.errors import Fenced, OutOfStep, RoomNotFound
from parlor.model.rooms import NewRoom
from tests.contract.cache.fixtures import CLAIM_1, CLAIM_2, CacheFixtures
from tests.contract.cache.test_deletes import delete
from tests.contract.cache.test_revisions import change
from tests.contract.cache.test_summaries import updates

pytestmark = pytest.mark.contract


@pytest.fixture
def summaries(fixtures: CacheFixtures) -> SummaryCache:
    return SummaryCache(fixtures.live)


async def test_a_room_without_a_title_gets_one(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = fixtures.address()
    await fixtures.creations.create(address, NewRoom("", "GPT4O"), "account")
    await fixtures.claim(address.room_id, CLAIM_1)
    assert await summaries.give_title(address, CLAIM_1, 0, "Tea 🍵")
    assert (await fixtures.room(address)).room.title == "Tea 🍵"
    (entry,) = await updates(fixtures)
    assert (entry.title, entry.version, entry.summary) == ("Tea 🍵", 2, None)
    assert await fixtures.event_types(address) == ["room.updated"]


async def test_a_title_that_a_person_gave_stays(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await fixtures.claimed()
    before = await fixtures.dump()
    assert not await summaries.give_title(address, CLAIM_1, 0, "Tea")
    assert await fixtures.dump() == before


async def untitled(fixtures: CacheFixtures) -> RoomAddress:
    address = fixtures.address()
    await fixtures.creations.create(address, NewRoom("", "GPT4O"), "account")
    await fixtures.claim(address.room_id, CLAIM_1)
    return address


async def test_a_title_never_replaces_one_that_a_person_gave_meanwhile(
    fixtures: CacheFixtures, summaries: SummaryCache
) -> None:
    address = await untitled(fixtures)
    await fixtures.rooms.update(address, CLAIM_1, "Mine", None)
    assert not await summaries.give_title(address, CLAIM_1, 0, "Tea")
    assert (await fixtures.room(address)).room.title == "Mine"


async def test_a_given_title_is_given_once_however_often_it_is_asked(
    fixtures: CacheFixtures, summaries: SummaryCache
) -> None:
    address = await untitled(fixtures)
    await summaries.give_title(address, CLAIM_1, 0, "Tea")
    fixtures.clock.ms += 1000
    assert not await summaries.give_title(address, CLAIM_1, 0, "Coffee")
    assert [entry.title for entry in await updates(fixtures)] == ["Tea"]


async def test_a_stand_in_is_a_title_until_one_is_found(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await untitled(fixtures)
    assert await summaries.title_version(address) == 0
    assert await summaries.give_title(address, CLAIM_1, 0, "Which tea?", quoted=1)
    assert (await fixtures.room(address)).room.title == "Which tea?"
    assert await summaries.title_version(address) == 0
    assert not await summaries.give_title(address, CLAIM_1, 0, "And coffee?", quoted=1)
    await fixtures.rooms.update(address, CLAIM_1, None, "BRIEF")
    assert await summaries.give_title(address, CLAIM_1, 0, "Tea")
    assert await summaries.title_version(address) is None
    assert not await summaries.give_title(address, CLAIM_1, 0, "Coffee")
    assert (await fixtures.room(address)).room.title == "Tea"
    assert [entry.title for entry in await updates(fixtures)] == ["Which tea?", "Which tea?", "Tea"]


@pytest.mark.parametrize("mine", ["Mine", "Which tea?"])
async def test_a_title_that_a_person_gives_instead_of_a_stand_in_stays(
    fixtures: CacheFixtures, summaries: SummaryCache, mine: str
) -> None:
    address = await untitled(fixtures)
    await summaries.give_title(address, CLAIM_1, 0, "Which tea?", quoted=1)
    await fixtures.rooms.update(address, CLAIM_1, mine, None)
    assert await summaries.title_version(address) is None
    assert not await summaries.give_title(address, CLAIM_1, 0, "Tea")
    assert (await fixtures.room(address)).room.title == mine


@pytest.mark.parametrize("mine", ["Mine", "Which tea?"])
async def test_an_operators_title_is_not_a_stand_in_unless_it_is_the_same(
    fixtures: CacheFixtures, summaries: SummaryCache, mine: str
) -> None:
    address = await untitled(fixtures)
    await summaries.give_title(address, CLAIM_1, 0, "Which tea?", quoted=1)
    await fixtures.operators.update_room(address, mine, "GPT4O")
    assert (await summaries.title_version(address) is None) is (mine != "Which tea?")


async def test_a_room_that_is_not_here_or_gone_needs_no_title(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await untitled(fixtures)
    with pytest.raises(OutOfStep):
        await summaries.title_version(fixtures.address())
    await fixtures.rooms.delete(address, CLAIM_1, "account")
    with pytest.raises(RoomNotFound):
        await summaries.title_version(address)


async def asked(fixtures: CacheFixtures, summaries: SummaryCache) -> RoomAddress:
    """A room with two turns, whose title is the first words of the first one."""
    address = await untitled(fixtures)
    for seq in (0, 2):
        await fixtures.complete(address, await fixtures.send(address, seq))
    assert await summaries.give_title(address, CLAIM_1, 0, "Which tea?", quoted=1)
    return address


async def test_a_stand_in_goes_with_the_message_that_it_quotes(
    fixtures: CacheFixtures, summaries: SummaryCache
) -> None:
    address = await asked(fixtures, summaries)
    for seq in (4, 3, 2):
        await delete(fixtures, address, seq)
    assert (await fixtures.room(address)).room.title == "Which tea?"
    told = len(await fixtures.account_events(address))
    await delete(fixtures, address, 1)
    assert (await fixtures.room(address)).room.title == ""
    assert (await updates(fixtures))[-1].title == ""
    assert (await fixtures.event_types(address))[-2:] == ["message.deleted", "room.updated"]
    assert {room for _, room in (await fixtures.account_events(address))[told:]} == {address.room_id}
    assert await summaries.title_version(address) == 4


async def test_a_stand_in_goes_when_the_message_that_it_quotes_is_edited(
    fixtures: CacheFixtures, summaries: SummaryCache
) -> None:
    address = await untitled(fixtures)
    await fixtures.complete(address, await fixtures.send(address, 0))
    assert await summaries.give_title(address, CLAIM_1, 0, "Which tea?", quoted=1)
    question, reply = await change(fixtures, address, 1), await change(fixtures, address, 2)
    await fixtures.revisions.edit(address, CLAIM_1, "nonce", question, reply, waits=False)
    assert (await fixtures.room(address)).room.title == ""


@pytest.mark.parametrize("quoted", [2, 3, None])
async def test_a_title_that_was_a_quote_when_the_room_was_loaded_goes_with_its_message(
    fixtures: CacheFixtures, summaries: SummaryCache, quoted: int | None
) -> None:
    address = fixtures.address()
    rows = [fixtures.message_row(seq) for seq in (1, 2, 3)]
    await fixtures.rooms.load(address, fixtures.room_row(address, 3), rows, 3, 1, quoted)
    await fixtures.rooms.claim(address.room_id, CLAIM_1, 0)
    assert await summaries.title_version(address) is None, "it is not known to stand in for one"
    await delete(fixtures, address, 1)
    assert (await fixtures.room(address)).room.title == "Stored"
    await delete(fixtures, address, 2)
    assert (await fixtures.room(address)).room.title == ("" if quoted == 2 else "Stored")


@pytest.mark.parametrize("mine", [True, False])
async def test_a_title_of_another_origin_stays_when_the_message_goes(
    fixtures: CacheFixtures, summaries: SummaryCache, mine: bool
) -> None:
    address = await asked(fixtures, summaries)
    if mine:
        await fixtures.rooms.update(address, CLAIM_1, "Which tea?", None)
    else:
        assert await summaries.give_title(address, CLAIM_1, 0, "Tea")
    before = (await fixtures.room(address)).room.title
    await delete(fixtures, address, 1)
    assert (await fixtures.room(address)).room.title == before


@pytest.mark.parametrize("quoted", [None, 3])
async def test_a_title_of_messages_that_have_changed_since_is_refused(
    fixtures: CacheFixtures, summaries: SummaryCache, quoted: int | None
) -> None:
    address = await untitled(fixtures)
    for seq in (0, 2):
        await fixtures.complete(address, await fixtures.send(address, seq))
    version = await summaries.title_version(address)
    assert version is not None
    await delete(fixtures, address, 1)
    before = await fixtures.dump()
    assert not await summaries.give_title(address, CLAIM_1, version, "Tea", quoted)
    assert await fixtures.dump() == before
    assert await summaries.give_title(address, CLAIM_1, version + 1, "Tea", quoted)


async def test_an_owner_that_was_replaced_gives_no_title(fixtures: CacheFixtures, summaries: SummaryCache) -> None:
    address = await untitled(fixtures)
    await fixtures.claim(address.room_id, CLAIM_2)
    with pytest.raises(Fenced):
        await summaries.give_title(address, CLAIM_1, 0, "Tea")
