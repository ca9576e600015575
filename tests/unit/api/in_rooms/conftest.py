"""The application over the real gateway and rooms in memory, and OpenAI's package as a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx2
import openai
import pytest
from fastapi import FastAPI

from api.app import build_app
from api.tokens import issue
from parlor.gateway import Gateway
from parlor.settings import Settings
from tests.unit.actors.cluster import Cluster
from tests.unit.domain import Domain


@pytest.fixture
def cluster(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(domain, monkeypatch)


@pytest.fixture
async def app(cluster: Cluster, settings: Settings) -> AsyncIterator[FastAPI]:
    async def factory() -> Gateway:
        return cluster.gateway()

    built = build_app(settings, factory, clock=cluster.domain.clock)
    async with built.router.lifespan_context(built):
        alice = await built.state.edge.gateway.session("alice")
        await cluster.domain.loader.open_partition(alice.partition)
        yield built


@pytest.fixture
async def sdk(app: FastAPI, settings: Settings, cluster: Cluster) -> AsyncIterator[openai.AsyncOpenAI]:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
    key = issue(settings.auth, "alice", None, datetime.fromtimestamp(cluster.domain.clock.now_ms() / 1000, UTC))
    async with openai.AsyncOpenAI(
        api_key=key, base_url="http://parlor/openai/v1", http_client=http, max_retries=0
    ) as made:
        yield made
