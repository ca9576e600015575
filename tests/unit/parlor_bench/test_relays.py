"""The relays that replies are compared with pass on what the model says."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx2
import pytest

from demo_model.server import running_demo_model
from parlor_bench.peers.running import running_aiohttp_relay, running_openai_relay

pytestmark = pytest.mark.unit

Relay = Callable[[str], AbstractAsyncContextManager[int]]


@pytest.mark.parametrize(
    ("relay", "name"), [(running_aiohttp_relay, "content"), (running_openai_relay, "text")], ids=["aiohttp", "openai"]
)
async def test_a_relay_passes_on_each_token(relay: Relay, name: str) -> None:
    async with (
        running_demo_model(host="127.0.0.1", port=0, behave="") as llm_url,
        relay(llm_url) as port,
        httpx2.AsyncClient(timeout=30.0) as client,
    ):
        answer = await client.post(f"http://127.0.0.1:{port}/v1/answers", json={"content": "[[tokens=5]]"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    words = re.findall(rf'"{name}": ?"(.*?)"', answer.text)
    assert "".join(words).split() == ["the", "quick", "brown", "fox", "jumps"]
