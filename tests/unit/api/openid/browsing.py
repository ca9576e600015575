"""A browser that signs in with the issuer of the tests."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from typing import Any

import httpx2
from fastapi import FastAPI

from api.app import build_app
from parlor.gateway import Gateway
from parlor.settings import Settings
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.fake_sign_in import INSTALLATION
from tests.unit.fake_clock import NOW_MS, FakeClock

START, CALLBACK = "/v1/session/openid", "/v1/session/openid/callback"
SESSION_COOKIE, TRIP_COOKIE = f"parlor_{INSTALLATION}", f"parlor_{INSTALLATION}_openid"
TAB = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
NOW = NOW_MS // 1000
PERSON = "ada@id.example"


def with_openid(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update={"openid": settings.openid.model_copy(update=changes)})


@asynccontextmanager
async def replica(settings: Settings, gateway: FakeGateway, clock: FakeClock) -> AsyncIterator[FastAPI]:
    async def factory() -> Gateway:
        return gateway

    built = build_app(settings, factory, clock=clock)
    async with built.router.lifespan_context(built):
        yield built


def browser_of(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://parlor")


async def agree(address: str, link: str = "allow") -> str:
    """Opens the issuer's page; returns the path and query of its link back."""
    async with httpx2.AsyncClient() as web:
        page = await web.get(address)
    assert page.status_code == 200, page.text
    found = re.search(rf'id="{link}" href="([^"]+)"', page.text)
    assert found is not None
    return html.unescape(found[1])


async def leave(browser: httpx2.AsyncClient) -> str:
    """Begins; returns the address at the issuer."""
    answer = await browser.get(START)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def sign_in(browser: httpx2.AsyncClient, **headers: str) -> httpx2.Response:
    return await browser.get(await agree(await leave(browser)), headers=headers)


def cookies_of(answer: httpx2.Response) -> dict[str, Any]:
    return {name: found for line in answer.headers.get_list("set-cookie") for name, found in SimpleCookie(line).items()}


def outcome(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
