"""The relays that replies are compared with pass on what the model says."""

from __future__ import annotations

import re

import httpx2
import pytest

from demo_model.server import running_demo_model
from parlor_bench.peers import openai_relay
from parlor_bench.peers.running import running_aiohttp_relay

pytestmark = pytest.mark.unit


async def asked(client: httpx2.AsyncClient, field: str) -> list[str]:
    """The words of the answer, from the texts of its events."""
    answer = await client.post("/v1/answers", json={"content": "[[tokens=5]]"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return "".join(re.findall(rf'"{field}": ?"(.*?)"', answer.text)).split()


async def test_the_relay_on_aiohttp_passes_on_each_token() -> None:
    async with (
        running_demo_model(host="127.0.0.1", port=0, behave="") as llm_url,
        running_aiohttp_relay(llm_url) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
    ):
        assert await asked(client, "content") == ["the", "quick", "brown", "fox", "jumps"]


async def test_the_relay_on_the_openai_package_passes_on_each_token() -> None:
    async with running_demo_model(host="127.0.0.1", port=0, behave="") as llm_url:
        transport = httpx2.ASGITransport(openai_relay.build(llm_url))
        async with httpx2.AsyncClient(transport=transport, base_url="http://relay", timeout=30.0) as client:
            assert await asked(client, "text") == ["the", "quick", "brown", "fox", "jumps"]
