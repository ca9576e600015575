"""A backlog with the database away, and how it drains: real servers, all of Parlor's domain in one process.

    python -m tests.chaos.wrapper.backlog --entries 1000000

Entries are sends without a reply. While the queue drains, new sends go on; each must be taken, or refused as overloaded
by the queue's limit. In the end every row is compared with what was acknowledged. Exit code 1: something was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time

import msgspec
import structlog
from pydantic import SecretStr
from redis.asyncio import Redis

from parlor.cache.clients import connect
from parlor.cache.cluster import open_pipeline
from parlor.cache.keys import Keys
from parlor.errors import Overloaded
from parlor.model.access import Session
from parlor.model.ids import RoomId
from parlor.model.requests import ReplyMode, SendRequest
from parlor.rooms.commands import Refused, Send, SendDone
from parlor.settings import Settings
from parlor.store.addresses import store_addresses
from parlor.store.migrations import migrate
from tests.chaos.history import Recorder
from tests.chaos.system.rows import backlog, stored_rooms
from tests.chaos.wrapper.domain import Domain, DomainSettings
from tests.chaos.wrapper.injection import Rates
from tests.servers import PrivateServer, mysql_server, private_redis, running, short_directory

ACCOUNTS, ROOMS = 64, 4
AT_ONCE = 256
"""Commands that one call brings to an owner, as a busy front door does."""
TEXT = "x" * 300
SHARDS = 2
TRICKLE = 32
"""Commands of each call while the queue drains."""
LOOK_PAUSE = 0.2
DRAIN_SECONDS = 3600.0
ANSWER_SECONDS = 60.0


class Measured(msgspec.Struct, frozen=True):
    entries: int
    fill_seconds: float
    redis_mb_before: float
    redis_mb_full: float
    """``used_memory``."""
    bytes_per_entry: float
    drain_seconds: float
    drained_per_second: float
    taken_meanwhile: int
    """Sends while the queue drained."""
    refused: dict[str, int]
    """Sends that were refused and asked again, by error: of the queue's limit, or of a Redis that is slow to answer."""
    acknowledged: int
    rows: int
    wrong_rooms: list[str]


class _Speakers:
    """Every room's next message; texts are numbered in the order of their acknowledgement."""

    def __init__(self, domain: Domain, rooms: list[tuple[Session, RoomId]]) -> None:
        self._domain = domain
        self._rooms = rooms
        self._turn = 0
        self._again: list[Send] = []
        self.taken: dict[RoomId, dict[int, str]] = {room: {} for _, room in rooms}
        self.refused: dict[str, int] = {}

    @property
    def count(self) -> int:
        return sum(map(len, self.taken.values()))

    async def speak(self, number: int) -> None:
        """So many sends, in one call. One that was not answered is asked again, with the same id, in the next call."""
        commands, self._again = self._again, []
        mint = self._domain.mint
        while len(commands) < number:
            session, room = self._rooms[self._turn % len(self._rooms)]
            self._turn += 1
            request = SendRequest(f"{self._turn:09d} {TEXT}", reply=ReplyMode.NONE)
            commands.append(Send(session, room, "", mint.message_id(session.partition), None, request))
        for command, outcome in zip(
            commands, await self._domain.hosts[0].execute(commands, activate=True), strict=True
        ):
            match outcome:
                case SendDone(receipt):
                    self.taken[command.room_id][receipt.message.seq] = command.request.content
                case Refused(error):
                    self.refused[error.kind] = self.refused.get(error.kind, 0) + 1
                    self._again.append(command)
                case _:
                    raise AssertionError(f"{outcome} answers a send")

    async def hear_all(self) -> None:
        """Until every send is answered. Raises ``TimeoutError``."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._again:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self._again)} sends are not taken")
            await self.speak(len(self._again))
            await asyncio.sleep(LOOK_PAUSE)


async def measure(settings: Settings, entries: int, database: PrivateServer) -> Measured:
    await migrate(settings.store)
    domain = Domain(settings, Rates(), Recorder(None, time.monotonic, "backlog"), 1)
    redis: Redis = connect(settings.redis)
    pipeline = open_pipeline(settings.redis)
    keys, partitions = Keys(settings.redis.prefix), settings.store.partitions
    await domain.open(owners=1)
    try:
        rooms = await domain.users.settle_in(ACCOUNTS, ROOMS)
        speakers = _Speakers(domain, rooms)
        await speakers.speak(len(rooms))
        database.kill()
        before = await _used_mb(redis)
        began = time.monotonic()
        while speakers.count < entries:
            await speakers.speak(min(AT_ONCE, max(1, entries - speakers.count)))
            if Overloaded.__name__ in speakers.refused:
                raise AssertionError(f"refused before the limit: {speakers.refused}")
        filled, full = time.monotonic() - began, await _used_mb(redis)
        queued = (await backlog(pipeline, keys, partitions)).queued
        print(f"{queued} entries queued in {filled:.0f} s, Redis {full:.0f} MB", file=sys.stderr, flush=True)
        await asyncio.to_thread(database.start)
        began, before_drain = time.monotonic(), speakers.count
        while (waits := (await backlog(pipeline, keys, partitions)).queued) > TRICKLE * 4:
            if time.monotonic() - began > DRAIN_SECONDS:
                raise TimeoutError(f"{waits} entries still wait")
            await speakers.speak(TRICKLE)
            await asyncio.sleep(LOOK_PAUSE)
        drained = time.monotonic() - began
        await speakers.hear_all()
        meanwhile = speakers.count - before_drain
        await domain.run_dry()
    finally:
        await redis.aclose()
        await pipeline.close()
        await domain.close()
    stored = await stored_rooms(list(store_addresses(settings.store).shards.values()))
    found = {room.room: {row.seq: row.content for row in room.rows} for room in stored}
    return Measured(
        entries=queued,
        fill_seconds=round(filled, 1),
        redis_mb_before=round(before, 1),
        redis_mb_full=round(full, 1),
        bytes_per_entry=round((full - before) * 1e6 / queued, 1),
        drain_seconds=round(drained, 1),
        drained_per_second=round((queued + meanwhile) / drained, 1),
        taken_meanwhile=meanwhile,
        refused=speakers.refused,
        acknowledged=speakers.count,
        rows=sum(len(room.rows) for room in stored),
        wrong_rooms=[room for room, texts in speakers.taken.items() if found.get(room) != texts],
    )


async def _used_mb(redis: Redis) -> float:
    return float((await redis.info("memory"))["used_memory"]) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.wrapper.backlog", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    entries: int = parser.parse_args().entries
    # Writers say each second that their database is away: that is known.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with short_directory() as directory:
        (directory / "m").mkdir()
        with private_redis(directory) as redis_url, running(mysql_server(directory / "m")) as database:
            settings = _settings(redis_url, database.url)
            found = asyncio.run(measure(settings, entries, database))
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return 1 if found.wrong_rooms or found.rows != found.acknowledged else 0


def _settings(redis_url: str, mysql_url: str) -> Settings:
    urls = tuple(SecretStr(mysql_url.replace("/parlor?", f"/backlog_{shard}?")) for shard in range(1, SHARDS + 1))
    return DomainSettings.model_validate(
        {
            "redis": {"url": SecretStr(redis_url)},
            "store": {"urls": urls},
            "llm": {"base_url": "http://127.0.0.1:9/v1"},
        }
    )


if __name__ == "__main__":
    sys.exit(main())
