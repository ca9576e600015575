"""One account or address leaves enough for the others: rates, what is open at a time, and what the answers tell."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from api import session_cookie
from api.api_keys import digest_of, new_key
from api.rates import Limits, Rate, Shares, address_of
from parlor.errors import RateLimited
from parlor.settings import Settings
from parlor.settings.limits import LimitSettings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.fake_sign_in import INSTALLATION
from tests.unit.api.samples import ROOM
from tests.unit.fake_clock import CountingEntropy, FakeClock, settle

pytestmark = pytest.mark.unit

SEND = f"/v1/rooms/{ROOM}/messages"
TIGHT = LimitSettings(
    requests_per_second=2,
    requests_burst=5,
    sends_per_second=1,
    sends_burst=2,
    streams=1,
    requests_at_once=1,
    address_requests_per_second=2,
    address_requests_burst=8,
    refused_tokens_per_second=1,
    refused_tokens_burst=3,
    refusal_delay=timedelta(0),
)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"limits": TIGHT})


def asking(settings: Settings, account: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(settings, account)}"}


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    clock = FakeClock()
    rate = Rate("requests", lambda _: (4, 10), clock)
    found = [rate.take("ada") for _ in range(12)]
    assert [each is not None and not each.retry_after for each in found] == [True] * 10 + [False] * 2
    assert [each.left for each in found if each is not None][::11] == ['"requests";r=9;t=1', '"requests";r=0;t=1']
    clock.leap(0.25)
    again, more = rate.take("ada"), rate.take("ada")
    assert again is not None
    assert more is not None
    assert again.retry_after == 0
    assert more.retry_after == pytest.approx(0.25)
    clock.leap(3600)
    full = rate.take("ada")
    assert full is not None
    assert (full.policy, full.left) == ('"requests";q=10;w=3', '"requests";r=9;t=1')


def test_a_refused_request_costs_nothing() -> None:
    clock = FakeClock()
    rate = Rate("requests", lambda _: (1, 1), clock)
    for _ in range(100):
        rate.take("ada")
    clock.leap(1)
    standing = rate.take("ada")
    assert standing is not None
    assert not standing.retry_after


def test_each_key_has_a_bucket_of_its_own_and_looking_takes_nothing() -> None:
    rate = Rate("requests", lambda _: (1, 1), FakeClock())
    for _ in range(3):
        look = rate.look("bob")
        assert look is not None
        assert not look.retry_after
    assert [standing.retry_after > 0 for standing in (rate.take(key) for key in ("ada", "ada", "bob")) if standing] == [
        False,
        True,
        False,
    ]


def test_without_a_rate_nothing_is_counted() -> None:
    rate = Rate("requests", lambda _: (None, 1), FakeClock())
    assert [rate.take("ada"), rate.take("ada"), rate.look("ada")] == [None] * 3


def test_what_is_left_is_told_and_a_new_quota_counts_what_was_taken() -> None:
    clock, per_second = FakeClock(), {"ada": (1.0, 10)}
    rate = Rate("requests", lambda key: per_second.get(key, (None, 1)), clock)
    assert (rate.left("ada"), rate.left("bob")) == (10, None)
    for _ in range(4):
        rate.take("ada")
    assert rate.left("ada") == 6
    per_second["ada"] = (1.0, 4)
    assert rate.left("ada") == 0
    clock.leap(2)
    assert rate.left("ada") == 2


def test_a_share_is_given_back() -> None:
    shares = Shares("streams", lambda _: 2)
    first, _ = shares.take("ada"), shares.take("ada")
    with pytest.raises(RateLimited):
        shares.take("ada")
    shares.take("bob")
    first()
    shares.take("ada")


@pytest.mark.parametrize("off", ["off", "OFF", " none ", "null", None])
def test_a_limit_can_be_turned_off(off: object) -> None:
    assert LimitSettings.model_validate({"requests_per_second": off, "streams": off}).streams is None


@pytest.mark.parametrize("wrong", [0, -1, "nan", "inf", "many", ""])
def test_a_limit_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        LimitSettings.model_validate({"requests_per_second": wrong})


async def test_an_account_over_its_rate_is_told_when_to_come_back(client: httpx2.AsyncClient, clock: FakeClock) -> None:
    answers = [await client.get("/v1/rooms") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert [answer.headers["ratelimit"] for answer in answers[:2]] == ['"requests";r=4;t=1', '"requests";r=3;t=1']
    refused = answers[-1]
    assert refused.headers["ratelimit-policy"] == '"requests";q=5;w=3'
    assert refused.headers["ratelimit"] == '"requests";r=0;t=1'
    assert (refused.headers["retry-after"], refused.headers["content-type"]) == ("1", "application/problem+json")
    body = refused.json()
    assert (body["code"], body["errorCode"], body["retry_after_seconds"]) == ("rate-limited", 1010, 1)
    clock.leap(0.5)
    assert (await client.get("/v1/rooms")).status_code == 200


async def test_another_account_does_not_notice(client: httpx2.AsyncClient, settings: Settings) -> None:
    for _ in range(6):
        last = await client.get("/v1/rooms")
    assert last.status_code == 429
    assert (await client.get("/v1/rooms", headers=asking(settings, "bob"))).status_code == 200


async def test_a_send_over_its_rate_appends_nothing(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    answers = [await client.post(SEND, json={"content": "x"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[-1].headers["ratelimit-policy"] == '"sends";q=2;w=2'
    assert sum(call[0] == "send_message" for call in gateway.calls) == 2


async def test_tokens_that_are_not_valid_are_refused_without_being_looked_at(
    client: httpx2.AsyncClient, clock: FakeClock, settings: Settings
) -> None:
    wrong = {"Authorization": "Bearer nonsense"}
    found = [(await client.get("/v1/rooms", headers=wrong)).status_code for _ in range(5)]
    assert found == [401, 401, 401, 429, 429]
    # The address is refused, whatever it sends now: looking at the token would be the work that it asks for.
    assert (await client.get("/v1/rooms", headers=asking(settings, "bob"))).status_code == 429
    clock.leap(1)
    assert (await client.get("/v1/rooms", headers=asking(settings, "bob"))).status_code == 200


async def test_an_address_over_its_rate_is_refused_whoever_asks(client: httpx2.AsyncClient, settings: Settings) -> None:
    there = {"x-parlor-address": "203.0.113.7"}
    found = [
        (await client.get("/v1/rooms", headers={**asking(settings, f"account-{number}"), **there})).status_code
        for number in range(10)
    ]
    assert found == [200] * 8 + [429] * 2
    elsewhere = {**asking(settings, "bob"), "x-parlor-address": "203.0.113.8"}
    assert (await client.get("/v1/rooms", headers=elsewhere)).status_code == 200
    assert (await client.get("/healthz", headers=there)).status_code == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", ""])
async def test_addresses_of_this_machine_have_no_rate(
    client: httpx2.AsyncClient, settings: Settings, address: str
) -> None:
    for number in range(20):
        headers = {**asking(settings, f"account-{number}"), "x-parlor-address": address}
        assert (await client.get("/v1/rooms", headers=headers)).status_code == 200


async def test_streams_of_one_account_leave_some_for_others(app: FastAPI, settings: Settings) -> None:
    ada, bob = asking(settings, "ada"), asking(settings, "bob")
    async with Exchange(app, "GET", "/v1/events", ada) as one, Exchange(app, "GET", "/v1/events", ada) as two:
        assert ((await one.start())[0], (await two.start())[0]) == (200, 429)
        async with Exchange(app, "GET", "/v1/events", bob) as other:
            assert (await other.start())[0] == 200
        one.disconnect()
        await one.finished()
    async with Exchange(app, "GET", "/v1/events", ada) as again:
        assert (await again.start())[0] == 200


async def test_requests_of_one_account_at_a_time_leave_some_for_others(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings
) -> None:
    gateway.hold = asyncio.Event()
    waiting = asyncio.create_task(client.get(f"/v1/rooms/{ROOM}"))
    await gateway.held.get()
    assert (await client.get("/v1/rooms")).status_code == 429
    assert (await client.get("/v1/rooms", headers=asking(settings, "bob"))).status_code == 200
    gateway.hold.set()
    assert (await waiting).status_code == 200
    assert (await client.get("/v1/rooms")).status_code == 200


async def test_a_refusal_is_held_back_so_that_asking_again_at_once_is_slow(
    app: FastAPI, settings: Settings, clock: FakeClock
) -> None:
    limits: Limits = app.state.edge.limits
    slow = Limits(settings.limits.model_copy(update={"refusal_delay": timedelta(seconds=1)}), clock)
    limits.hold_back = slow.hold_back  # type: ignore[method-assign]
    ada = asking(settings, "ada")
    for _ in range(5):
        async with Exchange(app, "GET", "/v1/rooms", ada) as taken:
            assert (await taken.start())[0] == 200
    async with Exchange(app, "GET", "/v1/rooms", ada) as refused:
        starting = asyncio.create_task(refused.start())
        await settle()
        assert not starting.done()
        clock.leap(1)
        assert (await starting)[0] == 429


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::1"),
        ("unix:", "unix:"),
        ("", ""),
    ],
)
def test_an_ipv6_network_counts_as_one_address(address: str, counted: str) -> None:
    by_header = {"headers": [(b"x-parlor-address", address.encode())], "client": ("192.0.2.1", 1)}
    assert address_of(by_header) == address_of({"headers": [], "client": (address, 1)}) == counted


async def test_tokens_that_are_good_get_in_whatever_else_comes_from_the_address(
    client: httpx2.AsyncClient, gateway: FakeGateway, settings: Settings, clock: FakeClock
) -> None:
    made, key = new_key("k", ["read"], None, clock, CountingEntropy())
    await gateway.access.add_api_key(5, made, digest_of(key), 100)
    cookie = f"{session_cookie.name_of(INSTALLATION)}={token(settings, 'dora')}"
    good = [asking(settings, "bob"), {"Authorization": f"Bearer {key}"}, {"Cookie": cookie}]
    del client.headers["authorization"]
    for headers in good:
        assert (await client.get("/v1/rooms", headers=headers)).status_code == 200
    other = f"{key[:-64]}{key[-64:][::-1]}"
    wrong = [{"Authorization": given} for given in ("Bearer nonsense", f"Bearer {other}", "Bearer")]
    for number in range(6):
        await client.get("/v1/rooms", headers=wrong[number % 3])
    for headers in wrong:
        assert (await client.get("/v1/rooms", headers=headers)).status_code == 429
    for headers in good:
        assert (await client.get("/v1/rooms", headers=headers)).status_code == 200
