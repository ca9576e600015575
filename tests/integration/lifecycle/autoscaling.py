"""Serve adds a replica of the API when the ones that there are have as many streams as they should."""

from __future__ import annotations

from contextlib import AsyncExitStack

import httpx2
import pytest

from parlor_cli import processes
from tests.integration.lifecycle.conftest import MakeParlor
from tests.integration.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

REPLICA = "ServeReplica"


async def test_open_streams_bring_another_replica(make_parlor: MakeParlor) -> None:
    parlor = make_parlor()
    parlor.environment |= {
        "PARLOR_API__MAX_STREAMS": "10",  # 8 are as many as a replica should have
        "PARLOR_API__REPLICAS_MAX": "2",
        "PARLOR_LIMITS__STREAMS": "100",
    }
    parlor.start()

    async def replicas() -> int:
        commands = [" ".join(processes.command_line(ref.pid)) for ref in parlor.remains().values()]
        return sum(REPLICA in command for command in commands)

    assert await replicas() == 1
    token = parlor.command("token", "ada").stdout.strip()
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with (
        httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{parlor.port}",
            headers={"Authorization": f"Bearer {token}"},
            limits=limits,
            timeout=60,
        ) as client,
        AsyncExitStack() as opened,
    ):
        for _ in range(10):
            answer = await opened.enter_async_context(client.stream("GET", "/v1/events"))
            assert answer.status_code == 200
        assert await eventually(replicas, lambda count: count == 2, 120) == 2
    assert parlor.down().returncode == 0
