"""`parlor move-partition` while people talk, while writers die, and when the command is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from uuid import uuid4

import pytest

from parlor.model.ids import RoomId, home_of
from tests.installation import Installation
from tests.integration.actor_processes import processes_of
from tests.integration.shards import Shards, StoredMessage
from tests.integration.test_fsck import COMMAND_SECONDS, parlor
from tests.integration.user import PERSISTED, User, of, signed_in
from tests.integration.waiting import eventually, patience

pytestmark = pytest.mark.integration

KINDS = ("private",)
"""The contract of the store has every step on SQLite, with the command killed at its statements."""
PAUSE = 0.05
MOST = 300
"""Notes of one account, fewer than it may send at once."""
STORED_WITHIN = 5.0
"""Seconds within which a note is stored whatever moves: the promise is 2 s, on a machine that does nothing else."""


class Talk:
    """Notes that are sent into one room all the time, each with the seconds that it took to be stored."""

    def __init__(self, user: User, room: str, *, persisted: bool) -> None:
        self.user = user
        self.persisted = persisted
        self.room = RoomId(room)
        self.sent: list[str] = []
        self.took: list[float] = []

    async def run(self, done: asyncio.Event) -> None:
        while not done.is_set() and len(self.sent) < MOST:
            began = time.monotonic()
            text = f"note {len(self.sent)}"
            await self._send(text)
            self.sent.append(text)
            self.took.append(time.monotonic() - began)
            await asyncio.sleep(PAUSE)

    async def _send(self, text: str) -> None:
        """Sends it again, as a client does, while the machine is too busy to answer."""
        headers = {"Idempotency-Key": uuid4().hex} | (PERSISTED if self.persisted else {})
        body = {"content": text, "reply": "none"}
        deadline = time.monotonic() + COMMAND_SECONDS
        while True:
            answer = await self.user.http.post(f"{of(self.room)}/messages", json=body, headers=headers)
            # 200: it was taken before, and was not stored in time.
            if answer.status_code in (200, 201):
                return
            assert answer.status_code == 503, answer.text
            assert time.monotonic() < deadline, answer.text
            await asyncio.sleep(PAUSE)


@asynccontextmanager
async def talking(*users: User, persisted: bool = True) -> AsyncIterator[list[Talk]]:
    done = asyncio.Event()
    talks = [Talk(user, await user.create_room(), persisted=persisted) for user in users]
    tasks = [asyncio.create_task(talk.run(done)) for talk in talks]
    try:
        yield talks
    finally:
        done.set()
        await asyncio.gather(*tasks)


async def checked(installation: Installation, talks: list[Talk], shards: Shards, seconds: float = 15.0) -> None:
    """Every note is there once, in order, for its sender and in one shard."""
    for talk in talks:
        assert [message["content"] for message in await talk.user.history(talk.room)] == talk.sent
        rows = await eventually(partial(shards.messages, talk.room), partial(has, len(talk.sent)), seconds)
        assert [row.content for row in rows] == talk.sent
        assert max(talk.took) < patience(STORED_WITHIN)
    report = await parlor(installation, "fsck")
    assert report["findings"] == []


def other(shard: int) -> str:
    return str(3 - shard)


async def test_a_partition_moves_there_and_back_while_people_talk(
    installation: Installation, user: User, stranger: User, shards: Shards
) -> None:
    async with talking(user, stranger) as talks:
        partition = str(home_of(talks[0].room))
        home = await home_shard(shards, talks[0].room)
        moved = await parlor(installation, "move-partition", partition, other(home))
        assert moved["move"]["step"] == "done"
        assert await home_shard(shards, talks[0].room) == 3 - home
        before = len(talks[0].sent)
        await eventually(lambda: count(talks[0]), lambda sent: sent > before + 3)
        moved = await parlor(installation, "move-partition", partition, str(home))
        assert moved["move"]["step"] == "done"
    await checked(installation, talks, shards)


async def test_a_partition_moves_while_writers_die(installation: Installation, user: User, shards: Shards) -> None:
    async with talking(user, persisted=False) as talks:
        partition, home = str(home_of(talks[0].room)), await home_shard(shards, talks[0].room)
        moving = asyncio.create_task(parlor(installation, "move-partition", partition, other(home)))
        while not moving.done():
            with suppress(AssertionError):  # none runs: they are being started again
                for pid in processes_of(installation, "ShardWriter"):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            await asyncio.wait([moving], timeout=3)
        assert (await moving)["move"]["step"] == "done"
        assert await home_shard(shards, talks[0].room) == 3 - home
    # Less than a lease: nobody waits for what a dead writer held.
    await checked(installation, talks, shards)


async def test_a_command_that_is_killed_is_given_again(installation: Installation, user: User, shards: Shards) -> None:
    async with talking(user, persisted=False) as talks:
        partition, home = str(home_of(talks[0].room)), await home_shard(shards, talks[0].room)
        command = ("move-partition", partition, other(home))
        for step in ("copying", "catching-up", "fenced"):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "from parlor_cli.main import main; main()",
                *command,
                "--data-dir",
                str(installation.data_dir),
                stderr=asyncio.subprocess.PIPE,
            )
            assert process.stderr is not None
            async with asyncio.timeout(COMMAND_SECONDS):
                while line := await process.stderr.readline():
                    if line.decode().rstrip().endswith(step):
                        process.kill()
                        break
                await process.wait()
        done = await parlor(installation, *command)
        assert done["move"]["step"] == "done"
    await checked(installation, talks, shards)


async def home_shard(shards: Shards, room: RoomId) -> int:
    found = await eventually(lambda: shards.room(room), lambda found: found is not None)
    assert found is not None
    return found.shard


def has(count: int, rows: list[StoredMessage]) -> bool:
    return len(rows) == count


async def count(talk: Talk) -> int:
    return len(talk.sent)


async def test_what_cannot_be_moved_is_said(installation: Installation) -> None:
    async with signed_in(installation, f"person-{uuid4().hex}") as user:
        partition = str(home_of(RoomId(await user.create_room())))
    for arguments, reason in [
        ((partition, "9"), "The shards are 1, 2"),
        (("4000", "1"), "There is no partition 4000"),
        ((partition, "--abort"), "does not move"),
        ((partition,), "--abort"),
    ]:
        done = await asyncio.to_thread(installation.parlor, "move-partition", *arguments, timeout=COMMAND_SECONDS)
        assert done.returncode != 0
        assert reason in done.stderr
