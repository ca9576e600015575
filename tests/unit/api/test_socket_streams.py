"""``GET /v1/socket``: the order of frames, back-pressure, subscriptions, and how a connection ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from fastapi import FastAPI
from structlog.typing import EventDict

from api import socket as sockets_under_test
from parlor.errors import CacheUnavailable, ParlorError, RoomNotFound, StreamExpired
from parlor.model.access import Session
from parlor.model.ids import Partition, RoomId
from parlor.model.messages import Event
from parlor.model.requests import SendReceipt, SendRequest
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import CURSOR, MINT, ROOM
from tests.unit.api.sockets import Socket, is_idle, until
from tests.unit.fake_clock import FakeClock

pytestmark = pytest.mark.unit

SEND = {"op": "send", "ref": "c1", "room_id": ROOM, "content": "hello"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"api": settings.api.model_copy(update={"max_streams": 5, "max_requests": 50})})


@pytest.fixture
def headers(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(settings)}"}


# Order and back-pressure


class HeldGateway(FakeGateway):
    """Each send waits until the test lets it through."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[tuple[RoomId, str]] = []
        self.let: dict[str, asyncio.Event] = {}

    async def send_message(self, session: Session, room_id: RoomId, request: SendRequest) -> SendReceipt:
        self.begun.append((room_id, request.content))
        await self.let.setdefault(request.content, asyncio.Event()).wait()
        return self.receipt

    def release(self, content: str) -> None:
        self.let.setdefault(content, asyncio.Event()).set()


class TestOrder:
    @pytest.fixture
    def gateway(self) -> HeldGateway:
        return HeldGateway()

    async def test_frames_for_one_room_wait_for_each_other_and_rooms_do_not(
        self, app: FastAPI, gateway: HeldGateway, headers: dict[str, str]
    ) -> None:
        other = MINT.room_id(Partition(17))
        async with Socket(app, headers) as socket:
            await socket.accepted()
            socket.say(
                {**SEND, "content": "1", "ref": 1},
                {**SEND, "content": "2", "ref": 2, "room_id": ROOM.upper()},
                {**SEND, "content": "other", "ref": 3, "room_id": other},
            )
            await until(lambda: len(gateway.begun) == 2)
            assert gateway.begun == [(ROOM, "1"), (other, "other")]
            gateway.release("2")
            gateway.release("other")
            assert (await socket.frame())["ref"] == 3
            gateway.release("1")
            assert [answer["ref"] for answer in await socket.frames(2)] == [1, 2]
        assert is_idle(app)

    async def test_a_frame_that_fails_does_not_stop_the_next_one(
        self, app: FastAPI, gateway: HeldGateway, headers: dict[str, str]
    ) -> None:
        gateway.release("good")
        async with Socket(app, headers) as socket:
            await socket.accepted()
            socket.say({**SEND, "content": " ", "ref": 1}, {**SEND, "content": "good", "ref": 2})
            assert {answer["ref"]: answer["status"] for answer in await socket.frames(2)} == {1: 422, 2: 201}

    async def test_no_more_is_read_than_the_window_takes(
        self, app: FastAPI, gateway: HeldGateway, headers: dict[str, str]
    ) -> None:
        window = sockets_under_test.WINDOW
        rooms = [MINT.room_id(Partition(17)) for _ in range(window + 5)]
        async with Socket(app, headers) as socket:
            await socket.accepted()
            socket.say(*({**SEND, "room_id": room, "ref": room} for room in rooms))
            await until(lambda: len(gateway.begun) == window)
            assert socket.incoming.qsize() == 5
            gateway.release("hello")
            assert {answer["ref"] for answer in await socket.frames(window + 5)} == set(rooms)
        assert is_idle(app)

    async def test_what_was_begun_is_answered_before_the_connection_ends(
        self, app: FastAPI, gateway: HeldGateway, headers: dict[str, str], clock: FakeClock, settings: Settings
    ) -> None:
        async with Socket(app, headers) as socket:
            await socket.accepted()
            socket.say(SEND)
            await until(lambda: gateway.begun)
            clock.leap(settings.api.stream_lifetime.total_seconds())
            await asyncio.sleep(0)
            gateway.release("hello")
            assert (await socket.frame())["status"] == 201
            assert await socket.closed() == (1001, "lifetime")


# Subscriptions


def delta(cursor: str, text: bytes = b"{}") -> Event:
    return Event(cursor, "message.delta", text)


async def test_events_come_after_the_answer_and_with_their_cursors(
    app: FastAPI, gateway: FakeGateway, headers: dict[str, str]
) -> None:
    gateway.subscription.batches.put_nowait([delta("1-1", b'{"a":1}'), delta("1-2")])
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "subscribe", "ref": "s", "room_id": ROOM.upper(), "after": CURSOR})
        assert await socket.frames(3) == [
            {"ref": "s", "status": 200, "body": {"cursor": CURSOR, "errorCode": 0}},
            {"room_id": ROOM, "id": "1-1", "event": "message.delta", "data": {"a": 1}},
            {"room_id": ROOM, "id": "1-2", "event": "message.delta", "data": {}},
        ]
        assert ("room_events", ROOM, CURSOR) in gateway.calls
        assert app.state.edge.streams.taken == 2
        socket.say({"op": "subscribe", "ref": "again", "room_id": ROOM})
        assert (await socket.frame())["status"] == 422
        socket.say({"op": "unsubscribe", "ref": "u", "room_id": ROOM})
        assert await socket.frame() == {"ref": "u", "status": 200, "body": {"errorCode": 0}}
        assert (gateway.subscription.closed.is_set(), app.state.edge.streams.taken) == (True, 1)
        socket.say({"op": "unsubscribe", "ref": "u", "room_id": ROOM})
        assert (await socket.frame())["status"] == 200
    assert is_idle(app)


