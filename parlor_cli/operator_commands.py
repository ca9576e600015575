"""Groups of commands for operators: dead letters, accounts."""

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


accounts = typer.Typer(help="Who there is, and shutting somebody out.", no_args_is_help=True)
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account, as in `parlor token`.")]


@accounts.command("list")
def accounts_list(data_dir: DataDir = DEFAULT_DATA_DIR, json: Json = False, wide: Wide = False) -> None:
    """List every account, in the order in which they were first seen."""
    from parlor_cli.accounts import show_all

    show_all(data_dir, as_json=json, wide=wide)


@accounts.command("show")
def accounts_show(account: Account, data_dir: DataDir = DEFAULT_DATA_DIR, json: Json = False) -> None:
    """Show an account with what it has, and what it used in the last 30 days."""
    from parlor_cli.accounts import show

    show(data_dir, account, as_json=json)


@accounts.command("disable")
def accounts_disable(account: Account, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Shut an account out: within seconds on every replica; its streams end. It keeps what it has."""
    from parlor_cli.accounts import set_disabled

    set_disabled(data_dir, account, True)


@accounts.command("enable")
def accounts_enable(account: Account, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Let a disabled account in again."""
    from parlor_cli.accounts import set_disabled

    set_disabled(data_dir, account, False)


@accounts.command("delete")
def accounts_delete(
    account: Account,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Delete an account with all its rooms, for ever, and print the receipt; its name lets nobody in again."""
    from parlor_cli.accounts import delete

    if not yes:
        typer.confirm(f"Delete {account} and every room of it, for ever?", abort=True, err=True)
    delete(data_dir, account, as_json=json)
