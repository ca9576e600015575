"""`parlor adopt`: makes Redis and the databases one installation again.

With an installation that runs it uses its servers; of one that does not run it starts those that keep data, and stops
them again. Without a data directory it uses the settings, as on a node of a cluster.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Literal, TypeAlias

import msgspec
import typer

from parlor.cache.audit import AuditCache
from parlor.cache.contents import RedisContents
from parlor.cache.dead_letters import DeadLetterCache
from parlor.fsck.adoption import Adoption, Found, Kept
from parlor.fsck.check import Fsck
from parlor.fsck.look import FsckPorts
from parlor.settings import Settings
from parlor.wiring import Wiring
from parlor_cli.configuration import load
from parlor_cli.identity import place, unguarded
from parlor_cli.installation import Installation
from parlor_cli.options import UpOptions, present
from parlor_cli.refusal import Refusal
from parlor_cli.stopped import servers_of
from parlor_cli.tables import Plain, write_json

Side: TypeAlias = Literal["keep", "forget"]
"""What becomes of that which Redis has."""


def run(options: UpOptions, *, side: Side | None, yes: bool, as_json: bool) -> int:
    """Says what it will do, asks unless ``yes``, and does it; returns the exit code: 0, or 1 when it was not wanted, or
    when something is left that nobody has. Raises ``Refusal``."""
    if as_json and not yes:
        raise Refusal("--json does not ask: give --yes as well")
    installation = Installation.find(options.data_dir)
    # Before its servers are started for this.
    is_running = installation is not None and installation.running() is not None
    with _settings(installation, options) as settings:
        found = unguarded(settings, lambda wiring: _adoption(wiring).look())
        side = side or _side(found)
        text = _plan(found, settings, side)
        if not as_json:
            print(text)
        _require_possible(found, side, is_running=is_running)
        if not yes and not _agreed():
            print("nothing was changed")
            return 1
        done = unguarded(settings, _work(found, side))
        if installation is not None:
            founding = msgspec.structs.replace(installation.founding, installation=str(found.survey.installation))
            installation.record(founding)
    if as_json:
        write_json(_as_json(found, side, done))
    else:
        print(_result(done))
    return 1 if isinstance(done, Kept) and (done.strangers or done.report.left) else 0


@contextlib.contextmanager
def _settings(installation: Installation | None, options: UpOptions) -> Iterator[Settings]:
    """Those of servers that answer."""
    if installation is None:
        settings = load(options.overrides())
        if not settings.redis.url.get_secret_value() or not settings.store.urls:
            raise Refusal(f"{options.data_dir} holds no installation, and no servers are configured")
        yield settings
    elif installation.running() is not None:
        yield present(installation)
    else:
        with servers_of(installation, options) as settings:
            yield settings


def _adoption(wiring: Wiring) -> Adoption:
    prefix = wiring.settings.redis.prefix
    audit = AuditCache(wiring.live, prefix)
    ports = FsckPorts(audit, DeadLetterCache(wiring.live), wiring.store, wiring.loader, wiring.clock)
    fsck = Fsck(ports, lambda line: print(line, file=sys.stderr, flush=True))
    return Adoption(wiring.live, RedisContents(wiring.live, prefix), wiring.store, wiring.identity, fsck)


def _side(found: Found) -> Side:
    """The one that the ids decide. Raises ``Refusal`` when they do not."""
    if found.survey.foreign:
        return "forget"
    if found.nameless:
        raise Refusal(
            "what is in Redis does not say whose it is. If these databases are a backup of the installation that used "
            "it, give --keep-redis; if nobody needs it, --forget-redis"
        )
    return "keep"


def _plan(found: Found, settings: Settings, side: Side) -> str:
    survey, contents = found.survey, found.contents
    lines = [f"These databases are installation {survey.installation}.", f"Redis at {place(settings)}:"]
    there = f"  {contents.rooms} rooms, {contents.waiting} operations that no shard has, {contents.dead_letters} "
    there += f"dead letters; {contents.keys} keys"
    if survey.foreign:
        there += f"; of installation {survey.foreign[0].cached.installation}"
    lines.append(there)
    if side == "forget":
        lines.append("All of it will be removed. The databases stay as they are.")
        if contents.waiting:
            lines.append(f"THE {contents.waiting} OPERATIONS THAT NO SHARD HAS ARE LOST BY IT.")
    else:
        lines.append(
            f"The shards have gone back behind it in {len(survey.behind)} of {len(survey.standings)} partitions."
        )
        lines.append("Both sides are kept: what waits in Redis will be stored on top of what the databases have, and")
        lines.append("rooms, messages and accounts that Redis still has and the databases do not are put back.")
    return "\n".join(lines)


def _require_possible(found: Found, side: Side, *, is_running: bool) -> None:
    if side == "keep":
        if found.survey.foreign:
            raise Refusal("it is another installation's: nothing of it can be kept with these databases")
    elif is_running:
        raise Refusal("this installation runs: stop it first (parlor down)")
    elif holders := found.contents.holders:
        raise Refusal(
            f"it is in use: {', '.join(holders)} hold partitions in it. Stop that installation first; "
            "if it was killed, wait half a minute"
        )


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise Refusal("nobody can be asked here: give --yes")
    return typer.confirm("Go on?", default=False)


def _work(found: Found, side: Side) -> Callable[[Wiring], Awaitable[Kept | int]]:
    async def work(wiring: Wiring) -> Kept | int:
        adoption = _adoption(wiring)
        return await adoption.keep(found) if side == "keep" else await adoption.forget()

    return work


def _result(done: Kept | int) -> str:
    if isinstance(done, int):
        return f"removed {done} keys; Redis is this installation's now"
    report = done.report
    lines = [
        f"{done.raised} partitions go on above what Redis knows; {done.accounts} accounts are known to both",
        f"{len(report.repaired)} of {len(report.findings)} contradictions are put right",
        "what was put back waits in Redis, and is stored when Parlor runs",
    ]
    if done.strangers:
        lines.append(f"accounts that the database knows under other numbers: {', '.join(done.strangers)}")
    if report.left:
        lines.append(f"{len(report.left)} are left, among them what neither side has: `parlor fsck` lists them")
    return "\n".join(lines)


def _as_json(found: Found, side: Side, done: Kept | int) -> dict[str, Plain]:
    shown: dict[str, Plain] = {
        "installation": found.survey.installation,
        "side": side,
        "rooms": found.contents.rooms,
        "waiting": found.contents.waiting,
        "behind": len(found.survey.behind),
    }
    if isinstance(done, int):
        return shown | {"removed": done}
    return shown | {
        "accounts": done.accounts,
        "strangers": [str(account) for account in done.strangers],
        "repaired": len(done.report.repaired),
        "left": len(done.report.left),
    }
