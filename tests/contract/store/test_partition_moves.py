"""A partition moves to another shard with all of its rows, whatever is written meanwhile, whenever its mover dies."""

from __future__ import annotations

import asyncio
import os

import pytest

from parlor.errors import InvalidRequest, PartitionMoves
from parlor.model.ids import Partition, ShardId
from parlor.reading.terms import tokens
from parlor.settings import StoreSettings
from parlor.store.migrations import owner_addresses
from parlor.store.partition_moves import ABORTABLE, MoveBook, MoveTaken, Step
from parlor.store.ports import ChatStore
from parlor.store.search import SearchStore
from parlor.store.sessions import open_session
from parlor.store.tables import SHARD_TABLES
from tests.contract.store.databases import sql
from tests.contract.store.moving import Cut, Killed, Moving, Talk

pytestmark = pytest.mark.contract

P, NEIGHBOUR, OTHER = Partition(2), Partition(0), Partition(1)
ONE, TWO = ShardId(1), ShardId(2)


@pytest.fixture
async def talk(own_store: ChatStore) -> Talk:
    made = Talk(own_store, P)
    await made.begin(3, 4)
    await made.keep_file()
    await made.keep_file()
    return made


@pytest.fixture
def moving(own: StoreSettings, own_store: ChatStore) -> Moving:
    return Moving(own, own_store)


async def left_on(settings: StoreSettings, shard: int) -> dict[str, int]:
    """Rows of the partition on a shard, by table."""
    ids = {"id": "HEX(SUBSTR({}, 7, 2)) = '8002'", "partition": "{} = 2"}
    found = {}
    for table in SHARD_TABLES:
        if table.home in ids:
            where = ids[table.home].format(table.key[0])
            ((count,),) = await sql(settings, shard, f"SELECT COUNT(*) FROM {table.name} WHERE {where}")  # noqa: S608
            found[table.name] = int(str(count))
    return {name: count for name, count in found.items() if count}


async def test_a_partition_moves_with_everything(own: StoreSettings, talk: Talk, moving: Moving) -> None:
    neighbours = [Talk(talk.store, NEIGHBOUR), Talk(talk.store, OTHER)]
    for other in neighbours:
        await other.begin(2, 3)
    before = await left_on(own, 1)
    moved = await moving.move(P, TWO)
    assert moved.move.step is Step.DONE
    assert await talk.store.shard_of(P) == ONE, "this process does not know yet"
    for each in (talk, *neighbours):
        await each.check()
    assert await talk.store.shard_of(P) == TWO, "it was refused on the old shard, and looked again"
    assert await left_on(own, 1) == {}
    assert await left_on(own, 2) == before
    assert await talk.say(next(iter(talk.said)))
    assert await talk.keep_file()
    await talk.check()


async def test_what_is_found_by_its_words_is_found_after_the_move(talk: Talk, moving: Moving) -> None:
    await moving.move(P, TWO)
    room = next(iter(talk.said))
    wanted = tokens("word4", talk.key, room).split()
    found = await SearchStore(talk.store).find(await talk.store.shard_of(P), wanted, below=None, limit=10)
    assert [row.content for row in found] == ["müller 4 word4"]


async def test_what_is_written_meanwhile_moves_too(talk: Talk, moving: Moving) -> None:
    done = asyncio.Event()

    async def talk_on() -> int:
        said = 0
        while not done.is_set():
            for room in list(talk.said):
                said += await talk.say(room)
            await talk.keep_file()
            await talk.drop_file()
            await talk.check()
        return said

    talking = asyncio.create_task(talk_on())
    try:
        for target in (TWO, ONE, TWO):
            assert (await moving.move(P, target)).move.step is Step.DONE
    finally:
        done.set()
        said = await talking
    assert said > 0
    await talk.check()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("undo", [False, True])
async def test_a_mover_that_dies_at_any_statement_is_gone_on_with(
    own: StoreSettings, talk: Talk, moving: Moving, undo: bool
) -> None:
    """At every 17th statement, or as MOVE_STATEMENTS says: 1 takes each of them."""
    step = int(os.environ.get("MOVE_STATEMENTS", "17"))
    cut_at, finished = 1 + 8 * undo, False
    while not finished:
        home = int(await talk.store.shard_of(P))
        target = ShardId(3 - home)
        cut = Cut(cut_at)
        try:
            await moving.move(P, target, cut=cut)
            finished = True
        except Killed:
            await talk.say(next(iter(talk.said)))
            await talk.check()
            await _go_on(own, moving, target, undo=undo)
        await talk.store.refresh_shard_map()
        await talk.check()
        here = int(await talk.store.shard_of(P))
        assert await left_on(own, 3 - here) == {}, cut.statements[-1]
        assert await talk.say(next(iter(talk.said))), "it can be written to again"
        cut_at += step
    assert cut_at > 100


async def _go_on(own: StoreSettings, moving: Moving, target: ShardId, *, undo: bool) -> None:
    async with open_session(owner_addresses(own).global_) as global_:
        begun = await MoveBook(global_).unfinished()
    if not begun:
        return
    undone = undo and begun[0].step in ABORTABLE
    moved = await moving.move(P, target, undo=undone)
    assert moved.move.step is (Step.ABORTED if undone else Step.DONE)


async def test_a_mover_that_was_taken_for_dead_changes_nothing_any_more(
    own: StoreSettings, talk: Talk, moving: Moving
) -> None:
    async with open_session(owner_addresses(own).global_) as global_:
        book = MoveBook(global_)
        old = await book.begin(P, TWO, "old", 1)
        new = await book.begin(P, TWO, "new", 2)
        assert new == old.__class__(**{**{n: getattr(old, n) for n in old.__struct_fields__}, "runner": "new"})
        with pytest.raises(MoveTaken):
            await moving.run(old, global_, Cut(0))
        assert (await moving.run(new, global_, Cut(0))).move.step is Step.DONE
    await talk.check()


async def test_one_partition_moves_at_a_time(own: StoreSettings, own_store: ChatStore) -> None:
    async with open_session(owner_addresses(own).global_) as global_:
        book = MoveBook(global_)
        with pytest.raises(InvalidRequest, match="lives on shard 1"):
            await book.begin(P, ONE, "a", 1)
        await book.begin(P, TWO, "a", 1)
        with pytest.raises(InvalidRequest, match="Partition 2 is moving to shard 2"):
            await book.begin(NEIGHBOUR, TWO, "a", 1)
        with pytest.raises(InvalidRequest, match="does not move"):
            await book.undo(NEIGHBOUR, "a")


async def test_a_writer_of_the_old_shard_gets_no_epoch_any_more(talk: Talk, moving: Moving) -> None:
    await moving.move(P, TWO)
    with pytest.raises(PartitionMoves):
        await talk.store.acquire_partition(ONE, P)
    assert (await talk.store.acquire_partition(TWO, P)).applied.number > 0
