"""Calls: what is sent, how often, and what is made of the answer."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from typing import Any

import pytest

from parlor.client import (
    AsyncClient,
    BadAnswer,
    Client,
    Conflict,
    File,
    Invalid,
    NoAnswer,
    NotFound,
    RateLimited,
    Refused,
    Retries,
    StreamExpired,
    TextPart,
    Unauthenticated,
    Unavailable,
)
from tests.both_clients import KINDS, Clients
from tests.unit.client.scripted_server import (
    REPLY,
    ROOM,
    Answer,
    Json,
    Request,
    ScriptedServer,
    answer,
    message,
    problem,
    room,
)

pytestmark = [pytest.mark.unit, pytest.mark.parametrize("kind", KINDS)]

SENT: Json = {"message": message(message_id="m", sender_type="USER"), "reply": message(), "cursor": "1-1"}


class Store:
    """Keeps what is sent by its key, and loses the first answers."""

    def __init__(self, lost: list[int]) -> None:
        self.kept: dict[str, Json] = {}
        self._lost = lost

    def __call__(self, request: Request) -> Answer:
        key = request.headers["idempotency-key"]
        replayed = key in self.kept
        self.kept[key] = request.json
        cut = self._lost.pop() if self._lost else None
        return answer(SENT, 200 if replayed else 201, cut, **({"Idempotent_Replayed": "true"} if replayed else {}))


@pytest.mark.parametrize("lost", [[], [0], [40], [0, 100, 3]])
async def test_a_send_is_stored_once_however_often_its_answer_is_lost(kind: str, lost: list[int]) -> None:
    tries, store = len(lost) + 1, Store(lost)
    async with ScriptedServer(store) as server:
        sent = await Clients(kind, server.base_url).call(lambda client: client.send(ROOM, "hello"))
    assert list(store.kept.values()) == [{"content": "hello"}]
    assert len(server.requests) == tries
    assert (sent.message.message_id, sent.reply.message_id, sent.cursor) == ("m", REPLY, "1-1")
    assert sent.replayed == (tries > 1)


async def test_each_send_has_a_key_of_its_own_or_the_one_that_is_given(kind: str) -> None:
    async with ScriptedServer(Store([])) as server:
        clients = Clients(kind, server.base_url)
        await clients.call(lambda client: client.send(ROOM, "hello"))
        await clients.call(lambda client: client.send(ROOM, "hello"))
        await clients.call(lambda client: client.send(ROOM, "hello", idempotency_key='a "b"\\'))
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(set(keys)) == 3
    assert keys[2] == r'"a \"b\"\\"'


async def test_what_a_send_asks_for_is_sent(kind: str) -> None:
    image = File(
        file_id="f-1", name="a.png", media_type="image/png", size=1, sha256="", created_at=message()["timestamp"]
    )
    text = File(file_id="f-2", name="a.txt", media_type="text/plain", size=1, sha256="", created_at=image.created_at)
    async with ScriptedServer(Store([])) as server:
        await Clients(kind, server.base_url).call(
            lambda client: client.send(
                ROOM, "look", files=[image, text], on_busy="reject", metadata={"a": 1}, wait=5, persisted=True
            )
        )
    [request] = server.requests
    assert request.json == {
        "content": "look",
        "parts": [{"type": "image", "file_id": "f-1"}, {"type": "file", "file_id": "f-2"}],
        "on_busy": "reject",
        "metadata": {"a": 1},
    }
    assert request.headers["prefer"] == "wait=5, durability=persisted"
    assert request.headers["authorization"] == "Bearer token"


@pytest.mark.parametrize(
    ("refusal", "pauses"),
    [
        (problem(429, "rate-limited", retry_after_seconds=7.5), [7.5]),
        (problem(503, "overloaded", {"Retry-After": "3"}), [3.0]),
        (
            Answer(
                503, b"busy", {"Retry-After": "Sat, 29 Nov 2026 10:00:09 GMT", "Date": "Sat, 29 Nov 2026 10:00:05 GMT"}
            ),
            [4.0],
        ),
    ],
)
async def test_a_refusal_that_passes_is_waited_for(kind: str, refusal: Answer, pauses: list[float]) -> None:
    answers = [answer(SENT, 201), refusal]
    async with ScriptedServer(lambda _: answers.pop()) as server:
        clients = Clients(kind, server.base_url)
        await clients.call(lambda client: client.send(ROOM, "hello"))
    assert clients.pauses == pauses
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


async def test_pauses_grow_and_end(kind: str) -> None:
    async with ScriptedServer(lambda _: problem(503, "cache-unavailable")) as server:
        clients = Clients(kind, server.base_url, retries=Retries(tries=5, first_pause=1.0, longest_pause=4.0))
        with pytest.raises(Unavailable):
            await clients.call(lambda client: client.get_room(ROOM))
    assert len(server.requests) == 5
    bounds = [(0.5, 1), (1, 2), (2, 4), (2, 4)]
    assert all(low <= pause <= high for pause, (low, high) in zip(clients.pauses, bounds, strict=True))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (problem(401, "unauthenticated"), Unauthenticated),
        (problem(404, "room-not-found"), NotFound),
        (problem(409, "room-busy"), Conflict),
        (problem(410, "stream-expired", oldest_cursor="1-9"), StreamExpired),
        (problem(422, "invalid-request", errors=[{"loc": ["body"]}]), Invalid),
        (problem(429, "quota-exceeded", retry_after_seconds=3600), RateLimited),
        (problem(500, "internal"), Refused),
    ],
)
async def test_a_refusal_that_stays_is_raised_at_once(kind: str, told: Answer, expected: type[Refused]) -> None:
    async with ScriptedServer(lambda _: told) as server:
        clients = Clients(kind, server.base_url)
        with pytest.raises(expected) as caught:
            await clients.call(lambda client: client.send(ROOM, "hello"))
    assert len(server.requests) == 1
    assert clients.pauses == []
    assert caught.value.request_id == "req-1"
    assert str(caught.value).endswith("(request req-1)")
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (type(again), again.problem) == (expected, caught.value.problem)
    if isinstance(caught.value, StreamExpired):
        assert caught.value.oldest_cursor == "1-9"
    if isinstance(caught.value, Invalid):
        assert caught.value.errors == [{"loc": ["body"]}]


async def test_a_call_that_is_not_safe_to_repeat_is_not_repeated(kind: str) -> None:
    async with ScriptedServer(lambda _: answer(message(), cut=3)) as server:
        with pytest.raises(NoAnswer):
            await Clients(kind, server.base_url).call(lambda client: client.stop(ROOM, REPLY))
        assert len(server.requests) == 1
        clients = Clients(kind, server.base_url, retries=Retries(tries=3))
        with pytest.raises(NoAnswer):
            await clients.call(lambda client: client.stop(ROOM, REPLY, attempt=1))
        assert len(server.requests) == 4


async def test_a_server_that_is_not_there_is_said_to_be(kind: str) -> None:
    async with ScriptedServer(lambda _: answer({})) as server:
        gone = server.base_url
    clients = Clients(kind, gone, retries=Retries(tries=4))
    with pytest.raises(NoAnswer):
        await clients.call(lambda client: client.stop(ROOM, REPLY))
    # It was never sent, so it is safe to try.
    assert len(clients.pauses) == 3


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"room_id": 7}'], ids=["no JSON", "no object", "another version's"]
)
async def test_what_is_not_parlor_is_said_so(kind: str, body: bytes) -> None:
    async with ScriptedServer(lambda _: Answer(200, body)) as server:
        with pytest.raises(BadAnswer):
            await Clients(kind, server.base_url).call(lambda client: client.get_room(ROOM))


async def test_calls_whose_token_ends_at_once_all_go_on(kind: str) -> None:
    tokens = chain(["old"], repeat("new"))

    def script(request: Request) -> Answer:
        good = request.headers["authorization"] == "Bearer new"
        return answer(room()) if good else problem(401, "unauthenticated")

    def call(client: Any) -> Any:
        if kind == "asyncio":
            return asyncio.gather(*(client.get_room(ROOM) for _ in range(8)))
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(client.get_room, [ROOM] * 8))

    async with ScriptedServer(script) as server:
        found = await Clients(kind, server.base_url, token=lambda: next(tokens)).call(call)
    assert [each.title for each in found] == ["Tea"] * 8


async def test_a_token_is_asked_for_again_when_it_has_ended(kind: str) -> None:
    tokens = iter(["old", "new", "newer"])

    def script(request: Request) -> Answer:
        good = request.headers["authorization"] == "Bearer new"
        return answer(room()) if good else problem(401, "unauthenticated")

    async with ScriptedServer(script) as server:
        found = await Clients(kind, server.base_url, token=lambda: next(tokens)).call(
            lambda client: client.get_room(ROOM)
        )
        assert found.title == "Tea"
        with pytest.raises(Unauthenticated):
            await Clients(kind, server.base_url, token=lambda: "wrong").call(lambda client: client.get_room(ROOM))
    assert len(server.requests) == 3


async def test_pages_are_joined(kind: str) -> None:
    def script(request: Request) -> Answer:
        if request.path.startswith("/v1/rooms?"):
            more = "cursor=c1" not in request.path
            rooms = [room(room_id="a"), room(room_id="b")] if more else [room(room_id="c")]
            page = {"rooms": rooms, "total_count": 3, "next_cursor": "c1" if more else None, "events_cursor": "1-1"}
            return answer(page)
        more = "after=0" in request.path
        messages = [message(seq=seq) for seq in ((1, 2) if more else (3,))]
        return answer(
            {"messages": messages, "has_more": more, "next_before": None, "persisted_seq": 0, "cursor": "1-1"}
        )

    async with ScriptedServer(script) as server:
        clients = Clients(kind, server.base_url)
        assert [found.room_id for found in await clients.all(lambda client: client.rooms())] == ["a", "b", "c"]
        assert [found.seq for found in await clients.all(lambda client: client.history(ROOM))] == [1, 2, 3]
    assert server.requests[-1].path.endswith("after=2")


async def test_fields_and_words_of_a_newer_server_are_no_error(kind: str) -> None:
    told = message(state="ASLEEP", mood="good", parts=[{"type": "text", "text": "a", "colour": "red"}, {"type": "x"}])
    async with ScriptedServer(lambda _: answer(told)) as server:
        found = await Clients(kind, server.base_url).call(lambda client: client.get_message(ROOM, REPLY))
    assert found.state == "ASLEEP"
    assert found.parts[0] == TextPart(text="a")
    assert [type(part).__name__ for part in found.parts] == ["TextPart", "OtherPart"]


async def test_a_download_goes_on_where_it_was_cut(kind: str) -> None:
    content = bytes(range(256)) * 4

    def script(request: Request) -> Answer:
        asked = request.headers.get("range")
        if asked is None:
            return Answer(200, content, {"ETag": '"one"'}, 300)
        assert request.headers["if-range"] == '"one"'
        begin = int(asked.removeprefix("bytes=").removesuffix("-"))
        return Answer(206, content[begin:], {"ETag": '"one"'}, 500)

    async with ScriptedServer(script) as server:
        found = await Clients(kind, server.base_url).call(lambda client: client.download("f-1"))
    assert found == content
    assert [request.headers.get("range") for request in server.requests] == [None, "bytes=300-", "bytes=800-"]


async def test_a_file_that_changed_meanwhile_is_read_anew(kind: str) -> None:
    answers = [Answer(200, b"new bytes", {"ETag": '"two"'}), Answer(200, b"old bytes", {"ETag": '"one"'}, 4)]
    async with ScriptedServer(lambda _: answers.pop()) as server:
        assert await Clients(kind, server.base_url).call(lambda client: client.download("f-1")) == b"new bytes"


async def test_a_file_that_an_earlier_try_deleted_is_deleted(kind: str) -> None:
    answers = [problem(404, "file-not-found"), Answer(204, b"gone", {}, 0)]
    async with ScriptedServer(lambda _: answers.pop()) as server:
        await Clients(kind, server.base_url).call(lambda client: client.delete_file("f-1"))
        answers.append(problem(404, "file-not-found"))
        with pytest.raises(NotFound):
            await Clients(kind, server.base_url).call(lambda client: client.delete_file("f-1"))


async def test_a_file_is_sent_as_a_form(kind: str) -> None:
    told = {
        "file_id": "f-1",
        "name": "tea ä.txt",
        "media_type": "text/plain",
        "size": 3,
        "sha256": "",
        "created_at": message()["timestamp"],
    }
    async with ScriptedServer(lambda _: answer(told, 201)) as server:
        found = await Clients(kind, server.base_url).call(lambda client: client.upload("tea ä.txt", b"pot"))
    assert found.file_id == "f-1"
    [request] = server.requests
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"; filename="tea ' in request.body
    assert b"\r\n\r\npot\r\n" in request.body


async def test_ids_are_data_in_paths(kind: str) -> None:
    async with ScriptedServer(lambda _: problem(404, "room-not-found")) as server:
        with pytest.raises(NotFound):
            await Clients(kind, server.base_url).call(lambda client: client.get_room("../personas?x"))
    assert server.requests[0].path == "/v1/rooms/..%2Fpersonas%3Fx"


def test_both_clients_have_the_same_calls(kind: str) -> None:
    def calls(client: type[Any]) -> dict[str, list[tuple[str, Any]]]:
        return {
            name: [(each.name, each.default) for each in inspect.signature(found).parameters.values()]
            for name, found in vars(client).items()
            if callable(found) and not name.startswith("_") and name not in ("close", "aclose")
        }

    assert calls(AsyncClient) == calls(Client)
    with pytest.raises(ValueError, match="address"):
        (AsyncClient if kind == "asyncio" else Client)("127.0.0.1:8000", "token")
