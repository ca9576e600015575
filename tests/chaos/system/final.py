"""What is there in the end: queues and open replies run dry, then every row of every shard, and every page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from parlor.cache.cluster import open_pipeline
from parlor.cache.connection import ScriptPipeline
from parlor.cache.keys import Keys
from parlor.errors import CacheUnavailable
from parlor.model.ids import Partition
from parlor.settings import Settings
from parlor.store.addresses import Address
from tests.chaos.checker import FinalRoom
from tests.chaos.history import ObservedMessage
from tests.chaos.system.filling import FILLER
from tests.chaos.system.http_client import Connection, NoAnswer
from tests.chaos.system.load import Account, seen
from tests.chaos.system.rows import Backlog, backlog, stored_rooms

PAUSE = 0.2
PAGE_SECONDS = 30.0
CLOCK_MARGIN = 1.0
"""Seconds between an entry's time, which its sender took, and the acknowledgement before it."""


class Installed(Protocol):
    """Where it is looked at."""

    @property
    def settings(self) -> Settings: ...
    @property
    def shards(self) -> list[Address]: ...
    @property
    def port(self) -> int: ...


async def run_dry(installation: Installed, seconds: float) -> Backlog:
    """Waits until nothing waits. Raises ``TimeoutError`` with what still does."""
    keys = Keys(installation.settings.redis.prefix)
    redis = _patient(installation)
    deadline = time.monotonic() + seconds
    found: Backlog | None = None
    try:
        while time.monotonic() < deadline:
            try:
                found = await backlog(redis, keys, installation.settings.store.partitions)
            except CacheUnavailable:
                found = None
            if found is not None and not found.queued and not found.open_rooms:
                return found
            await asyncio.sleep(PAUSE)
    finally:
        await redis.close()
    raise TimeoutError(f"still there after {seconds:g} s: {found}")


async def oldest_unstored(installation: Installed) -> float:
    """A moment of ``time.monotonic``: whatever was acknowledged before it is stored."""
    keys = Keys(installation.settings.redis.prefix)
    offset, now = time.time() - time.monotonic(), time.monotonic()
    redis = _patient(installation)
    try:
        names = [keys.queue(Partition(number)) for number in range(installation.settings.store.partitions)]
        found = await asyncio.gather(*(redis.read("XRANGE", name, "-", "+", "COUNT", 1) for name in names))
    finally:
        await redis.close()
    oldest = [int(entries[0][1][b"at"]) / 1000 - offset for entries in found if entries]
    return min([now, *oldest]) - CLOCK_MARGIN


async def final_rooms(installation: Installed, accounts: Sequence[Account]) -> list[FinalRoom]:
    """Raises ``AssertionError`` when something cannot be read although all is healed."""
    connections = {account.name: Connection("127.0.0.1", installation.port, account.token) for account in accounts}
    try:
        return [
            FinalRoom(
                one.room,
                one.account,
                one.title,
                one.deleted,
                one.rows,
                *await _pages(connections[one.account], one.room),
                noted=one.noted,
            )
            for one in await stored_rooms(installation.shards, but=FILLER)
        ]
    finally:
        for connection in connections.values():
            await connection.close()


async def _pages(connection: Connection, room: str) -> tuple[list[ObservedMessage] | None, str]:
    """All that the owner reads, and the title; None when there is no such room. Raises ``AssertionError``."""
    path = f"/v1/rooms/{room}"
    found: list[ObservedMessage] = []
    try:
        about = await connection.ask("GET", path, seconds=PAGE_SECONDS)
        if about.status == 404:
            return None, ""
        while True:
            after = found[-1].seq if found else 0
            page = await connection.ask("GET", f"{path}/messages?limit=200&after={after}", seconds=PAGE_SECONDS)
            assert about.status == page.status == 200, f"{about} {page}"
            found += [seen(message) for message in page.body["messages"]]
            if not page.body["has_more"]:
                return found, about.body["title"]
    except NoAnswer as failure:
        raise AssertionError(f"room {room} cannot be read when all is healed: {failure.how}") from failure


def _patient(installation: Installed) -> ScriptPipeline:
    """On a machine under load, the limits of the installation are too short for who only looks."""
    seconds = {"connect_timeout": timedelta(seconds=10), "command_timeout": timedelta(seconds=20)}
    return open_pipeline(installation.settings.redis.model_copy(update=seconds))
