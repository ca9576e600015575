"""`parlor bench compare`: two installations beside each other."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from parlor.settings import Settings
from parlor_cli.bearer import sign
from parlor_cli.configuration import restore
from parlor_cli.installation import Installation, RunFile
from parlor_cli.refusal import Refusal
from parlor_cli.running import running

if TYPE_CHECKING:
    from parlor_bench.compare import Comparison


def compare(data_dir: Path, base_dir: Path, *, seconds: float, rounds: int, at_least: float, as_json: bool) -> int:
    """Sends to the installations of both directories by turns; returns 1 when the first one takes less than so much of
    the sends of the other, or when a send fails. Raises ``Refusal`` when one of them does not run."""
    from parlor_bench.compare import ROOMS, Side, send_to
    from parlor_bench.compare import compare as measure
    from parlor_bench.installation import ACCOUNTS
    from parlor_bench.rooms import Rooms

    targets = [_target(directory, ACCOUNTS) for directory in (base_dir, data_dir)]
    say = (lambda line: None) if as_json else print

    async def measured() -> Comparison:
        async with AsyncExitStack() as stack:
            sides = []
            for name, (host, port, tokens) in zip(("base", "new"), targets, strict=True):
                made = await stack.enter_async_context(Rooms(host, port, say))
                rooms = await made.create([tokens[number % len(tokens)] for number in range(ROOMS)])
                sides.append(Side(name, host, port, [send_to(host, port, room, token) for room, token in rooms]))
            return await measure(*sides, seconds=seconds, rounds=rounds, say=say)

    found = asyncio.run(measured())
    _print(found, as_json)
    return 1 if found.rate < at_least or found.errors else 0


def _print(found: Comparison, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        return
    rates = [pair.rate for pair in found.many]
    spread = f"{min(rates):.2f} to {max(rates):.2f}"
    print(f"\nsends/s over those of the base, 64 connections: {found.rate:.2f} (median; {spread})")
    print(f"p50 over that of the base, one connection: {found.wait:.2f} (median); errors: {found.errors}")


def _ready(data_dir: Path) -> tuple[Installation, RunFile]:
    """The installation that is ready here. Raises ``Refusal`` when there is none."""
    found = running(data_dir)
    if found is None or not found[1].ready:
        raise Refusal(f"nothing runs in {data_dir}: start it with `parlor up --servers private --detach`")
    return found


def _settings(data_dir: Path) -> Settings:
    """Of the installation that is ready here. Raises ``Refusal``."""
    settings_json = _ready(data_dir)[0].read_settings()
    if settings_json is None:
        raise Refusal(f"{data_dir}/settings.json is gone although the installation runs")
    return restore(settings_json)


def _target(data_dir: Path, accounts: int) -> tuple[str, int, list[str]]:
    """Where the installation of a directory listens, and tokens of accounts."""
    settings, (_, run) = _settings(data_dir), _ready(data_dir)
    where = urlsplit(run.url)
    tokens = [sign(settings, data_dir, f"bench-{number}") for number in range(accounts)]
    return where.hostname or "", where.port or 80, tokens
