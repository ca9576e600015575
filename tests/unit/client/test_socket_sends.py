"""Sends over one connection: each is stored once and in order, whatever happens to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from parlor.client import (
    BadAnswer,
    Forbidden,
    Invalid,
    NewMessage,
    NoAnswer,
    NotFound,
    RateLimited,
    Refused,
    Retries,
    Unauthenticated,
    Unavailable,
)
from parlor.client.socket_frames import WINDOW
from tests.both_clients import KINDS
from tests.both_sockets import connected
from tests.unit.client.scripted_server import ROOM, Json
from tests.unit.client.socket_server import Peer, SocketServer, Store, problem, response

pytestmark = [pytest.mark.unit, pytest.mark.parametrize("kind", KINDS)]


@pytest.mark.parametrize("lost", ["before it is kept", "before its answer", "behind its answer", *range(1, 300, 60)])
async def test_a_send_is_stored_once_wherever_its_connection_is_cut(kind: str, lost: str | int) -> None:
    store = Store()

    async def script(peer: Peer, frame: Json) -> None:
        if peer.number == 3:
            await store(peer, frame)
            return
        if lost != "before it is kept":
            answer = store.answer(frame)
            if lost == "behind its answer":
                await peer.say(**answer)
            elif isinstance(lost, int):
                peer.part(lost, **answer)
        peer.cut()

    async with SocketServer(script) as server, connected(kind, server.base_url) as socket:
        sent = await socket.send(ROOM, "hello", metadata={"n": 1}, reply="none")
        await socket.send(ROOM, "and on")
        assert store.kept == {ROOM: ["hello", "and on"]}
        assert sent.message.content == "hello"
        first = server.frames[0]
        assert set(first) == {"op", "ref", "room_id", "content", "metadata", "reply", "idempotency_key"}
        assert sent.replayed == (lost == "before its answer" or isinstance(lost, int))
        assert len(server.handshakes) == (2 if lost == "behind its answer" else 3)
        assert {shake.headers["Authorization"] for shake in server.handshakes} == {"Bearer token"}
        assert {shake.path for shake in server.handshakes} == {"/v1/socket"}


async def test_messages_of_a_room_stay_in_order_through_refusals_and_cuts(kind: str) -> None:
    store, tries = Store(), 0

    async def script(peer: Peer, frame: Json) -> None:
        nonlocal tries
        tries += 1
        if tries % 7 == 3:
            await peer.refuse(frame, 429, "rate-limited", retry_after_seconds=3)
        elif tries % 7 == 5:
            await peer.refuse(frame, 503, "overloaded")
        elif tries % 23 == 11:
            peer.cut()
        else:
            await store(peer, frame)

    messages = [NewMessage(f"room-{n % 3}", f"{n}") for n in range(60)]
    retries = Retries(tries=50)
    async with SocketServer(script) as server, connected(kind, server.base_url, retries=retries) as socket:
        found = [sent.message.content async for sent in socket.send_many(messages)]
        assert len(server.handshakes) > 2
    assert found == [f"{n}" for n in range(60)]
    assert store.kept == {f"room-{r}": [f"{n}" for n in range(60) if n % 3 == r] for r in range(3)}
    assert sum(pause >= 3 for pause in socket.pauses) >= 60 // 7


async def test_no_more_than_the_window_is_under_way_and_no_more_is_taken(kind: str) -> None:
    store, held, most, taken = Store(), list[Json](), 0, 0

    async def script(peer: Peer, frame: Json) -> None:
        nonlocal most
        held.append(frame)
        most = max(most, len(held))
        if len(held) == WINDOW:
            # What the client still sends by itself comes before its answer to the ping.
            await (await peer.connection.ping())
            await (await peer.connection.ping())
            assert taken == WINDOW + len(store.kept)
            answered, held[:] = held[:], []
            for each in answered:
                await store(peer, each)

    def messages() -> Iterator[NewMessage]:
        nonlocal taken
        for n in range(WINDOW * 3):
            taken += 1
            yield NewMessage(f"room-{n}", f"{n}")

    async with SocketServer(script) as server, connected(kind, server.base_url) as socket:
        behind = taken
        async for _ in socket.send_many(messages()):
            assert taken - behind <= WINDOW
            behind += 1
        assert behind == taken == WINDOW * 3
    assert most == WINDOW


async def test_the_window_holds_for_sends_at_once_too(kind: str) -> None:
    store, held, most = Store(), list[Json](), 0

    async def script(peer: Peer, frame: Json) -> None:
        nonlocal most
        held.append(frame)
        most = max(most, len(held))
        if len(held) == WINDOW:
            await (await peer.connection.ping())
            for each in held:
                await store(peer, each)
            held.clear()

    async with SocketServer(script) as server, connected(kind, server.base_url) as socket:
        await asyncio.gather(*(socket.send(f"room-{n}", f"{n}") for n in range(WINDOW * 2)))
    assert (most, len(store.kept)) == (WINDOW, WINDOW * 2)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(404, "room-not-found", NotFound), (403, "forbidden", Forbidden), (422, "invalid-request", Invalid)],
)
async def test_a_refusal_is_the_error_that_it_is_over_http(
    kind: str, status: int, code: str, error: type[Refused]
) -> None:
    store = Store()

    async def script(peer: Peer, frame: Json) -> None:
        if frame["content"] == "wrong":
            await peer.refuse(frame, status, code)
        else:
            await store(peer, frame)

    async with SocketServer(script) as server, connected(kind, server.base_url) as socket:
        with pytest.raises(error) as caught:
            await socket.send(ROOM, "wrong")
        assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, code, "req-1")
        many = [NewMessage(ROOM, content) for content in ("a", "b", "wrong", *"cdefgh")]
        results = socket.send_many(many)
        assert [(await anext(results)).message.content for _ in range(2)] == ["a", "b"]
        with pytest.raises(error):
            await anext(results)
        # The room is free, and so is the window.
        await socket.send(ROOM, "then")
        await asyncio.gather(*(socket.send(f"other-{n}", "x") for n in range(WINDOW)))
    assert [each for each in store.kept[ROOM] if each not in "cdefgh"] == ["a", "b", "then"]


@pytest.mark.parametrize("asked", [None, 61])
async def test_a_refusal_that_does_not_pass_is_raised(kind: str, asked: int | None) -> None:
    more = {} if asked is None else {"retry_after_seconds": asked}

    async def script(peer: Peer, frame: Json) -> None:
        await peer.refuse(frame, 429, "quota-exceeded", **more)

    async with SocketServer(script) as server, connected(kind, server.base_url) as socket:
        with pytest.raises(RateLimited) as caught:
            await socket.send(ROOM, "hello")
        assert caught.value.retry_after == asked
        assert len(server.frames) == (1 if asked else 8)
        assert len({frame["idempotency_key"] for frame in server.frames}) == 1


async def test_a_frame_that_the_server_finds_too_long_is_refused_and_no_other(kind: str) -> None:
    store, under_way = Store(), asyncio.Event()

    async def script(peer: Peer, frame: Json) -> None:
        if len(server.frames) == 3:
            under_way.set()
        if frame["content"] == "x" * 100:
            await peer.connection.close(1009, "")
        elif peer.number > 1:
            await store(peer, frame)

    async with SocketServer(script) as server, connected(kind, server.base_url) as socket:
        others = [asyncio.create_task(socket.send(f"other-{n}", f"{n}")) for n in range(3)]
        await asyncio.wait_for(under_way.wait(), 10)
        with pytest.raises(Invalid) as caught:
            await socket.send(ROOM, "x" * 100)
        assert (caught.value.status, caught.value.code) == (413, "content-too-large")
        await asyncio.gather(*others)
    assert len(store.kept) == 3


async def test_a_server_that_does_not_answer_is_given_up(kind: str) -> None:
    store = Store()

    async def script(peer: Peer, frame: Json) -> None:
        if peer.number > 1:
            await store(peer, frame)

    async with SocketServer(script) as server, connected(kind, server.base_url, timeout=0.2) as socket:
        sent = await socket.send(ROOM, "hello")
        assert sent.message.content == "hello"
        assert len(server.handshakes) == 2


@pytest.mark.parametrize(
    "frame",
    [
        "not JSON",
        "[]",
        '{"ref": 1}',
        '{"ref": 99, "status": 200, "body": {}}',
        '{"ref": "1", "status": 200, "body": {}}',
        '{"room_id": "room-1", "id": "1-1", "event": "message.created", "data": {}}',
        '{"account": true, "event": "room.created", "data": {}}',
        b"bytes",
    ],
)
async def test_a_frame_that_is_none_is_an_error(kind: str, frame: str | bytes) -> None:
    async def script(peer: Peer, asked: Json) -> None:
        del asked
        await peer.connection.send(frame)

    async with SocketServer(script) as server, connected(kind, server.base_url) as socket:
        with pytest.raises(BadAnswer):
            await socket.send(ROOM, "hello")
        assert len(server.frames) == 1


async def test_an_answer_without_a_ref_refuses_the_connection(kind: str) -> None:
    async def script(peer: Peer, frame: Json) -> None:
        del frame
        await peer.say(ref=None, status=401, body=problem(401, "unauthenticated"))
        await peer.connection.close(1008, "unauthenticated")

    async with SocketServer(script) as server, connected(kind, server.base_url) as socket:
        with pytest.raises(Unauthenticated):
            await socket.send(ROOM, "hello")


async def test_a_token_that_ends_is_renewed_or_an_error(kind: str) -> None:
    store, tokens = Store(), iter(["first", "second", "second"])

    async def script(peer: Peer, frame: Json) -> None:
        if peer.number == 1:
            await peer.connection.close(1008, "token-expired")
        else:
            await store(peer, frame)

    def refuse_the_first(request: object) -> object:
        is_first = getattr(request, "headers")["Authorization"] == "Bearer first"  # noqa: B009
        again = is_first and len(server.handshakes) > 1
        return response(401, problem(401, "unauthenticated")) if again else None

    async with SocketServer(script, refuse_the_first) as server:  # type: ignore[arg-type]
        async with connected(kind, server.base_url, lambda: next(tokens)) as socket:
            await asyncio.gather(*(socket.send(f"room-{n}", "hello") for n in range(5)))
        assert len(store.kept) == 5
        server.handshakes.clear()
        server.ended.clear()
        async with connected(kind, server.base_url, "first") as socket:
            with pytest.raises(Unauthenticated):
                await socket.send(ROOM, "hello")


@pytest.mark.parametrize(
    ("status", "error"), [(401, Unauthenticated), (403, Forbidden), (404, NotFound), (503, Unavailable)]
)
async def test_a_connection_that_is_refused_says_why(kind: str, status: int, error: type[Refused]) -> None:
    def admit(_: object) -> object:
        return response(status, problem(status, "no"), {"Retry-After": "2"})

    async with SocketServer(Store(), admit) as server:  # type: ignore[arg-type]
        with pytest.raises(error) as caught:
            async with connected(kind, server.base_url):
                raise AssertionError("it is open")
        assert (caught.value.request_id, caught.value.retry_after) == ("req-1", 2.0)
        assert len(server.handshakes) == (8 if status == 503 else 1)


async def test_what_is_no_socket_of_parlor_is_an_error(kind: str) -> None:
    async with SocketServer(Store(), lambda _: response(200, {})) as server:
        with pytest.raises(BadAnswer):
            async with connected(kind, server.base_url):
                raise AssertionError("it is open")
    with pytest.raises(NoAnswer):
        async with connected(kind, "http://127.0.0.1:9", retries=Retries(tries=2)):
            raise AssertionError("it is open")


async def test_a_connection_that_is_closed_leaves_nothing_and_takes_nothing(kind: str) -> None:
    asked = asyncio.Event()

    async def script(peer: Peer, frame: Json) -> None:
        del peer, frame
        asked.set()

    async with SocketServer(script) as server:
        before = asyncio.all_tasks()
        async with connected(kind, server.base_url) as socket:
            waiting = asyncio.create_task(socket.send(ROOM, "hello"))
            await asyncio.wait_for(asked.wait(), 10)
            await socket.aclose()
            with pytest.raises(NoAnswer):
                await waiting
            with pytest.raises(RuntimeError):
                await socket.send(ROOM, "hello")
            await socket.aclose()
            async with asyncio.timeout(10):
                await server.ended[0].wait()
        await asyncio.sleep(0)
        assert {task for task in asyncio.all_tasks() - before if "client" in repr(task.get_coro())} == set()
        assert len(server.frames) == 1
