"""Pages of other origins."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.routing import BaseRoute

from api.app import build_app
from parlor.gateway import Gateway
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.recording_metrics import RecordingMetrics
from tests.unit.api.samples import ROOM
from tests.unit.fake_clock import CountingEntropy, FakeClock

pytestmark = pytest.mark.unit

OURS, OTHER = "https://chat.example.org", "https://evil.example"
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
PATH = f"/v1/rooms/{ROOM}"


@pytest.fixture
async def shared(
    settings: Settings, gateway: FakeGateway, clock: FakeClock, metrics: RecordingMetrics, routes: list[BaseRoute]
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application that one other origin may use."""
    open_to = settings.model_copy(update={"api": settings.api.model_copy(update={"origins": (OURS,)})})

    async def factory() -> Gateway:
        return gateway

    built = build_app(open_to, factory, clock=clock, entropy=CountingEntropy(), metrics=metrics)
    built.router.routes[:] = routes
    transport = httpx2.ASGITransport(app=built)
    async with (
        built.router.lifespan_context(built),
        httpx2.AsyncClient(transport=transport, base_url="http://parlor") as client,
    ):
        yield client


def sharing(answer: httpx2.Response) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [OURS, OTHER, "null", "http://parlor"])
async def test_by_default_no_other_origin_is_told_anything(client: httpx2.AsyncClient, origin: str) -> None:
    assert sharing(await client.get("/v1/rooms", headers={"Origin": origin})) == set()
    assert sharing(await client.options("/v1/rooms", headers={"Origin": origin, **ASKS})) == set()


@pytest.mark.parametrize("path", ["/v1/rooms", "/v1/nothing", f"{PATH}/events"])
async def test_a_browser_that_asks_for_an_allowed_origin_is_told_what_it_may(
    shared: httpx2.AsyncClient, path: str
) -> None:
    answer = await shared.options(path, headers={"Origin": OURS, **ASKS})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == OURS
    assert {"GET", "HEAD", "POST", "PATCH", "DELETE"} == set(answer.headers["access-control-allow-methods"].split(", "))
    headers = set(answer.headers["access-control-allow-headers"].lower().split(", "))
    assert headers >= {"authorization", "content-type", "idempotency-key", "last-event-id", "prefer"}
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", [OTHER, "null", OURS.upper(), f"{OURS}:443", f"{OURS}.evil.example"])
async def test_a_browser_that_asks_for_another_origin_is_told_nothing(shared: httpx2.AsyncClient, origin: str) -> None:
    answer = await shared.options("/v1/rooms", headers={"Origin": origin, **ASKS})
    assert (answer.status_code, sharing(answer)) == (204, set())
    assert sharing(await shared.get("/healthz", headers={"Origin": origin})) == set()


async def test_answers_and_refusals_can_be_read_by_an_allowed_page(
    shared: httpx2.AsyncClient, settings: Settings, gateway: FakeGateway
) -> None:
    authorized = {"Origin": OURS, "Authorization": f"Bearer {token(settings)}"}
    answers = [
        await shared.get("/v1/rooms", headers=authorized),
        await shared.get("/v1/rooms", headers={"Origin": OURS}),
        await shared.get("/v1/nothing", headers=authorized),
        await shared.post("/v1/rooms", headers=authorized, content=b"x"),
    ]
    gateway.fails = RuntimeError("broken")
    answers.append(await shared.get("/v1/rooms", headers=authorized))
    assert [answer.status_code for answer in answers] == [200, 401, 404, 415, 500]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == OURS
        assert {"Retry-After", "Idempotent-Replayed"} <= set(
            answer.headers["access-control-expose-headers"].split(", ")
        )
        assert "Origin" in answer.headers["vary"]


async def test_a_cache_keeps_answers_to_different_origins_apart(shared: httpx2.AsyncClient) -> None:
    assert "Origin" in (await shared.get("/healthz")).headers["vary"]


async def test_options_without_a_question_is_an_ordinary_one(shared: httpx2.AsyncClient) -> None:
    answer = await shared.options("/v1/rooms", headers={"Origin": OURS})
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert answer.headers["access-control-allow-origin"] == OURS
