"""Groups of commands for operators: dead letters."""

from __future__ import annotations

from typing import Annotated

import typer

from parlor_cli.installation import DEFAULT_DATA_DIR
from parlor_cli.options import DataDir, Json, Wide

dead_letters = typer.Typer(help="Operations that a shard refused for their content.", no_args_is_help=True)
DeadLetterIds = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `list` shows them.")]


@dead_letters.command("list")
def dead_letters_list(data_dir: DataDir = DEFAULT_DATA_DIR, json: Json = False, wide: Wide = False) -> None:
    """List them with their reasons, without the text of messages."""
    from parlor_cli.dead_letters import show

    show(data_dir, as_json=json, wide=wide)


@dead_letters.command("replay")
def dead_letters_replay(
    ids: DeadLetterIds = None,
    every: Annotated[bool, typer.Option("--all", help="Replay all of them.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    json: Json = False,
) -> None:
    """Put them back into their queues, when the reason for their refusal is gone."""
    from parlor_cli.dead_letters import replay

    replay(data_dir, ids or [], every=every, as_json=json)


@dead_letters.command("drop")
def dead_letters_drop(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="As `list` shows them.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    json: Json = False,
) -> None:
    """Give them up: a message becomes a tombstone, a room that was never stored is deleted."""
    from parlor_cli.dead_letters import drop

    drop(data_dir, ids, as_json=json)
