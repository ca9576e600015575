"""The application over a fake gateway, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from typing import Any

import httpx2
import openai
import pytest
import structlog
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.routing import BaseRoute
from structlog.typing import EventDict

from api import openapi
from api.app import build_app
from api.methods import MethodTable
from parlor.gateway import Gateway
from parlor.settings import ApiSettings, AuthSettings, Settings
from parlor.settings.account_limits import AccountLimits
from parlor.settings.limits import LimitSettings
from parlor.settings.uploads import FileSettings
from tests.unit.api.bearer_tokens import SECRET, token
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.recording_metrics import RecordingMetrics
from tests.unit.fake_clock import CountingEntropy, FakeClock


@pytest.fixture(autouse=True)
def logs() -> Iterator[Sequence[EventDict]]:
    """What is logged during a test."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def metrics() -> RecordingMetrics:
    return RecordingMetrics()


@pytest.fixture
def settings() -> Settings:
    return Settings(
        auth=AuthSettings(secret=SecretStr(SECRET)),
        limits=LimitSettings(refusal_delay=timedelta(0)),
        files=FileSettings(size_max=100_000),
        api=ApiSettings(max_streams=2, max_requests=2, body_max=64 * 1024, content_max=1000),
    )


@pytest.fixture(scope="session")
def never_started() -> FastAPI:
    async def factory() -> Gateway:
        raise AssertionError("this application is never started")

    return build_app(Settings(auth=AuthSettings(secret=SecretStr(SECRET))), factory)


@pytest.fixture(scope="session")
def routes(never_started: FastAPI) -> list[BaseRoute]:
    """The routes, shared by all applications: FastAPI takes 30 ms to prepare them at the first request."""
    return never_started.router.routes


@pytest.fixture(scope="session")
def document(never_started: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, which takes half a second to build. (Its limits are those of the default settings.)"""
    return openapi.document(never_started)


@pytest.fixture(scope="session")
def methods(never_started: FastAPI) -> MethodTable:
    """The methods of each path, which are read from such a document."""
    found: MethodTable = never_started.state.methods
    return found


@pytest.fixture
async def app(
    settings: Settings,
    gateway: FakeGateway,
    clock: FakeClock,
    metrics: RecordingMetrics,
    routes: list[BaseRoute],
    methods: MethodTable,
) -> AsyncIterator[FastAPI]:
    async def factory() -> Gateway:
        gateway.limits = gateway.administration.limits = AccountLimits(settings.limits)
        return gateway

    built = build_app(settings, factory, clock=clock, entropy=CountingEntropy(), metrics=metrics)
    built.router.routes[:] = routes
    built.state.methods = methods
    async with built.router.lifespan_context(built):
        yield built


@pytest.fixture
async def client(app: FastAPI, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {token(settings)}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://parlor", headers=headers) as opened:
        yield opened


@pytest.fixture
async def gpt(app: FastAPI, settings: Settings) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's own client of the application."""
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
    async with openai.AsyncOpenAI(
        api_key=token(settings), base_url="http://parlor/openai/v1", http_client=http, max_retries=0
    ) as made:
        yield made
