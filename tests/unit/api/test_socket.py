"""``GET /v1/socket``: who may connect, and what frames do."""

from __future__ import annotations

from typing import Any

import httpx2
import msgspec
import pytest
from fastapi import FastAPI

from api import socket as sockets_under_test
from parlor.errors import CacheUnavailable, ParlorError, RoomBusy, RoomNotFound
from parlor.model.requests import OnBusy, ReplyMode, SendRequest
from parlor.settings import Settings
from parlor.settings.limits import LimitSettings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.recording_metrics import RecordingMetrics
from tests.unit.api.samples import REPLY, ROOM
from tests.unit.api.sockets import Socket, is_idle

pytestmark = pytest.mark.unit

SEND = {"op": "send", "ref": "c1", "room_id": ROOM, "content": "hello"}
HTTP_PATH = f"/v1/rooms/{ROOM}/messages"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"api": settings.api.model_copy(update={"max_streams": 5, "max_requests": 50})})


@pytest.fixture
def headers(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(settings)}"}


def sends(gateway: FakeGateway) -> list[SendRequest]:
    return [call[2] for call in gateway.calls if call[0] == "send_message"]


# Who may connect


async def test_a_token_in_the_handshake_opens_it(app: FastAPI, headers: dict[str, str]) -> None:
    async with Socket(app, {**headers, "X-Request-ID": "mine"}) as socket:
        accepted = await socket.accepted()
        assert accepted["subprotocol"] == "parlor.v1"
        assert dict(accepted["headers"])[b"x-request-id"] == b"mine"
        socket.say({"op": "ping", "ref": 7})
        assert await socket.frame() == {"ref": 7, "status": 200, "body": {"errorCode": 0}}
        assert app.state.edge.streams.taken == 1
        socket.leave()
        await socket.finished()
    assert is_idle(app)


async def test_a_client_that_offers_no_subprotocol_gets_none(app: FastAPI, headers: dict[str, str]) -> None:
    async with Socket(app, headers, offers=()) as socket:
        assert (await socket.accepted())["subprotocol"] is None


@pytest.mark.parametrize(
    ("given", "offers", "status", "code"),
    [
        ({"Authorization": "Bearer x"}, ("parlor.v1",), 401, "unauthenticated"),
        ({"Authorization": "Basic eDp5"}, ("parlor.v1",), 401, "unauthenticated"),
        ({}, ("chat", "v2"), 422, "invalid-request"),
    ],
)
async def test_a_handshake_is_refused_with_a_problem(
    app: FastAPI, metrics: RecordingMetrics, given: dict[str, str], offers: tuple[str, ...], status: int, code: str
) -> None:
    async with Socket(app, given, offers=offers) as socket:
        found, problem = await socket.denied()
        assert (found, problem["code"], problem["instance"]) == (status, code, "/v1/socket")
    assert metrics.codes == [code]
    assert is_idle(app)


async def test_a_server_that_cannot_say_why_closes_the_handshake(app: FastAPI) -> None:
    async with Socket(app, {"Authorization": "Bearer x"}, denial=False) as socket:
        assert (await socket.next())["type"] == "websocket.close"


async def test_the_first_frame_may_bring_the_token(app: FastAPI, settings: Settings) -> None:
    async with Socket(app, {}) as socket:
        await socket.accepted()
        socket.say({"op": "authenticate", "token": token(settings)}, {"op": "ping", "ref": "p"})
        assert (await socket.frame())["ref"] == "p"


@pytest.mark.parametrize(
    "frame", [{"op": "authenticate", "token": "x"}, {"op": "authenticate"}, {"op": "ping"}, "no JSON", SEND]
)
async def test_another_first_frame_ends_the_connection(app: FastAPI, gateway: FakeGateway, frame: object) -> None:
    async with Socket(app, {}) as socket:
        await socket.accepted()
        socket.say(frame)
        found = await socket.frame()
        assert (found["ref"], found["status"], found["body"]["code"]) == (None, 401, "unauthenticated")
        assert await socket.closed() == (1008, "unauthenticated")
    assert sends(gateway) == []
    assert is_idle(app)


async def test_a_token_has_to_come_in_time(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets_under_test, "FIRST_FRAME", 0.01)
    async with Socket(app, {}) as socket:
        await socket.accepted()
        assert (await socket.frame())["status"] == 401
        assert await socket.closed() == (1008, "unauthenticated")


