"""Whether the Redis server lets its user do what Parlor does, what it is set to, and what that would lose. Asked once,
at start-up."""

from __future__ import annotations

import asyncio
import contextlib
import re

import msgspec
from redis import exceptions
from redis.asyncio import Redis

from parlor.cache.clients import connect, connect_node
from parlor.cache.cluster import Topology
from parlor.cache.connection import RETRY_AFTER, unavailable
from parlor.cache.guard import PROBE
from parlor.cache.keys import Keys
from parlor.cache.loader import all_names, load
from parlor.errors import CacheUnavailable, InvalidRequest
from parlor.model.ids import Partition
from parlor.settings import RedisSettings

OLDEST = (7, 0)
"""The scripts use nothing newer than Redis 7.0; Valkey names the Redis version that it is compatible with."""
CHECK_SECONDS = 5.0
PARTITIONS_MAX = 4096

WANTED = {
    "appendonly": ("yes", "acknowledged messages that are not in MySQL yet are lost when the server stops"),
    "appendfsync": ("always", "about a second of acknowledged messages may be lost when the machine stops"),
    "maxmemory-policy": ("noeviction", "rooms and queued messages may be evicted when memory runs out"),
}
"""Setting -> the value that loses nothing, and what any other one may lose (facts: Redis' persistence manual)."""


OWN_COMMANDS = ("SCRIPT LOAD", "EVALSHA", "HGET", "XREADGROUP", "SUBSCRIBE", "UNSUBSCRIBE")
"""What is sent besides the scripts."""
_CALL = re.compile(r"redis\.p?call\('([A-Z]+)'(?:, '([A-Z]+)')?")
_CONTAINERS = ("PUBSUB", "XGROUP", "XINFO")
"""Commands with subcommands, each of which is a right of its own."""


class ServerReport(msgspec.Struct, frozen=True):
    version: str
    warnings: list[str]
    """What the server's settings would lose; empty when they lose nothing."""


async def check_server(settings: RedisSettings, admin: RedisSettings | None = None) -> ServerReport:
    """``admin`` is the same server for who may read its settings, if that is another user. Raises ``CacheUnavailable``;
    ``InvalidRequest`` for a server that is too old, or refuses its user something."""
    async with contextlib.AsyncExitStack() as stack:
        return await _asked(settings, admin or settings, stack)


async def _asked(settings: RedisSettings, admin: RedisSettings, stack: contextlib.AsyncExitStack) -> ServerReport:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            reports = [
                await _check(client, reader, key, settings.servers.replicated)
                for client, reader, key in await _servers(settings, admin, stack)
            ]
    except exceptions.NoPermissionError as error:
        names = f"Parlor's keys and channels begin with {settings.prefix}:"
        raise InvalidRequest(f"It refuses its user a right: {error} ({names})") from error
    except TimeoutError as error:
        raise CacheUnavailable(f"It does not answer within {CHECK_SECONDS:g} s", retry_after=RETRY_AFTER) from error
    except (exceptions.RedisError, OSError) as error:
        # redis-py makes a lost connection of it.
        if any(isinstance(found, exceptions.AuthenticationError) for found in (error, error.__cause__)):
            raise InvalidRequest(f"It refuses the user or the password: {error}") from error
        raise unavailable(error) from error
    oldest = min(reports, key=lambda report: _numbers(report.version))
    return ServerReport(oldest.version, list(dict.fromkeys(line for report in reports for line in report.warnings)))


async def _servers(
    settings: RedisSettings, admin: RedisSettings, stack: contextlib.AsyncExitStack
) -> list[tuple[Redis, Redis, str]]:
    """A client of each server, one of who may read its settings, and a key of a partition that it has."""
    keys = Keys(settings.prefix)
    if settings.servers.kind != "cluster":
        found = [(connect(settings), connect(admin), keys.partition(PROBE))]
    else:
        topology = Topology(settings)
        stack.push_async_callback(topology.close)
        named = [keys.partition(Partition(number)) for number in range(PARTITIONS_MAX)]
        found = []
        for node in await topology.nodes():
            key = (await topology.served(node, named))[0]
            each = [connect_node(one, None, *node, blocking=False) for one in (settings, admin)]
            found.append((each[0], each[1], key))
    for one, other, _ in found:
        stack.push_async_callback(one.aclose)
        stack.push_async_callback(other.aclose)
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


async def _check(client: Redis, admin: Redis, key: str, replicated: bool) -> ServerReport:
    version = str((await client.info("server"))["redis_version"])
    if _numbers(version) < OLDEST:
        raise InvalidRequest(f"Redis {version} is too old: 7.0 or newer is needed")
    await require_rights(client, key, replicated=replicated)
    try:
        found = await admin.config_get(*WANTED)
    except exceptions.ResponseError:
        # Managed servers often forbid CONFIG.
        wanted = ", ".join(f"{name} {value}" for name, (value, _) in WANTED.items())
        return ServerReport(version, [f"its settings cannot be read; it should run with {wanted}"])
    warnings = [
        f"{name} is {found.get(name)!r}, not {value!r}: {loss}"
        for name, (value, loss) in WANTED.items()
        if found.get(name) != value and not (name == "appendfsync" and found.get("appendonly") != "yes")
    ]
    return ServerReport(version, warnings)


def commands(replicated: bool = False) -> list[str]:
    """Every command that Parlor runs, in its scripts and besides them; on servers that fail over too."""
    found = {call for name in all_names() for call in _CALL.findall(load(name, replicated).source)}
    unused = "PUBSUB" if replicated else "INFO"
    found = {(name, first) for name, first in found if name != unused}
    called = {f"{name} {first}" if name in _CONTAINERS else name for name, first in found}
    return sorted({*called, *OWN_COMMANDS})


async def require_rights(client: Redis, key: str, *, replicated: bool = False) -> None:
    """``key`` is one of the installation's, which the server has. Raises ``InvalidRequest`` that names every right that
    is missing."""
    script = load("check_rights")
    await client.script_load(script.source)
    words = script.command({"partition": key}, {}, commands(replicated))
    missing: list[bytes] = await client.evalsha(*words)  # type: ignore[arg-type] # the stub knows text only
    if missing:
        names = ", ".join(name.decode() for name in missing)
        raise InvalidRequest(f"It refuses its user a right: {names} on keys and channels such as {key}")
