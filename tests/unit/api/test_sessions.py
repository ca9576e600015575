"""The page's session: a cookie instead of a token, for the browser's own pages alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from http.cookies import SimpleCookie

import httpx2
import pytest
from fastapi import FastAPI

from api.api_keys import digest_of, new_key
from api.sign_in_codes import seal
from parlor.model.administration import Action, Way
from parlor.model.ids import AccountId
from parlor.settings import AuthSettings, Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.fake_sign_in import INSTALLATION
from tests.unit.api.sockets import Socket
from tests.unit.api.test_signing_keys import followed
from tests.unit.fake_clock import NOW_MS, CountingEntropy, FakeClock

pytestmark = pytest.mark.unit

CODE = f"17-{'a' * 32}"
NAME = f"parlor_{INSTALLATION}"
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Without a token."""
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://parlor") as opened:
        yield opened


def keep(gateway: FakeGateway, settings: Settings, account: str = "alice") -> None:
    """Makes ``CODE`` good for the account."""
    gateway.codes[CODE] = seal(CODE, AccountId(account), token(settings, account))


def cookie(session: str, name: str = NAME) -> dict[str, str]:
    return {"Cookie": f"{name}={session}"}


async def test_a_sign_in_is_written_down_and_a_failed_one_is_not(
    browser: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings
) -> None:
    keep(gateway, settings)
    for _ in range(2):
        await browser.post("/v1/session", json={"code": CODE})
    (entry,) = gateway.audit.entries
    assert (entry.action, entry.way, entry.actor, entry.subject) == (Action.SIGNED_IN, Way.HTTP, "alice", "alice")


