"""`parlor move-partition`: moves a partition to another shard while everybody goes on."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from parlor.clock import SystemEntropy
from parlor.errors import InvalidRequest
from parlor.model.ids import IdMint, Partition, ShardId
from parlor.persistence.move import Moved, MovePorts, Mover
from parlor.store.migrations import owner_addresses
from parlor.store.partition_moves import MoveBook
from parlor.store.search import SearchStore
from parlor.store.sessions import open_session
from parlor.wiring import Wiring
from parlor_cli.add_shard import require_known
from parlor_cli.live_stores import ask
from parlor_cli.migrate import with_owner


def move(data_dir: Path, partition: Partition, shard: ShardId | None, *, abort: bool, as_json: bool) -> None:
    """Moves it, or goes on where somebody stopped; ``abort``: undoes what somebody began. Raises ``Refusal``."""

    async def work(wiring: Wiring) -> Moved:
        return await move_partition(wiring, partition, shard, abort=abort)

    if shard is not None:
        require_known(data_dir, shard)
    moved = ask(data_dir, work, also_stopped=True)
    if as_json:
        print(msgspec.json.encode(moved).decode())
    elif abort:
        print(f"partition {partition} stays on shard {moved.move.source}")
    else:
        print(
            f"partition {partition} is on shard {moved.move.target}: {moved.rows} rows were copied, and for "
            f"{moved.fenced_ms} ms nothing was stored there"
        )


async def move_partition(wiring: Wiring, partition: Partition, shard: ShardId | None, *, abort: bool = False) -> Moved:
    """One move from beginning to end. Raises ``InvalidRequest``, ``StoreUnavailable``, ``RowsDiffer``."""
    addresses = owner_addresses(with_owner(wiring.settings).store)
    runner = IdMint(wiring.clock, SystemEntropy()).token()
    async with AsyncExitStack() as stack:
        global_ = await stack.enter_async_context(open_session(addresses.global_))
        book = MoveBook(global_)
        if abort:
            begun = await book.undo(partition, runner)
        elif shard is None or shard not in addresses.shards:
            raise InvalidRequest(f"The shards are {', '.join(map(str, addresses.shards))}")
        else:
            begun = await book.begin(partition, shard, runner, wiring.clock.now_ms())
        source = await stack.enter_async_context(open_session(addresses.shards[begun.source]))
        target = await stack.enter_async_context(open_session(addresses.shards[begun.target]))
        ports = MovePorts(global_, source, target, SearchStore(wiring.store), wiring.clock)
        return await Mover(ports, _report).run(begun)


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
