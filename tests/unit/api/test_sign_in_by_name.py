"""Signing in by name alone: on this machine, on pages of this machine, and only where it is enabled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.app import build_app
from api.this_machine import exposed
from parlor.gateway import Gateway
from parlor.model.administration import Action
from parlor.settings import Settings
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.fake_sign_in import INSTALLATION
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit

ADA = {"name": "ada"}


def changed(settings: Settings, *, by_name: bool = True, **api: Any) -> Settings:
    auth = settings.auth.model_copy(update={"sign_in_by_name": by_name})
    return settings.model_copy(update={"auth": auth, "api": settings.api.model_copy(update=api)})


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return changed(settings, by_name=getattr(request, "param", True))


@pytest.fixture
async def app(settings: Settings, gateway: FakeGateway, clock: FakeClock) -> AsyncIterator[FastAPI]:
    async def factory() -> Gateway:
        return gateway

    built = build_app(settings, factory, clock=clock)
    async with built.router.lifespan_context(built):
        yield built


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as opened:
        yield opened


async def test_a_name_is_enough(browser: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await browser.post("/v1/session", json=ADA)
    assert (answer.status_code, answer.json()["account_id"]) == (201, "ada")
    assert f"parlor_{INSTALLATION}=" in answer.headers["set-cookie"]
    assert (await browser.get("/v1/session")).json()["scopes"] == ["read", "write"]
    assert (await browser.get("/v1/admin/status")).status_code == 403
    assert [entry.action for entry in gateway.audit.entries] == [Action.SIGNED_IN]
    assert (await browser.get("/v1/session/methods")).json()["name"] is True


@pytest.mark.parametrize("settings", [False], indirect=True)
async def test_unless_it_is_enabled_nobody_is_let_in(browser: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await browser.post("/v1/session", json=ADA)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await browser.get("/v1/session/methods")).json()["name"] is False
    assert gateway.calls == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8000"}, 201),
        ({"Host": "LOCALHOST"}, 201),
        ({"Host": "[::1]:8000"}, 201),
        ({"Host": "parlor.localhost:8000"}, 201),
        ({"Origin": "http://127.0.0.1:8000"}, 201),
        ({"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}, 201),
        ({"X-Parlor-Address": "127.0.0.1"}, 201),
        # An attacker's name that leads to this machine (DNS rebinding).
        ({"Host": "evil.example:8000"}, 403),
        ({"Host": "evil.example:8000", "Origin": "http://evil.example:8000", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1@evil.example"}, 403),
        ({"Host": "localhost/.evil"}, 403),
        ({"Host": "0.0.0.0:8000"}, 403),
        ({"Host": "192.0.2.1:8000"}, 403),
        ({"Host": "["}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9000"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        # A proxy on this machine has changed the host, and says whom it stands for or what the browser sees.
        ({"X-Parlor-Address": "192.0.2.1"}, 403),
        ({"Origin": "https://chat.example.org", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"X-Forwarded-Proto": "https"}, 403),
    ],
    ids=str,
)
async def test_it_is_for_pages_of_this_machine(
    browser: httpx2.AsyncClient, gateway: FakeGateway, headers: dict[str, str], status: int
) -> None:
    answer = await browser.post("/v1/session", json=ADA, headers=headers)
    assert answer.status_code == status
    assert ("set-cookie" in answer.headers) == (status == 201)
    assert (gateway.calls == []) == (status == 403)


@pytest.mark.parametrize("name", ["", " ", " ada", "a\nb", "x" * 129])
async def test_what_is_no_account_name_signs_nobody_in(browser: httpx2.AsyncClient, name: str) -> None:
    answer = await browser.post("/v1/session", json={"name": name})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


@pytest.mark.parametrize("body", [{"name": "ada", "code": "x"}, {"name": "ada", "account_id": "ada"}])
async def test_a_name_stands_alone(browser: httpx2.AsyncClient, body: dict[str, str]) -> None:
    assert (await browser.post("/v1/session", json=body)).status_code == 422


@pytest.mark.parametrize(
    ("api", "refused"),
    [
        ({}, ""),
        ({"host": "127.0.0.2"}, ""),
        ({"host": "localhost"}, ""),
        ({"host": "::1"}, ""),
        ({"public_url": "http://localhost:8000"}, ""),
        ({"host": "0.0.0.0"}, "api.host"),  # noqa: S104
        ({"host": "::"}, "api.host"),
        ({"host": "192.0.2.1"}, "api.host"),
        ({"host": "chat.example.org"}, "api.host"),
        ({"public_url": "https://chat.example.org"}, "api.public_url"),
    ],
    ids=str,
)
def test_it_does_not_start_where_others_could_come(
    settings: Settings, gateway: FakeGateway, api: dict[str, Any], refused: str
) -> None:
    async def factory() -> Gateway:
        return gateway

    given = changed(settings, **api)
    assert exposed(changed(settings, by_name=False, **api)) == ""
    assert refused in exposed(given)
    if refused:
        with pytest.raises(ValueError, match=refused):
            build_app(given, factory)
