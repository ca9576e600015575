"""What the Redis server is set to, and what that would lose. Asked once, at start-up."""

from __future__ import annotations

import asyncio

import msgspec
from redis import exceptions
from redis.asyncio import Redis

from parlor.cache.connection import connect, unavailable
from parlor.errors import InvalidRequest
from parlor.settings import RedisSettings

OLDEST = (7, 0)
"""The scripts use nothing newer than Redis 7.0; Valkey names the Redis version that it is compatible with."""
CHECK_SECONDS = 5.0

WANTED = {
    "appendonly": ("yes", "acknowledged messages that are not in MySQL yet are lost when the server stops"),
    "appendfsync": ("always", "about a second of acknowledged messages may be lost when the machine stops"),
    "maxmemory-policy": ("noeviction", "rooms and queued messages may be evicted when memory runs out"),
}
"""Setting -> the value that loses nothing, and what any other one may lose (facts: Redis' persistence manual)."""


class ServerReport(msgspec.Struct, frozen=True):
    version: str
    warnings: list[str]
    """What the server's settings would lose; empty when they lose nothing."""


async def check_server(settings: RedisSettings) -> ServerReport:
    """Raises ``CacheUnavailable``, ``InvalidRequest`` for a server that is too old."""
    client = connect(settings)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await _check(client)
    except (exceptions.RedisError, OSError, TimeoutError) as error:
        raise unavailable(error) from error
    finally:
        await client.aclose()


async def _check(client: Redis) -> ServerReport:
    version = str((await client.info("server"))["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise InvalidRequest(f"Redis {version} is too old: 7.0 or newer is needed")
    try:
        found = await client.config_get(*WANTED)
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
