"""An outside suite for language-model APIs against the running installation (https://pypi.org/project/llm-comply)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.installation import Installation
from tests.integration.actor_processes import processes_of
from tests.integration.user import Json, User
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

KINDS = ("private",)
"""Once is enough: it takes a minute, and what it asks about has no part in what an installation stands on."""
LAST = True
FORMATS = [("open-responses", "/openai/v1"), ("openai-chat", "/openai/v1"), ("anthropic", "/anthropic/v1")]
REPLICA = "ServeReplica:parlor:ChatApi"


async def comply(user: User, kind: str, base: str) -> list[Json]:
    """The results of all of the suite's tests of a format."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("llm-comply")),
        *(
            "-u",
            base,
            "-k",
            user.http.headers["authorization"].removeprefix("Bearer "),
            "-m",
            "GPT4O",
            "--json",
            "--format",
            kind,
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 120)
    found: Json = msgspec.json.decode(printed)
    return list(found["results"])


def require_green(kind: str, results: list[Json]) -> None:
    counts = Counter(each["status"] for each in results)
    print(f"llm-comply {kind}: {dict(counts)}")
    assert {each["id"] for each in results if each["status"] not in ("passed", "skipped")} == set(), results
    assert counts["passed"] >= 8, results


def base_of(user: User, path: str) -> str:
    return f"{str(user.http.base_url).rstrip('/')}{path}"


@pytest.mark.parametrize(("kind", "path"), FORMATS)
async def test_an_outside_suite_finds_the_dialect_as_it_should_be(user: User, kind: str, path: str) -> None:
    require_green(kind, await comply(user, kind, base_of(user, path)))


@pytest.mark.timeout(600)
async def test_the_suite_is_green_again_after_replica_and_owners_were_killed_in_the_middle_of_a_run(
    user: User, installation: Installation
) -> None:
    kind, path = FORMATS[0]
    running = asyncio.create_task(comply(user, kind, base_of(user, path)))

    async def rooms() -> Json:
        return await user.get("/v1/rooms")

    await eventually(rooms, lambda page: page["rooms"], 60)
    killed = {actor: processes_of(installation, actor) for actor in (REPLICA, "RoomActor")}
    for pid in [pid for pids in killed.values() for pid in pids]:
        os.kill(pid, signal.SIGKILL)
    cut = await running
    print("in the middle:", dict(Counter(each["status"] for each in cut)))

    async def status() -> int:
        return (await user.http.get("/readyz")).status_code

    await eventually(status, lambda found: found == 200, 60)
    for actor, pids in killed.items():
        assert not set(pids) & set(processes_of(installation, actor))
    for kind, path in FORMATS:
        require_green(kind, await comply(user, kind, base_of(user, path)))
