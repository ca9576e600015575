"""`parlor rebalance`: moves partitions until the shards carry alike."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path

import msgspec

from parlor.model.ids import Partition, ShardId
from parlor.persistence.balance import Carried, Planned, plan, totals
from parlor.store.migrations import owner_addresses
from parlor.store.partition_loads import rows_by_partition
from parlor.store.partition_moves import Move, MoveBook
from parlor.store.sessions import open_session
from parlor.wiring import Wiring
from parlor_cli.add_shard import require_known
from parlor_cli.live_stores import ask
from parlor_cli.migrate import with_owner
from parlor_cli.move import move_partition


class By(StrEnum):
    """What a partition weighs."""

    ROWS = "rows"
    LOAD = "load"


class Balanced(msgspec.Struct, frozen=True):
    """What `parlor rebalance --json` prints."""

    by: By
    before: dict[ShardId, int]
    """What each shard carried."""
    after: dict[ShardId, int]
    """What it carries when the plan is done."""
    moves: list[Planned]
    done: int
    """Of them; 0 with ``--dry-run``."""


def rebalance(data_dir: Path, by: By, seconds: float, *, dry_run: bool, as_json: bool) -> None:
    """Goes on with a move that was begun, plans, prints the plan, and moves. Raises ``Refusal``."""

    async def work(wiring: Wiring) -> Balanced:
        return await balance_shards(wiring, by, seconds, dry_run=dry_run)

    if not dry_run:
        require_known(data_dir, None)
    balanced = ask(data_dir, work, also_stopped=by is By.ROWS)
    if as_json:
        print(msgspec.json.encode(balanced).decode())
    elif not balanced.moves:
        print("nothing to move: the shards carry alike, as far as partitions can be divided")
    elif dry_run:
        print(f"{len(balanced.moves)} moves; without --dry-run they are made, one after the other")
    else:
        print(f"{balanced.done} partitions have moved")


async def balance_shards(wiring: Wiring, by: By, seconds: float, *, dry_run: bool) -> Balanced:
    """Called again after it was stopped, it plans with what is there by then."""
    begun = await _unfinished(wiring)
    if begun is not None and not dry_run:
        await move_partition(wiring, begun.partition, begun.target)
        await wiring.store.refresh_shard_map()
    weights = await (_rows(wiring) if by is By.ROWS else _loads(wiring, seconds))
    carried = [
        Carried(partition, shard, weights.get(partition, 0))
        for shard in wiring.store.shard_ids()
        for partition in await wiring.store.partitions_of(shard)
    ]
    moves = plan(carried, wiring.store.shard_ids())
    homes = {one.partition: one.target for one in moves}
    then = [Carried(one.partition, homes.get(one.partition, one.shard), one.weight) for one in carried]
    before, after = (totals(those, wiring.store.shard_ids()) for those in (carried, then))
    for shard in before:
        _say(f"shard {shard}: {before[shard]} {_UNITS[by]}, then {after[shard]}")
    for one in moves:
        _say(f"partition {one.partition}, {one.weight} {_UNITS[by]}: shard {one.source} to {one.target}")
    done = 0
    for one in moves if not dry_run else ():
        await move_partition(wiring, one.partition, one.target)
        done += 1
    return Balanced(by, before, after, moves, done)


async def _unfinished(wiring: Wiring) -> Move | None:
    addresses = owner_addresses(with_owner(wiring.settings).store)
    async with open_session(addresses.global_) as session:
        return next(iter(await MoveBook(session).unfinished()), None)


async def _rows(wiring: Wiring) -> dict[Partition, int]:
    """Rooms and messages of each partition, on its own shard."""
    found: dict[Partition, int] = {}
    async with AsyncExitStack() as stack:
        for shard, address in owner_addresses(with_owner(wiring.settings).store).shards.items():
            session = await stack.enter_async_context(open_session(address))
            here = set(await wiring.store.partitions_of(shard))
            found |= {part: rows for part, rows in (await rows_by_partition(session)).items() if part in here}
    return found


async def _loads(wiring: Wiring, seconds: float) -> dict[Partition, int]:
    """Operations that were stored for each partition in so many seconds."""
    before = await _stored(wiring)
    await wiring.clock.sleep(seconds)
    after = await _stored(wiring)
    return {partition: max(0, count - before.get(partition, 0)) for partition, count in after.items()}


async def _stored(wiring: Wiring) -> Mapping[Partition, int]:
    found: dict[Partition, int] = {}
    for shard in wiring.store.shard_ids():
        found |= {progress.partition: progress.applied.number for progress in await wiring.store.progress(shard)}
    return found


_UNITS = {By.ROWS: "rows", By.LOAD: "operations"}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
