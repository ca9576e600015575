"""`parlor move-partition`: what an operator does when a shard has become too small."""

from __future__ import annotations

from typing import Annotated

import typer

from parlor_cli.installation import DEFAULT_DATA_DIR
from parlor_cli.options import DataDir, Json


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
