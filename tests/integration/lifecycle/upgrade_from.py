"""`parlor upgrade` from an earlier commit: its files are replaced under it, as pip does, and both versions serve the
same rooms side by side until the last process is replaced. A part of `make chaos`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parlor.client import AsyncClient
from parlor.model.release import program_version
from tests import earlier
from tests.earlier import PACKAGES, ROOT
from tests.installation import DOWN_TIMEOUT, UP_TIMEOUT, Installation
from tests.integration.joined_ray import clean_environment
from tests.integration.second_replica import second_replica
from tests.integration.shards import Shards
from tests.integration.talk import Talk, follow
from tests.integration.user import User, signed_in
from tests.integration.waiting import patience
from tests.starts import one_start_at_a_time

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

COMMAND = "from parlor_cli.main import main; main()"
ROOMS = 3


class Environment:
    """A folder of packages that Python finds before those of the tests' environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "code"
        self.data_dir = folder / "data"
        self._variables = {**clean_environment(), "PYTHONPATH": str(self.folder), "PARLOR_RAY__DASHBOARD": "false"}

    def install_new(self) -> None:
        """Each package is there at every moment but one."""
        fresh = self.folder.with_name("fresh")
        for package in PACKAGES:
            shutil.copytree(ROOT / package, fresh / package, ignore=shutil.ignore_patterns("__pycache__"))
        for package in PACKAGES:
            (self.folder / package).rename(fresh / f"{package}.old")
            (fresh / package).rename(self.folder / package)

    def parlor(self, *words: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-c", COMMAND, *words, "--data-dir", str(self.data_dir)]
        return subprocess.run(
            command, env=self._variables, cwd="/", capture_output=True, text=True, timeout=timeout, check=False
        )

    def status(self) -> dict[str, Any]:
        done = self.parlor("status", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = msgspec.json.decode(done.stdout)
        return found


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    found = Environment(tmp_path)
    earlier.unpack(found.folder)
    try:
        with one_start_at_a_time():
            started = found.parlor("up", "--detach", "--port", "0", timeout=UP_TIMEOUT)
        assert started.returncode == 0, f"{started.stdout}\n{started.stderr}"
        yield found
    finally:
        ended = found.parlor("down", timeout=DOWN_TIMEOUT)
    assert ended.returncode == 0, ended.stderr


async def test_old_and_new_serve_the_same_rooms_until_the_last_is_replaced(environment: Environment) -> None:
    installation = Installation("embedded", environment.data_dir)
    before = (await asyncio.to_thread(environment.status))["actors"]
    assert all("version" not in actor for actor in before), "they are of the old version"
    # A door of the new version, to rooms of the old one, and later the other way round.
    with second_replica(installation) as new_door:
        async with signed_in(installation, "ada") as old, signed_in(installation, "ada", new_door) as new:
            await _upgraded(environment, installation, old, new)
    status = await asyncio.to_thread(environment.status)
    assert list(status["versions"]) == [program_version()]
    assert {actor["pid"] for actor in before} & {actor["pid"] for actor in status["actors"]} == set()


async def _upgraded(environment: Environment, installation: Installation, old: User, new: User) -> None:
    rooms = [await old.create_room() for _ in range(ROOMS)]
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        talks = [[await stack.enter_async_context(Talk(user, room)) for user in (old, new)] for room in rooms]
        client = await stack.enter_async_context(AsyncClient(installation.base_url, installation.token("ada")))
        following = group.create_task(follow(client, "[[tokens=500 delay=40ms]]"))
        for talk in chain.from_iterable(talks):
            await talk.began.wait()
        await asyncio.to_thread(environment.install_new)
        upgraded = await asyncio.to_thread(environment.parlor, "upgrade", "--json", timeout=patience(90.0))
        assert upgraded.returncode == 0, upgraded.stderr
        followed = await following
    assert (followed.resets, followed.finish_reason, followed.text) == (0, "stop", followed.stored)
    assert json.loads(upgraded.stdout)["version"] == program_version()
    await new.flush()
    shards = Shards(installation.shards)
    for room, (one, other) in zip(rooms, talks, strict=True):
        assert one.late + other.late == []
        history = {message["seq"]: message["content"] for message in await old.history(room)}
        assert history == one.taken | other.taken
        assert len(history) == len(one.taken) + len(other.taken)
        assert [row.content for row in await shards.messages(room)] == [history[seq] for seq in sorted(history)]
