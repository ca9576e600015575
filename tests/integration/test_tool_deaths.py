"""Replies with tools whose owners are killed: what waits goes on waiting, what was sent is sent again as itself."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import httpx2
import pytest

from tests.installation import Installation
from tests.integration.actor_processes import processes_of
from tests.integration.test_tools import Waiting, asked, folded, waiting_for
from tests.integration.user import Json, User
from tests.integration.waiting import eventually
from tests.tools import ToolService, tools_serving

pytestmark = pytest.mark.integration

LAST = True


@pytest.fixture
def service() -> Iterator[ToolService]:
    with tools_serving() as served:
        yield served


def kill_owners(installation: Installation) -> None:
    for pid in processes_of(installation, "RoomActor"):
        os.kill(pid, signal.SIGKILL)


async def approve(waits: Waiting) -> None:
    """As a client does it: again after a refusal that may be retried."""
    path = f"{waits.path}/{waits.part['tool_call_id']}/decision"
    body = {"digest": waits.part["digest"], "decision": "approve"}

    async def look() -> httpx2.Response:
        return await waits.user.http.post(path, json=body)

    await eventually(look, lambda answer: answer.status_code == 200)


async def test_a_call_outlives_its_reply_s_owners_and_is_one(
    user: User, installation: Installation, service: ToolService
) -> None:
    waits = await asked(user, "Clerk", "[[call=lookup args={}]]")
    kill_owners(installation)
    assert [found["part"] for found in await waiting_for(user)] == [waits.part]
    service.gate.clear()
    await approve(waits)

    async def requests() -> int:
        return len(service.requests)

    await eventually(requests, bool)
    kill_owners(installation)
    await eventually(requests, lambda number: number >= 2)
    service.gate.set()
    reply: Json = await user.ended(waits.room, waits.message)
    assert len({(request.key, request.body) for request in service.requests}) == 1
    (call,) = (part for part in reply["parts"] if part["type"] == "tool_call")
    assert (call["state"], call["attempts"]) == ("done", len(service.requests))
    assert reply["finish_reason"] == "stop"
    assert folded(await asyncio.wait_for(waits.events(), 30)) == reply["parts"]
