"""Commands about one account."""

from __future__ import annotations

from typing import Annotated

import typer

from parlor_cli.bearer import FIRST_ACCOUNT
from parlor_cli.installation import DEFAULT_DATA_DIR
from parlor_cli.options import DataDir


def sign_in(
    account: Annotated[str, typer.Argument(help="The account to sign in.")] = FIRST_ACCOUNT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print a link that signs an account in on the page, once, within a minute; alone, on standard output."""
    from parlor_cli.sign_in import run

    typer.echo(run(data_dir, account))
