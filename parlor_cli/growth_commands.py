"""`parlor move-partition`, `add-shard`, `rebalance` and `upgrade`: what an operator changes while everything runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from parlor_cli.installation import DEFAULT_DATA_DIR
from parlor_cli.options import DataDir, Json
from parlor_cli.progress import ScreenProgress

Patience = Annotated[
    float, typer.Option(min=0, max=3600, help="Seconds for the end of a reply before it goes on elsewhere.")
]


class Weight(StrEnum):
    """What a partition weighs in `parlor rebalance`."""

    ROWS = "rows"
    LOAD = "load"


def move_partition(
    partition: Annotated[int, typer.Argument(min=0, max=4095, help="The partition, as in `parlor status --json`.")],
    shard: Annotated[int | None, typer.Argument(min=1, max=64, help="The shard that it is to live on.")] = None,
    abort: Annotated[bool, typer.Option("--abort", help="Undo a move that was begun.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    json: Json = False,
) -> None:
    """Move a partition to another shard while Parlor runs; called again, it goes on where it was stopped."""
    from parlor.model.ids import Partition, ShardId
    from parlor_cli.move import move
    from parlor_cli.refusal import Refusal

    if (shard is None) != abort:
        raise Refusal("give the shard that the partition is to live on, or --abort", exit_code=2)
    move(data_dir, Partition(partition), None if shard is None else ShardId(shard), abort=abort, as_json=json)


def add_shard(
    url: Annotated[
        str | None, typer.Argument(help="An empty database, where the others are yours; none, where Parlor makes them.")
    ] = None,
    patience: Patience = 60.0,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    json: Json = False,
) -> None:
    """Add an empty shard while Parlor runs, process by process; called again, it goes on."""
    from parlor_cli.add_shard import add_shard as add

    add(data_dir, url, patience, _progress(json), as_json=json)


def rebalance(
    by: Annotated[
        Weight, typer.Option(help="What a partition weighs: rows, or what is stored meanwhile.")
    ] = Weight.ROWS,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long the load is measured.")] = 10,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, and move nothing.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    json: Json = False,
) -> None:
    """Move partitions, one after the other, until the shards carry alike; called again, it goes on."""
    from parlor_cli.rebalance import By
    from parlor_cli.rebalance import rebalance as balance

    balance(data_dir, By(by), seconds, dry_run=dry_run, as_json=json)


def upgrade(
    settings: Annotated[
        bool, typer.Option("--settings", help="Read the settings anew too, from the environment and the file.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Also replace processes that run this version already.")] = False,
    patience: Patience = 60.0,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    json: Json = False,
) -> None:
    """Have what runs run the version that is installed now, one process after the other; called again, it goes on where
    it stopped."""
    from parlor_cli.upgrade import run

    run(data_dir, _progress(json), settings=settings, every=every, patience=patience, as_json=json)


def _progress(json: bool) -> ScreenProgress:
    """Beside JSON, which has standard output to itself."""
    return ScreenProgress(out=Console(stderr=True, highlight=False, soft_wrap=True)) if json else ScreenProgress()
