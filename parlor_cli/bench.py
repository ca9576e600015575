"""`parlor bench`: measures a running installation."""

from __future__ import annotations

import asyncio
import secrets
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from parlor.settings import Settings
from parlor_cli import processes
from parlor_cli.bearer import sign
from parlor_cli.configuration import restore
from parlor_cli.installation import MARKER, Installation, RunFile
from parlor_cli.refusal import Refusal
from parlor_cli.running import joined, running

if TYPE_CHECKING:
    from parlor_bench.compare import Comparison

NOOP = "noop"
PREFIX = "/bench"


def stream(data_dir: Path, *, replies: list[int], seconds: float, as_json: bool) -> int:
    """Measures replies that stream at the same time, one run for each number in ``replies``; returns the exit code.

    Raises ``Refusal`` when nothing runs here, or when another model than the demo model answers.
    """
    installation, run = _ready(data_dir)
    if "demo-model" not in run.processes:
        raise Refusal("this needs the demo model, which stamps its tokens with their time: configure no other model")
    with joined(installation, run) as settings:
        from actors import bootstrap
        from parlor_bench.stream import Target, measure

        status = bootstrap.status(settings)
    where = urlsplit(run.url)
    target = Target(
        where.hostname or "",
        where.port or 80,
        sign(settings, data_dir, "bench-stream"),
        settings.llm.base_url,
        _replicas(installation),
        [actor.pid for actor in status.actors if actor.kind == "RoomActor" and actor.alive],
    )
    say = (lambda line: None) if as_json else print
    report = asyncio.run(measure(target, replies=replies, seconds=seconds, say=say))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    return 1 if any(found.lost or found.failed for found in report.streams) else 0


def _replicas(installation: Installation) -> list[int]:
    """The process ids of the API replicas on this machine."""
    mark = f"{MARKER}={installation.runtime_dir}"
    return [
        pid
        for pid in processes.own_pids()
        if any("ServeReplica" in word for word in processes.command_line(pid)) and mark in processes.environment(pid)
    ]


def _ready(data_dir: Path) -> tuple[Installation, RunFile]:
    """The installation that is ready here. Raises ``Refusal`` when there is none."""
    found = running(data_dir)
    if found is None or not found[1].ready:
        raise Refusal(f"nothing runs in {data_dir}: start it with `parlor up --servers private --detach`")
    return found


def send(data_dir: Path, *, seconds: float, rounds: int, as_json: bool) -> int:
    """Deploys a no-op beside the API on the same ingress, measures both, and removes it; returns the exit code.

    Raises ``Refusal`` when nothing runs here.
    """
    installation, run = _ready(data_dir)
    with joined(installation, run) as settings:
        from ray import serve

        from parlor_bench.noop import build_noop_app
        from parlor_bench.send import ACCOUNTS, Target, measure

        tokens = [sign(settings, data_dir, f"bench-{number}") for number in range(ACCOUNTS)]
        demo = settings.llm.base_url if "demo-model" in run.processes else ""
        where = urlsplit(run.url)
        target = Target(where.hostname or "", where.port or 80, tokens, f"{PREFIX}/v1/noop", demo)
        serve.run(build_noop_app(), name=NOOP, route_prefix=PREFIX)
        try:
            say = (lambda line: None) if as_json else print
            report = asyncio.run(measure(target, seconds=seconds, rounds=rounds, say=say))
        finally:
            serve.delete(NOOP)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        return 0
    first = report.first_token
    print(f"\nsends/s over no-ops/s, 64 connections, {len(report.many)} rounds: {report.ratio_many:.2f} (median)")
    print(f"p50 of a send over a no-op, one connection: {report.extra_p50_ms_one:.2f} ms more (median)")
    if first is not None:
        print(
            f"first token: direct p50 {first.direct_p50} p99 {first.direct_p99} ms, "
            f"through Parlor p50 {first.parlor_p50} p99 {first.parlor_p99} ms"
        )
    return 0


def compare(data_dir: Path, base_dir: Path, *, seconds: float, rounds: int, at_least: float, as_json: bool) -> int:
    """Sends to the installations of both directories by turns; returns 1 when the first one takes less than so much of
    the sends of the other, or when a send fails. Raises ``Refusal`` when one of them does not run."""
    from parlor_bench.compare import Side
    from parlor_bench.compare import compare as measure
    from parlor_bench.rooms import Rooms
    from parlor_bench.send import ACCOUNTS, ROOMS, send_to

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
    _print(found, "the base", as_json)
    return 1 if found.rate < at_least or found.errors else 0


def plain(data_dir: Path, *, seconds: float, rounds: int, as_json: bool) -> int:
    """Sends to the installation and to the plain service, on the same servers, by turns; returns 1 when a send fails.

    Raises ``Refusal`` when nothing runs here, or without MySQL.
    """
    from parlor.store.addresses import MySqlAddress, parse_address
    from parlor_bench.compare import Side
    from parlor_bench.compare import compare as measure
    from parlor_bench.peers.plain_service import Where, token
    from parlor_bench.peers.running import arguments_of, own_database, running_plain_service
    from parlor_bench.rooms import Rooms
    from parlor_bench.send import ACCOUNTS, ROOMS, send_to

    settings = _settings(data_dir)
    address = parse_address(settings.store.urls[0].get_secret_value())
    if not isinstance(address, MySqlAddress):
        raise Refusal("the plain service needs MySQL: start Parlor with `parlor up --servers private --detach`")
    where = Where(settings.redis.url.get_secret_value(), arguments_of(address), secrets.token_urlsafe(32))
    host, port, tokens = _target(data_dir, ACCOUNTS)
    say = (lambda line: None) if as_json else print

    async def measured() -> Comparison:
        async with (
            Rooms(host, port, say) as made,
            own_database(where) as own,
            running_plain_service(own) as plain_port,
        ):
            rooms = await made.create([tokens[number % len(tokens)] for number in range(ROOMS)])
            requests = [send_to(host, port, room, owner) for room, owner in rooms]
            others = [
                send_to("127.0.0.1", plain_port, room, token(where, f"bench-{number % ACCOUNTS}"))
                for number, (room, _) in enumerate(rooms)
            ]
            sides = Side("plain", "127.0.0.1", plain_port, others), Side("parlor", host, port, requests)
            return await measure(*sides, seconds=seconds, rounds=rounds, say=say)

    found = asyncio.run(measured())
    _print(found, "the plain service", as_json)
    return 1 if found.errors else 0


def _print(found: Comparison, other: str, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        return
    rates = [pair.rate for pair in found.many]
    spread = f"{min(rates):.2f} to {max(rates):.2f}"
    print(f"\nsends/s over those of {other}, 64 connections: {found.rate:.2f} (median; {spread})")
    print(f"p50 over that of {other}, one connection: {found.wait:.2f} (median); errors: {found.errors}")


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