async def test_a_code_is_exchanged_for_a_cookie_once(
    browser: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings
) -> None:
    keep(gateway, settings)
    answer = await browser.post("/v1/session", json={"code": CODE})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert answer.json() == {
        "account_id": "alice",
        "scopes": ["read", "write"],
        "expires_at": "2026-11-23T04:18:06.000Z",
        "errorCode": 0,
    }
    (line,) = answer.headers.get_list("set-cookie")
    (found,) = SimpleCookie(line).values()
    assert (found.key, found["path"], found["samesite"], found["httponly"]) == (NAME, "/", "Strict", True)
    assert found["secure"] == found["domain"] == ""
    assert 3600 <= int(found["max-age"]) <= 3611

    assert (await browser.get("/v1/session")).json() == answer.json(), "the client has kept the cookie"
    again = await browser.post("/v1/session", json={"code": CODE})
    assert (again.status_code, again.json()["code"], "set-cookie" in again.headers) == (401, "unauthenticated", False)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"code": f"17-{'b' * 32}"}, 401),
        ({"code": "x"}, 401),
        ({"token": "x"}, 401),
        ({"code": CODE, "token": "x"}, 422),
        ({"token": "x", "account_id": "alice"}, 422),
        ({"code": CODE, "more": 1}, 422),
        ({"code": 17}, 422),
        ({}, 422),
    ],
)
async def test_what_signs_nobody_in(
    browser: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, body: dict[str, object], status: int
) -> None:
    keep(gateway, settings)
    answer = await browser.post("/v1/session", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert "set-cookie" not in answer.headers
    assert CODE in gateway.codes


async def test_a_code_that_was_sealed_with_another_signs_nobody_in(
    browser: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings
) -> None:
    gateway.codes[CODE] = seal(f"17-{'b' * 32}", AccountId("alice"), token(settings))
    assert (await browser.post("/v1/session", json={"code": CODE})).status_code == 401


async def test_a_code_of_another_account_waits_for_the_person_to_decide(
    browser: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings
) -> None:
    keep(gateway, settings, "bob")
    refused = await browser.post("/v1/session", json={"code": CODE, "account_id": "alice"})
    assert (refused.status_code, refused.json()["code"], refused.json()["account_id"]) == (
        409,
        "another-account",
        "bob",
    )
    assert "set-cookie" not in refused.headers
    taken = await browser.post("/v1/session", json={"code": CODE})
    assert (taken.status_code, taken.json()["account_id"]) == (201, "bob")


async def test_a_token_that_somebody_has_is_as_good_as_a_code(browser: httpx2.AsyncClient, settings: Settings) -> None:
    answer = await browser.post("/v1/session", json={"token": token(settings)})
    assert (answer.status_code, answer.json()["account_id"]) == (201, "alice")
    assert (await browser.get("/v1/session")).json()["account_id"] == "alice"


async def test_an_api_key_is_no_session(browser: httpx2.AsyncClient, gateway: FakeGateway, clock: FakeClock) -> None:
    key, text = new_key("k", ["read"], None, clock, CountingEntropy())
    await gateway.access.add_api_key(5, key, digest_of(text), 100)
    assert (await browser.post("/v1/session", json={"token": text})).status_code == 401
    assert (await browser.get("/v1/session", headers=cookie(text))).status_code == 401
    seen = await browser.get("/v1/session", headers={"Authorization": f"Bearer {text}"})
    assert seen.json() == {"account_id": "alice", "scopes": ["read"], "expires_at": None, "errorCode": 0}


async def test_signing_out_forgets_the_cookie(browser: httpx2.AsyncClient, settings: Settings) -> None:
    await browser.post("/v1/session", json={"token": token(settings)})
    answer = await browser.delete("/v1/session", headers=OURS)
    assert (answer.status_code, answer.content) == (204, b"")
    assert f"{NAME}=; Path=/; Max-Age=0" in answer.headers["set-cookie"]
    assert (await browser.get("/v1/session")).status_code == 401


@pytest.mark.parametrize(
    ("said", "always", "secure"),
    [
        (None, False, False),
        ("https", False, True),
        ("HTTPS, http", False, True),
        ("http", False, False),
        ("http, https", False, False),
        (None, True, True),
    ],
)
async def test_behind_tls_the_cookie_is_for_tls_alone(
    app: FastAPI, browser: httpx2.AsyncClient, settings: Settings, said: str | None, always: bool, secure: bool
) -> None:
    auth = settings.auth.model_copy(update={"session_cookie": "secure" if always else "auto"})
    app.state.authenticator._auth = auth
    headers = {} if said is None else {"X-Forwarded-Proto": said}
    answer = await browser.post("/v1/session", json={"token": token(settings)}, headers=headers)
    assert ("; Secure" in answer.headers["set-cookie"]) == secure


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://parlor"}, True),
        ({"Origin": "HTTP://PARLOR"}, True),
        # A proxy may have changed the host, and a page cannot lie about this.
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://chat.example"}, True),
        ({}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://parlor"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://parlor.evil"}, False),
        ({"Origin": "http://parlor:81"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://[parlor"}, False),
        ({"Origin": "http://parlor", "X-Forwarded-Proto": "https"}, False),
        ({"Referer": "http://parlor/"}, False),
    ],
)
async def test_a_cookie_changes_something_for_its_own_page_alone(
    browser: httpx2.AsyncClient,
    gateway: FakeGateway,
    settings: Settings,
    headers: dict[str, str],
    allowed: bool,
) -> None:
    session = headers | cookie(token(settings))
    for method, path in (("POST", "/v1/rooms"), ("DELETE", "/v1/session")):
        gateway.calls.clear()
        answer = await browser.request(method, path, headers=session, json={} if method == "POST" else None)
        if allowed:
            assert answer.status_code in (201, 204)
        else:
            assert (answer.status_code, answer.json()["errorCode"], answer.json()["code"]) == (403, 1019, "forbidden")
            assert [call[0] for call in gateway.calls if call[0] != "session"] == []
    assert (await browser.get("/v1/rooms", headers=session)).status_code == 200, "reading needs nothing else"
    bearer = headers | {"Authorization": f"Bearer {token(settings)}"}
    assert (await browser.post("/v1/rooms", headers=bearer, json={})).status_code == 201, (
        "a token is not sent by itself"
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://parlor"}, 201),
        ({"Origin": "http://evil.example"}, 403),
    ],
)
async def test_another_page_signs_nobody_in(
    browser: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, headers: dict[str, str], status: int
) -> None:
    keep(gateway, settings)
    assert (await browser.post("/v1/session", json={"code": CODE}, headers=headers)).status_code == status
    assert (CODE in gateway.codes) == (status == 403)


async def test_a_form_of_another_page_is_no_sign_in(browser: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answer = await browser.post("/v1/session", content=f'{{"code":"{CODE}"}}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert gateway.calls == []


async def test_the_bearer_decides_beside_a_cookie(browser: httpx2.AsyncClient, settings: Settings) -> None:
    session = cookie(token(settings, "alice"))
    bob = {"Authorization": f"Bearer {token(settings, 'bob')}"}
    assert (await browser.get("/v1/session", headers=session | bob)).json()["account_id"] == "bob"
    assert (await browser.post("/v1/rooms", headers=session | bob, json={})).status_code == 201
    for refused in ("Bearer x", "Bearer", "Basic YTpi", ""):
        answer = await browser.get("/v1/session", headers=session | {"Authorization": refused})
        assert answer.status_code == 401
    two = [("Authorization", f"Bearer {token(settings)}")] * 2 + list(session.items())
    assert (await browser.get("/v1/session", headers=two)).status_code == 401


@pytest.mark.parametrize(
    "line",
    [
        "{name}=x",
        "{name}=",
        "{name}={good}; {name}={good}",
        "{name}=x; {name}={good}",
        "parlor_5b6f2f0e-7d0b-4c1e-9a51-0d6f1c7b8a91={good}",
        "parlor={good}",
        "parlor_={good}",
        "other={good}",
    ],
)
async def test_what_is_no_session_of_this_installation(
    browser: httpx2.AsyncClient, settings: Settings, line: str
) -> None:
    sent = {"Cookie": line.format(name=NAME, good=token(settings))}
    answer = await browser.get("/v1/rooms", headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_cookies_of_others_do_not_matter(browser: httpx2.AsyncClient, settings: Settings) -> None:
    line = f'a=b; parlor_other=x; {NAME}="{token(settings)}"; theme=dark'
    assert (await browser.get("/v1/rooms", headers={"Cookie": line})).status_code == 200


async def test_a_native_event_source_needs_the_cookie_alone(
    app: FastAPI, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    brief = cookie(token(settings, ttl=timedelta(seconds=60)))
    async with Exchange(app, "GET", "/v1/events", brief) as stream:
        assert (await stream.start())[0] == 200
        await stream.chunk()
        assert gateway.last_call()[0] == "account_events"
        clock.leap(71)
        assert b'"reason":"token-expired"' in await stream.chunk()


async def test_a_session_ends_with_its_account_its_key_and_its_time(
    browser: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    session = cookie(token(settings, ttl=timedelta(seconds=60)))
    assert (await browser.get("/v1/rooms", headers=session)).status_code == 200
    await gateway.access.revoke_account(AccountId("alice"), NOW_MS + 1)
    await followed(gateway, clock)
    assert (await browser.get("/v1/rooms", headers=session)).status_code == 401
    bob = cookie(token(settings, "bob", ttl=timedelta(seconds=60)))
    assert (await browser.get("/v1/rooms", headers=bob)).status_code == 200
    clock.leap(71)
    assert (await browser.get("/v1/rooms", headers=bob)).status_code == 401


async def test_bad_codes_are_counted_as_bad_tokens_are(
    app: FastAPI, browser: httpx2.AsyncClient, settings: Settings
) -> None:
    burst = settings.limits.refused_tokens_burst
    for _ in range(burst):
        await app.state.edge.limits.token_refused({"headers": [], "client": ("127.0.0.1", 1), "state": {}})
    answer = await browser.post("/v1/session", json={"code": CODE})
    assert (answer.status_code, answer.json()["code"]) == (429, "rate-limited")


async def test_sign_ins_whose_bodies_do_not_come_leave_the_replica_to_others(
    app: FastAPI, browser: httpx2.AsyncClient, settings: Settings
) -> None:
    here = {"headers": [], "client": ("127.0.0.1", 1)}
    given = [app.state.edge.limits.take_stranger(here) for _ in range(settings.limits.address_strangers_at_once or 0)]
    good = {"token": token(settings)}
    assert (await browser.post("/v1/session", json=good)).status_code == 429
    elsewhere = {"x-parlor-address": "203.0.113.7"}
    assert (await browser.post("/v1/session", json=good, headers=elsewhere)).status_code == 201
    given[0]()
    assert (await browser.post("/v1/session", json={"code": "x" * 20_000})).status_code == 413
    assert (await browser.post("/v1/session", json=good)).status_code == 201, "each gave its share back"


def test_a_session_lives_no_longer_than_a_token_may() -> None:
    with pytest.raises(ValueError, match="session_ttl"):
        AuthSettings(session_ttl=timedelta(days=91))


@pytest.mark.parametrize(
    ("headers", "opens"),
    [
        ({"Origin": "http://parlor", "Host": "parlor"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://evil.example", "Host": "parlor"}, False),
        ({}, False),
    ],
)
async def test_a_socket_opens_with_the_cookie_for_its_own_page_alone(
    app: FastAPI, settings: Settings, headers: dict[str, str], opens: bool
) -> None:
    async with Socket(app, headers | cookie(token(settings))) as socket:
        if opens:
            await socket.accepted()
            socket.say({"op": "ping", "ref": 1})
            assert (await socket.frame())["status"] == 200
        else:
            status, problem = await socket.denied()
            assert (status, problem["code"]) == (403, "forbidden")


async def test_a_socket_with_the_cookie_of_others_waits_for_a_token(app: FastAPI, settings: Settings) -> None:
    async with Socket(app, cookie("x", f"parlor_{'0' * 36}")) as socket:
        await socket.accepted()
        socket.say({"op": "authenticate", "token": token(settings)}, {"op": "ping", "ref": 1})
        assert (await socket.frame())["status"] == 200
