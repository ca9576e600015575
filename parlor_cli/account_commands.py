"""Commands about one account."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parlor_cli.bearer import FIRST_ACCOUNT
from parlor_cli.installation import DEFAULT_DATA_DIR
from parlor_cli.options import DataDir
from parlor_cli.progress import ScreenProgress


def sign_in(
    account: Annotated[str, typer.Argument(help="The account to sign in.")] = FIRST_ACCOUNT,
    operator: Annotated[bool, typer.Option("--admin", help="On the operators' page, for what they do.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print a link that signs an account in on the page, once, within a minute; alone, on standard output."""
    from parlor_cli.sign_in import run

    typer.echo(run(data_dir, account, operator=operator))


def chat(
    room: Annotated[str | None, typer.Argument(help="A room's id or external id.", show_default="a new one")] = None,
    account: Annotated[str, typer.Option(help="Who talks, on this machine.")] = FIRST_ACCOUNT,
    persona: Annotated[str | None, typer.Option(help="Who answers in a new room.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Talk in the terminal. With a question on standard input: print the answer. PARLOR_URL and PARLOR_TOKEN name
    another server."""
    from parlor_cli.chat.chat import run

    raise typer.Exit(run(data_dir, room, account, persona))


def demo(
    data_dir: Annotated[Path, typer.Option("--data-dir", help="What is said there stays.")] = Path(".parlor-demo"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
) -> None:
    """Start Parlor with the demo model and open the page, signed in; Ctrl-C stops all of it."""
    from parlor_cli.demo import demo as run

    raise typer.Exit(run(data_dir, port, ScreenProgress(), browser=browser))
