"""Messages and tokens, day by day."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo, reset_tzpath

import httpx2
import pytest

from parlor.errors import StoreUnavailable
from parlor.model.access import DailyUse
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit

EMPTY = {"messages": 0, "input_tokens": 0, "output_tokens": 0, "cost": 0}
TOMORROW = "2026-11-24T00:00:00.000Z"
LIMITS = {
    "tokens_per_day": {"limit": 1000, "used": 100, "reserved": 50, "left": 850, "resets_at": TOMORROW},
    "tokens_per_month": None,
    "cost_per_day": {"limit": 2.5, "used": 0.5, "reserved": 0, "left": 2.0, "resets_at": TOMORROW},
    "cost_per_month": None,
    "requests_per_second": {"limit": 200.0, "burst": 2000, "left": 1999},
    "sends_per_second": {"limit": 50.0, "burst": 1000, "left": 1000},
    "requests_at_once": {"limit": 400, "used": 1, "left": 399},
    "streams": {"limit": 1000, "used": 0, "left": 1000},
    "uploads_at_once": {"limit": 4, "used": 0, "left": 4},
    "rooms": {"limit": 10_000, "used": 2, "left": 9998},
    "files": {"limit": 10_000, "used": 0, "left": 10_000},
    "file_bytes": {"limit": 1024**3, "used": 0, "left": 1024**3},
    "waiting_turns": {"limit": 200},
    "versions": {"limit": 200},
}


async def test_days_and_their_total_are_told(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.uses = [DailyUse(5, "2026-11-01", 4, 100, 2**40, 1_250_000_000), DailyUse(5, "2026-11-03", 2, 10, 20)]
    answer = await client.get("/v1/usage?from=2026-11-01&to=2026-11-03")
    assert answer.status_code == 200
    assert answer.json() == {
        "from": "2026-11-01",
        "to": "2026-11-03",
        "tz": "UTC",
        "days": [
            {"date": "2026-11-01", "messages": 4, "input_tokens": 100, "output_tokens": 2**40, "cost": 1.25},
            {"date": "2026-11-03", "messages": 2, "input_tokens": 10, "output_tokens": 20, "cost": 0},
        ],
        "total": {"messages": 6, "input_tokens": 110, "output_tokens": 2**40 + 20, "cost": 1.25},
        "limits": LIMITS,
        "errorCode": 0,
    }
    assert gateway.last_call() == ("usage", "alice", "2026-11-01", "2026-11-03", "UTC")


async def test_what_an_operator_set_is_told(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    gateway.limits.set("alice", {"sends_per_second": "off", "rooms": 1, "versions": "off", "waiting_turns": 5})
    told = (await client.get("/v1/usage")).json()["limits"]
    assert (told["sends_per_second"], told["versions"], told["waiting_turns"]) == (None, None, {"limit": 5})
    assert told["rooms"] == {"limit": 1, "used": 2, "left": 0}


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("", "2026-10-25", "2026-11-23"),
        ("to=2026-03-01", "2026-01-31", "2026-03-01"),
        ("from=2026-11-20", "2026-11-20", "2026-11-23"),
        ("from=2026-11-23", "2026-11-23", "2026-11-23"),
        ("from=2023-12-31&to=2024-12-30", "2023-12-31", "2024-12-30"),
        ("to=0001-01-03", "0001-01-01", "0001-01-03"),
        ("from=9999-12-31&to=9999-12-31&unknown=1", "9999-12-31", "9999-12-31"),
    ],
)
async def test_what_is_not_said_is_the_last_thirty_days(
    client: httpx2.AsyncClient, gateway: FakeGateway, query: str, first: str, last: str
) -> None:
    answer = await client.get(f"/v1/usage?{query}")
    assert answer.status_code == 200
    told = answer.json()
    assert told.pop("limits") == LIMITS
    assert told == {"from": first, "to": last, "tz": "UTC", "days": [], "total": EMPTY, "errorCode": 0}
    assert gateway.last_call() == ("usage", "alice", first, last, "UTC")


async def test_today_is_the_day_in_utc(client: httpx2.AsyncClient, clock: FakeClock, settings: Settings) -> None:
    client.headers["authorization"] = f"Bearer {token(settings, ttl=timedelta(days=2))}"
    clock.ms = 1_795_478_399_999
    assert (await client.get("/v1/usage")).json()["to"] == "2026-11-23"
    clock.ms += 1
    assert (await client.get("/v1/usage")).json()["to"] == "2026-11-24"


@pytest.mark.parametrize(
    ("tz", "today"),
    [
        ("UTC", "2026-11-23"),
        ("America/Chicago", "2026-11-22"),
        ("Asia/Seoul", "2026-11-23"),
        ("Pacific/Kiritimati", "2026-11-23"),
        ("Asia/Kathmandu", "2026-11-23"),
        ("Etc/GMT+12", "2026-11-22"),
    ],
)
async def test_days_are_those_of_the_time_zone(
    client: httpx2.AsyncClient, gateway: FakeGateway, tz: str, today: str
) -> None:
    answer = await client.get("/v1/usage", params={"tz": tz, "from": "2026-11-01"})
    assert answer.status_code == 200
    assert (answer.json()["tz"], answer.json()["to"]) == (tz, today)
    assert gateway.last_call() == ("usage", "alice", "2026-11-01", today, tz)


@pytest.mark.parametrize(
    "tz",
    [
        "",
        "Nowhere/Land",
        "utc+1",
        "+01:00",
        "America",
        "../etc/passwd",
        "/etc/localtime",
        "localtime",
        "posixrules",
        "right/UTC",
        "posix/Europe/Berlin",
        "Factory",
        "Europe/../UTC",
        "europe/berlin\u202e",
        "Europe/Berlin\x00",
        "é",
        "x" * 65,
    ],
)
async def test_a_time_zone_that_is_not_known_is_refused(
    client: httpx2.AsyncClient, gateway: FakeGateway, tz: str
) -> None:
    answer = await client.get("/v1/usage", params={"tz": tz})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert answer.json()["errors"][0]["loc"] == ["query", "tz"]
    assert [call[0] for call in gateway.calls] == ["session"]


@pytest.mark.parametrize(
    "query",
    [
        "from=",
        "from=today",
        "from=20261101",
        "from=2026-W01-1",
        "from=1795403885",
        "from=2026-11-01T00:00:00Z",
        "from=2026-11-01%00",
        "from=2026-11-01%0A",
        "from=2026-02-29",
        "from=0000-01-01",
        "to=2026-13-01",
        "to=2026-1-1",
        "to=%D9%A2%D9%A0%D9%A2%D9%A6-11-01",
        "from=2026-11-02&to=2026-11-01",
        "from=2026-11-24",
        "from=2023-12-31&to=2024-12-31",
        "from=0001-01-01",
    ],
)
async def test_days_that_are_none_or_too_many_are_refused(
    client: httpx2.AsyncClient, gateway: FakeGateway, query: str
) -> None:
    answer = await client.get(f"/v1/usage?{query}")
    assert (answer.status_code, answer.json()["code"], answer.json()["errorCode"]) == (422, "invalid-request", 1007)
    assert answer.json()["errors"][0]["loc"] == ["query", query.partition("=")[0]]
    assert [call[0] for call in gateway.calls] == ["session"]


async def test_without_its_shard_there_is_no_usage(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    await client.get("/v1/usage")
    gateway.fails = StoreUnavailable(retry_after=2)
    answer = await client.get("/v1/usage")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_a_stranger_has_no_usage(client: httpx2.AsyncClient) -> None:
    del client.headers["authorization"]
    assert (await client.get("/v1/usage")).status_code == 401


async def test_zones_are_known_on_a_machine_without_a_database_of_them(client: httpx2.AsyncClient) -> None:
    reset_tzpath([])
    ZoneInfo.clear_cache()
    try:
        answer = await client.get("/v1/usage", params={"tz": "Europe/Berlin"})
    finally:
        reset_tzpath()
        ZoneInfo.clear_cache()
    assert (answer.status_code, answer.json()["tz"]) == (200, "Europe/Berlin")