async def test_a_client_that_goes_before_it_has_said_who_it_is_leaves_nothing(app: FastAPI) -> None:
    async with Socket(app, {}) as socket:
        await socket.accepted()
        socket.leave()
        await socket.frame()
    assert is_idle(app)


async def test_clients_that_do_not_say_who_they_are_leave_some_connections_to_others(app: FastAPI) -> None:
    limits, here = app.state.edge.limits, {"headers": [], "client": ("192.0.2.1", 1)}
    given = [limits.take_stranger(here) for _ in range(LimitSettings().address_strangers_at_once or 0)]
    for headers, status in (({}, 429), ({"x-parlor-address": "203.0.113.7"}, 401)):
        async with Socket(app, headers) as socket:
            await socket.accepted()
            socket.say({"op": "ping"})
            assert (await socket.frame())["status"] == status
    given[0]()
    async with Socket(app, {}) as socket:
        await socket.accepted()
        socket.say({"op": "ping"})
        assert (await socket.frame())["status"] == 401
    assert is_idle(app)


async def test_bad_tokens_count_against_the_address(app: FastAPI, settings: Settings) -> None:
    burst = settings.limits.refused_tokens_burst
    for _ in range(burst):
        await app.state.edge.limits.token_refused({"headers": [], "client": ("192.0.2.1", 1)})
    async with Socket(app, {"Authorization": "Bearer x"}) as socket:
        assert (await socket.denied())[0] == 429


async def test_connections_are_streams_of_the_account(app: FastAPI, headers: dict[str, str]) -> None:
    slots = [app.state.edge.streams.take("bob") for _ in range(5)]
    async with Socket(app, headers) as socket:
        status, problem = await socket.denied()
        assert (status, problem["code"]) == (503, "overloaded")
    for slot in slots:
        slot.release()
    assert is_idle(app)


# Frames


async def test_a_send_is_answered_as_over_http(
    app: FastAPI, client: httpx2.AsyncClient, gateway: FakeGateway, headers: dict[str, str]
) -> None:
    fields = {"content": "é 🫖", "ai_persona": "P", "metadata": {"a": 1}, "on_busy": "reject", "reply": "none"}
    over_http = await client.post(HTTP_PATH, json=fields, headers={"Idempotency-Key": '"k"'})
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "send", "ref": "c1", "room_id": ROOM.upper(), **fields, "idempotency_key": "k"})
        assert await socket.frame() == {"ref": "c1", "status": 201, "body": over_http.json()}
    first, second = sends(gateway)
    assert first == second
    assert (first.content, first.on_busy, first.reply) == ("é 🫖", OnBusy.REJECT, ReplyMode.NONE)


async def test_a_repeat_has_status_200(app: FastAPI, gateway: FakeGateway, headers: dict[str, str]) -> None:
    gateway.receipt = msgspec.structs.replace(gateway.receipt, replayed=True)
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({**SEND, "idempotency_key": "k"})
        assert (await socket.frame())["status"] == 200


async def test_parts_are_taken(app: FastAPI, gateway: FakeGateway, headers: dict[str, str]) -> None:
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "send", "ref": 1, "room_id": ROOM, "parts": [{"type": "text", "text": "in parts"}]})
        assert (await socket.frame())["status"] == 201
    assert [request.content for request in sends(gateway)] == ["in parts"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"content": ""},
        {"content": "\u200b"},
        {"content": "a\0"},
        {"content": 7},
        {"content": "x", "contents": "y"},
        {"content": "x", "reply": "never"},
        {"content": "x", "metadata": []},
        {"content": "x" * 1001},
        {"content": "x", "metadata": {"k": "v" * 5000}},
        {"content": "x", "metadata": {"n": 2**64}},
    ],
)
async def test_a_send_that_is_not_valid_is_explained_as_over_http(
    app: FastAPI, client: httpx2.AsyncClient, gateway: FakeGateway, headers: dict[str, str], fields: dict[str, Any]
) -> None:
    over_http = await client.post(HTTP_PATH, json=fields)
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "send", "ref": "c1", "room_id": ROOM, **fields})
        found = await socket.frame()
    expected = over_http.json()
    assert (found["ref"], found["status"]) == ("c1", over_http.status_code)
    for same in ("code", "errorCode", "detail", "errors"):
        assert found["body"].get(same) == expected.get(same)
    assert sends(gateway) == []