async def test_events_of_the_account(app: FastAPI, gateway: FakeGateway, headers: dict[str, str]) -> None:
    gateway.subscription.batches.put_nowait([Event("1-1", "room.created", b"{}")])
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "subscribe", "ref": "s", "account": True})
        _, event = await socket.frames(2)
        assert event == {"account": True, "id": "1-1", "event": "room.created", "data": {}}


@pytest.mark.parametrize("failure", [RoomNotFound(), StreamExpired(extra={"oldest_cursor": CURSOR})])
async def test_a_subscription_that_is_refused_is_none(
    app: FastAPI, gateway: FakeGateway, headers: dict[str, str], failure: ParlorError
) -> None:
    gateway.subscription.refusal = failure
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "subscribe", "ref": "s", "room_id": ROOM})
        found = await socket.frame()
        assert (found["status"], found["body"]["code"]) == (failure.http_status, failure.code)
        assert app.state.edge.streams.taken == 1
        gateway.subscription.refusal = None
        socket.say({"op": "subscribe", "ref": "s", "room_id": ROOM})
        assert (await socket.frame())["status"] == 200
    assert is_idle(app)


async def test_subscriptions_are_streams_of_the_account(app: FastAPI, headers: dict[str, str]) -> None:
    slots = [app.state.edge.streams.take("bob") for _ in range(4)]
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "subscribe", "ref": "s", "room_id": ROOM})
        assert (await socket.frame())["status"] == 503
    for slot in slots:
        slot.release()
    assert is_idle(app)


async def test_a_subscription_that_fails_says_where_to_go_on_and_the_connection_stays(
    app: FastAPI, gateway: FakeGateway, headers: dict[str, str]
) -> None:
    gateway.subscription.batches.put_nowait([delta("1-1")])
    gateway.subscription.batches.put_nowait(CacheUnavailable("Redis"))
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "subscribe", "ref": "s", "room_id": ROOM})
        *_, last = await socket.frames(3)
        data = {"cursor": "1-1", "reason": "cache-unavailable"}
        assert last == {"room_id": ROOM, "id": "1-1", "event": "stream.reconnect", "data": data}
        await until(lambda: app.state.edge.streams.taken == 1)
        socket.say({"op": "subscribe", "ref": "s", "room_id": ROOM})
        assert (await socket.frame())["status"] == 200


@pytest.mark.parametrize(("after", "reason", "code"), [(540.0, "lifetime", 1001), (None, "token-expired", 1008)])
async def test_a_connection_ends_in_time(
    app: FastAPI,
    gateway: FakeGateway,
    settings: Settings,
    clock: FakeClock,
    after: float | None,
    reason: str,
    code: int,
) -> None:
    ttl = timedelta(hours=1) if after else timedelta(seconds=60)
    gateway.subscription.batches.put_nowait([delta("1-1")])
    async with Socket(app, {"Authorization": f"Bearer {token(settings, ttl=ttl)}"}) as socket:
        await socket.accepted()
        socket.say({"op": "subscribe", "ref": "s", "room_id": ROOM})
        await socket.frames(2)
        clock.leap(settings.api.stream_lifetime.total_seconds() if after else 61 + settings.auth.leeway.total_seconds())
        found = await socket.frame()
        assert (found["event"], found["data"]) == ("stream.reconnect", {"cursor": "1-1", "reason": reason})
        assert await socket.closed() == (code, reason)
    assert is_idle(app)


async def test_a_revoked_caller_is_cut(app: FastAPI, headers: dict[str, str]) -> None:
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "ping"})
        await socket.frame()
        app.state.edge.open_streams.end(lambda caller: caller.session.account_id == "alice", "token-revoked")
        assert await socket.closed() == (1008, "token-revoked")


async def test_a_client_that_does_not_read_is_cut(
    app: FastAPI, gateway: FakeGateway, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets_under_test, "STALL", 0.01)
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "subscribe", "ref": "s", "room_id": ROOM})
        await socket.frame()
        socket.reading.clear()
        gateway.subscription.batches.put_nowait([delta("1-1")])
        await socket.finished()
    assert gateway.subscription.closed.is_set()
    assert is_idle(app)


async def test_a_client_that_goes_ends_its_subscriptions(
    app: FastAPI, gateway: FakeGateway, headers: dict[str, str], logs: Sequence[EventDict]
) -> None:
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "subscribe", "ref": "s", "room_id": ROOM})
        await socket.frame()
        socket.leave()
        await socket.finished()
    assert gateway.subscription.closed.is_set()
    assert is_idle(app)
    assert [line for line in logs if line["log_level"] == "error"] == []
