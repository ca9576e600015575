"""Event streams: framing, heartbeats, ends, limits."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from fastapi import FastAPI

from api.sse import LOOK, STALL
from parlor.errors import CacheUnavailable, Fenced, RoomNotFound, StreamExpired
from parlor.model.messages import Event
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.recording_metrics import RecordingMetrics
from tests.unit.api.samples import CURSOR, MESSAGE, ROOM
from tests.unit.fake_clock import FakeClock, LeapingTime

pytestmark = pytest.mark.unit

DELTA = Event("1795403885042-8", "message.delta", b'{"text":"\xf0\x9f\xab\x96"}')
DONE = Event("1795403885042-9", "message.completed", b'{"message":{}}')


@pytest.fixture
def headers(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(settings)}"}


def events(app: FastAPI, headers: dict[str, str], query: str = "") -> Exchange:
    return Exchange(app, "GET", f"/v1/rooms/{ROOM}/events", headers, query)


async def reconnect_of(stream: Exchange) -> tuple[str, dict[str, str]]:
    last = await stream.chunk()
    name, event, data, *rest = last.decode().split("\n")
    assert (event, rest) == ("event: stream.reconnect", ["", ""])
    return name, msgspec.json.decode(data.removeprefix("data: "), type=dict[str, str])


async def test_a_batch_is_framed_in_one_chunk(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway, metrics: RecordingMetrics
) -> None:
    async with events(app, headers) as stream:
        status, answered = await stream.start()
        assert status == 200
        assert answered["content-type"] == "text/event-stream"
        assert (answered["cache-control"], answered["x-accel-buffering"]) == ("no-store", "no")
        assert "content-length" not in answered
        assert await stream.chunk() == b": open\n\n"
        gateway.subscription.batches.put_nowait([DELTA, DONE])
        assert await stream.chunk() == (
            b'id: 1795403885042-8\nevent: message.delta\ndata: {"text":"\xf0\x9f\xab\x96"}\n\n'
            b'id: 1795403885042-9\nevent: message.completed\ndata: {"message":{}}\n\n'
        )
        gateway.subscription.batches.put_nowait(None)
        assert await stream.next() == {"type": "http.response.body", "body": b"", "more_body": False}
        await stream.finished()
    assert gateway.subscription.closed.is_set()
    assert metrics.streams == [1, 0]


async def test_a_client_that_does_not_read_is_cut_off(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway, metrics: RecordingMetrics
) -> None:
    time = LeapingTime(asyncio.get_running_loop())
    async with events(app, headers) as stream:
        await stream.start()
        await stream.chunk()
        time.leap(STALL)
        gateway.subscription.batches.put_nowait([DELTA])
        assert b"message.delta" in await stream.chunk(), "a pause without events is none of the client's"
        stream.reading.clear()
        gateway.subscription.batches.put_nowait([DELTA])
        await stream.stuck.wait()
        time.leap(STALL + LOOK)
        await stream.finished()
    assert gateway.subscription.closed.is_set()
    assert gateway.subscription.iterator_closed
    assert metrics.streams == [1, 0]


async def test_an_empty_batch_is_a_heartbeat(app: FastAPI, headers: dict[str, str], gateway: FakeGateway) -> None:
    async with events(app, headers) as stream:
        await stream.start()
        await stream.chunk()
        gateway.subscription.batches.put_nowait([])
        assert await stream.chunk() == b": ping\n\n"


async def test_a_stream_ends_at_its_lifetime_with_the_cursor_reached(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway, clock: FakeClock
) -> None:
    async with events(app, headers) as stream:
        await stream.start()
        await stream.chunk()
        gateway.subscription.batches.put_nowait([DELTA])
        await stream.chunk()
        clock.leap(600)
        assert await reconnect_of(stream) == (
            f"id: {DELTA.cursor}",
            {"cursor": DELTA.cursor, "reason": "lifetime"},
        )
        await stream.finished()
    assert gateway.subscription.iterator_closed
    assert gateway.subscription.closed.is_set()


async def test_a_silent_stream_ends_with_the_cursor_where_it_began(
    app: FastAPI, headers: dict[str, str], clock: FakeClock
) -> None:
    async with events(app, headers) as stream:
        await stream.start()
        await stream.chunk()
        clock.leap(600)
        assert (await reconnect_of(stream))[1]["cursor"] == CURSOR


async def test_a_stream_ends_when_its_token_does(app: FastAPI, settings: Settings, clock: FakeClock) -> None:
    brief = {"Authorization": f"Bearer {token(settings, ttl=timedelta(seconds=60))}"}
    async with events(app, brief) as stream:
        await stream.start()
        await stream.chunk()
        clock.leap(60 + 11)  # the leeway is 10 s
        assert (await reconnect_of(stream))[1] == {"cursor": CURSOR, "reason": "token-expired"}
        await stream.finished()


async def test_a_chunk_that_is_being_sent_at_the_deadline_is_finished_and_counted(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway, clock: FakeClock
) -> None:
    async with events(app, headers) as stream:
        await stream.start()
        await stream.chunk()
        stream.reading.clear()
        gateway.subscription.batches.put_nowait([DELTA])
        await stream.stuck.wait()
        clock.leap(600)
        await asyncio.sleep(0)  # lets the deadline's task end first
        await asyncio.sleep(0)
        stream.reading.set()
        assert (await stream.chunk()).startswith(f"id: {DELTA.cursor}\n".encode())
        assert (await reconnect_of(stream))[1]["cursor"] == DELTA.cursor


async def test_a_client_that_goes_closes_the_subscription(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway, metrics: RecordingMetrics
) -> None:
    async with events(app, headers) as stream:
        await stream.start()
        stream.disconnect()
        await stream.finished()
    assert gateway.subscription.closed.is_set()
    assert gateway.subscription.iterator_closed
    assert metrics.streams == [1, 0]


async def test_a_cancelled_handler_closes_the_subscription(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway, metrics: RecordingMetrics
) -> None:
    async with events(app, headers) as stream:
        await stream.start()
        await stream.chunk()
    assert gateway.subscription.closed.is_set()
    assert gateway.subscription.iterator_closed
    assert metrics.streams == [1, 0]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (CacheUnavailable(), "cache-unavailable"),
        (StreamExpired(), "stream-expired"),
        (Fenced(), "internal"),
        (ValueError("a bug"), "internal"),
    ],
)
async def test_a_failure_on_the_way_asks_the_client_to_come_back(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway, failure: Exception, reason: str
) -> None:
    async with events(app, headers) as stream:
        await stream.start()
        await stream.chunk()
        gateway.subscription.batches.put_nowait(failure)
        assert (await reconnect_of(stream))[1] == {"cursor": CURSOR, "reason": reason}
        await stream.finished()


async def test_a_reconnect_from_the_subscription_is_passed_on_and_is_the_last(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway
) -> None:
    async with events(app, headers) as stream:
        await stream.start()
        await stream.chunk()
        told = Event(CURSOR, "stream.reconnect", b'{"cursor":"x","reason":"drain"}')
        gateway.subscription.batches.put_nowait([told])
        assert b'"reason":"drain"' in await stream.chunk()
        assert await stream.next() == {"type": "http.response.body", "body": b"", "more_body": False}
        await stream.finished()


async def test_streams_over_the_limit_are_refused_and_places_come_free(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway
) -> None:
    async with events(app, headers) as first, events(app, headers) as second:
        await first.start()
        await second.start()
        async with events(app, headers) as third:
            status, answered = await third.start()
            assert (status, answered["retry-after"]) == (503, "5")
            assert msgspec.json.decode(await third.chunk())["code"] == "overloaded"
        first.disconnect()
        await first.finished()
        async with events(app, headers) as fourth:
            assert (await fourth.start())[0] == 200


@pytest.mark.parametrize(
    ("refusal", "status"), [(RoomNotFound(), 404), (StreamExpired(extra={"oldest_cursor": "9-1"}), 410)]
)
async def test_what_is_refused_is_refused_before_the_first_byte(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway, refusal: Exception, status: int
) -> None:
    gateway.subscription.refusal = refusal
    async with events(app, headers) as stream:
        answered = await stream.start()
        assert (answered[0], answered[1]["content-type"]) == (status, "application/problem+json")
        body = msgspec.json.decode(await stream.chunk())
        assert status != 410 or body["oldest_cursor"] == "9-1"


async def test_the_header_wins_over_the_query(app: FastAPI, headers: dict[str, str], gateway: FakeGateway) -> None:
    async with events(app, {**headers, "Last-Event-ID": "5-1"}, "after=4-1") as stream:
        await stream.start()
    assert gateway.last_call() == ("room_events", ROOM, "5-1")
    async with events(app, {**headers, "Last-Event-ID": ""}, "after=4-1") as stream:
        await stream.start()
    assert gateway.last_call() == ("room_events", ROOM, "4-1")
    async with events(app, headers) as stream:
        await stream.start()
    assert gateway.last_call() == ("room_events", ROOM, None)


@pytest.mark.parametrize(
    "cursor", ["", "5", "5-", "-5", "5-1-1", "$", "a-b", "5-1 ", "1" * 21 + "-0", f"{2**64}-0", "٥-١"]
)
async def test_a_malformed_cursor_is_refused(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway, cursor: str
) -> None:
    async with events(app, headers, f"after={cursor}") as stream:
        assert (await stream.start())[0] == 422
    assert [call[0] for call in gateway.calls] == ["session"]


async def test_each_kind_of_stream_asks_the_gateway_for_its_own(
    app: FastAPI, headers: dict[str, str], gateway: FakeGateway
) -> None:
    async with Exchange(app, "GET", "/v1/events", headers, "after=4-1") as stream:
        await stream.start()
    assert gateway.last_call() == ("account_events", "4-1")
    async with Exchange(app, "GET", f"/v1/rooms/{ROOM}/messages/{MESSAGE}/events", headers) as stream:
        await stream.start()
    assert gateway.last_call() == ("reply_events", ROOM, MESSAGE, None)
