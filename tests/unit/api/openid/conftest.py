"""An issuer, a replica that knows it, and a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from parlor.settings import Settings
from parlor.settings.openid import OpenIdSettings
from tests.openid_issuer import CLIENT_ID, CLIENT_SECRET, OpenIdIssuer
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.openid.browsing import (
    browser_of,
    replica,
)
from tests.unit.fake_clock import FakeClock


@pytest.fixture
def issuer(clock: FakeClock) -> Iterator[OpenIdIssuer]:
    found = OpenIdIssuer(lambda: clock.ms / 1000)
    found.start()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def settings(settings: Settings, issuer: OpenIdIssuer) -> Settings:
    openid = OpenIdSettings(issuer=issuer.url, client_id=CLIENT_ID, client_secret=SecretStr(CLIENT_SECRET))
    api = settings.api.model_copy(update={"max_requests": 50})
    return settings.model_copy(update={"openid": openid, "api": api})


@pytest.fixture
async def app(settings: Settings, gateway: FakeGateway, clock: FakeClock) -> AsyncIterator[FastAPI]:
    async with replica(settings, gateway, clock) as built:
        yield built


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with browser_of(app) as opened:
        yield opened
