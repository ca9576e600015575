"""Redis and the databases of an installation, for commands that do not go through the actors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from parlor.errors import ParlorError
from parlor.settings import Settings
from parlor.wiring import Wiring
from parlor_cli.installation import Installation
from parlor_cli.options import present
from parlor_cli.refusal import Refusal
from parlor_cli.server_errors import server_refusal
from parlor_cli.stopped import servers_of

_T = TypeVar("_T")


def ask(
    data_dir: Path, work: Callable[[Wiring], Awaitable[_T]], *, exit_code: int = 1, also_stopped: bool = False
) -> _T:
    """Calls ``work`` with the stores of the running installation or, without a data directory, with those of the
    settings (a cluster's); ``also_stopped``: starts the servers of one that does not run. Raises ``Refusal`` with
    ``exit_code`` when nothing runs or a store does not answer."""
    try:
        installation = Installation.find(data_dir)
        if also_stopped and installation is not None and installation.running() is None:
            with servers_of(installation) as settings:
                return ask_with(settings, work)
        settings = present(installation)
        if not settings.redis.url.get_secret_value():
            raise Refusal(f"nothing runs in {data_dir}, and no Redis is configured")
        return ask_with(settings, work)
    except Refusal as error:
        raise Refusal(error.message, exit_code=exit_code) from error


def ask_with(settings: Settings, work: Callable[[Wiring], Awaitable[_T]]) -> _T:
    """Does the same as ``ask`` with the stores of these settings."""
    try:
        return asyncio.run(_ask(settings, work))
    except ParlorError as error:
        raise server_refusal(settings, error) from error


async def _ask(settings: Settings, work: Callable[[Wiring], Awaitable[_T]]) -> _T:
    wiring = await Wiring.open(settings)
    try:
        return await work(wiring)
    finally:
        await wiring.close()