@pytest.mark.parametrize(
    ("frame", "ref"),
    [
        ("no JSON", None),
        ("[]", None),
        ('"ping"', None),
        ({"op": "ping", "ref": {}}, None),
        ({"op": "ping", "ref": True}, None),
        ({"ref": "a"}, "a"),
        ({"op": "dance", "ref": "a"}, "a"),
        ({"op": "ping", "ref": "a", "more": 1}, "a"),
        ({"op": "send", "ref": "a", "content": "x"}, "a"),
        ({**SEND, "ref": "a", "idempotency_key": 5}, "a"),
        ({**SEND, "ref": "a", "idempotency_key": ""}, "a"),
        ({**SEND, "ref": "a", "idempotency_key": "ü"}, "a"),
        ({**SEND, "ref": "a", "idempotency_key": "k" * 129}, "a"),
        ({"op": "stop", "ref": "a", "room_id": ROOM}, "a"),
        ({"op": "subscribe", "ref": "a"}, "a"),
        ({"op": "subscribe", "ref": "a", "room_id": ROOM, "account": True}, "a"),
        ({"op": "subscribe", "ref": "a", "account": False}, "a"),
        ({"op": "subscribe", "ref": "a", "room_id": ROOM, "after": "x"}, "a"),
        ({"op": "authenticate", "ref": "a", "token": "x"}, "a"),
    ],
)
async def test_a_frame_that_is_not_understood_is_answered_and_the_connection_goes_on(
    app: FastAPI, headers: dict[str, str], frame: object, ref: object
) -> None:
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say(frame)
        found = await socket.frame()
        assert (found["ref"], found["status"], found["body"]["code"]) == (ref, 422, "invalid-request")
        socket.say({"op": "ping", "ref": "p"})
        assert (await socket.frame())["status"] == 200


async def test_frames_are_text(app: FastAPI, headers: dict[str, str]) -> None:
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.incoming.put_nowait({"type": "websocket.receive", "bytes": b"{}"})
        assert await socket.closed() == (1003, "frames are text")


@pytest.mark.parametrize("failure", [RoomNotFound(), RoomBusy("busy"), CacheUnavailable("Redis"), ValueError("ours")])
async def test_what_the_gateway_raises_is_the_answer(
    app: FastAPI, gateway: FakeGateway, headers: dict[str, str], failure: Exception
) -> None:
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say(SEND)
        assert (await socket.frame())["status"] == 201
        gateway.fails = failure
        socket.say(SEND)
        found = await socket.frame()
        code, status = (failure.code, failure.http_status) if isinstance(failure, ParlorError) else ("internal", 500)
        assert (found["ref"], found["status"], found["body"]["code"]) == ("c1", status, code)
    assert is_idle(app)


async def test_stop_is_answered_with_the_reply(app: FastAPI, gateway: FakeGateway, headers: dict[str, str]) -> None:
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say({"op": "stop", "ref": "s", "room_id": ROOM, "message_id": REPLY})
        found = await socket.frame()
        assert (found["status"], found["body"]["message_id"]) == (200, REPLY)


async def test_what_only_writers_may_do_is_forbidden_to_others(
    app: FastAPI, gateway: FakeGateway, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = app.state.authenticator
    found = authenticator.handshake_caller

    async def reader(*args: Any) -> Any:
        return msgspec.structs.replace(await found(*args), scopes=frozenset({"read"}))

    monkeypatch.setattr(authenticator, "handshake_caller", reader)
    async with Socket(app, headers) as socket:
        await socket.accepted()
        socket.say(SEND, {"op": "stop", "ref": "s", "room_id": ROOM, "message_id": REPLY}, {"op": "ping", "ref": "p"})
        assert {answer["ref"]: answer["status"] for answer in await socket.frames(3)} == {"c1": 403, "s": 403, "p": 200}


async def test_rates_are_those_of_http(app: FastAPI, headers: dict[str, str], client: httpx2.AsyncClient) -> None:
    limits = app.state.edge.limits
    async with Socket(app, headers) as socket:
        await socket.accepted()
        while (standing := limits.sends.take("alice")) is not None and not standing.retry_after:
            pass
        socket.say(SEND)
        found = await socket.frame()
        assert (found["status"], found["body"]["code"]) == (429, "rate-limited")
        assert found["body"]["retry_after_seconds"] >= 1
        assert (await client.post(HTTP_PATH, json={"content": "x"})).status_code == 429
