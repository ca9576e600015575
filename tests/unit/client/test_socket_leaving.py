"""Whoever leaves a connection, or what is under way on it, is not held up, and holds nobody up."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from parlor.client import Client, ClientError, NewMessage, NoAnswer, Retries, async_socket
from parlor.client.async_wire import AsyncWire
from parlor.client.exchange import Exchange
from parlor.client.retries import Pauses
from parlor.client.socket_frames import WINDOW
from tests.both_sockets import connected
from tests.unit.client.scripted_server import ROOM, Json
from tests.unit.client.socket_server import Peer, Script, SocketServer, Store

pytestmark = pytest.mark.unit

SOON = 20.0
"""Far less than what would be waited for otherwise."""


async def refuse_for_long(peer: Peer, frame: Json) -> None:
    await peer.refuse(frame, 429, "rate-limited", retry_after_seconds=50)


async def never(peer: Peer, frame: Json) -> None:
    del peer, frame


@pytest.mark.parametrize(("kind", "count"), [("asyncio", 3), ("plain", 1)])
async def test_a_send_that_pauses_ends_with_its_connection_and_so_do_those_behind_it(
    kind: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pausing, loop, after = asyncio.Event(), asyncio.get_running_loop(), Pauses.after

    def noted(pauses: Pauses, failure: ClientError) -> float:
        loop.call_soon_threadsafe(pausing.set)
        return after(pauses, failure)

    monkeypatch.setattr(Pauses, "after", noted)
    async with (
        SocketServer(refuse_for_long) as server,
        connected(kind, server.base_url, waits=True) as socket,
        asyncio.timeout(SOON),
    ):
        sends = [asyncio.create_task(socket.send(ROOM, f"{n}")) for n in range(count)]
        await pausing.wait()
        await asyncio.gather(socket.aclose(), *map(_fails, sends))
        assert len(server.frames) == 1


async def _fails(send: asyncio.Task[Any]) -> None:
    with pytest.raises(NoAnswer):
        await send


@pytest.mark.parametrize("script", [refuse_for_long, never])
async def test_threads_of_sends_that_are_given_up_end_at_once(script: Script) -> None:
    under_way, loop = asyncio.Event(), asyncio.get_running_loop()

    async def noted(peer: Peer, frame: Json) -> None:
        await script(peer, frame)
        if len(server.frames) == WINDOW // 2:
            under_way.set()

    def messages() -> Iterator[NewMessage]:
        """Two for each room, as many as are begun at once: one is sent, the other waits for its turn."""
        yield from (NewMessage(f"room-{n // 2}", f"{n}") for n in range(WINDOW - 1))
        asyncio.run_coroutine_threadsafe(under_way.wait(), loop).result(SOON)
        raise KeyboardInterrupt

    def send() -> None:
        with Client(server.base_url, "token") as client, client.connect() as socket:
            with pytest.raises(KeyboardInterrupt):
                next(socket.send_many(messages()))
            assert threads() == before + 1  # the one that reads
        assert threads() == before

    before = threads()
    async with SocketServer(noted) as server:
        await asyncio.wait_for(asyncio.to_thread(send), SOON)


def threads() -> int:
    return [each.name for each in threading.enumerate()].count("parlor-client")


PROGRAM = """
import sys
from parlor.client import Client, NewMessage

connection = Client(sys.argv[1], "token").connect()
results = connection.send_many(NewMessage(f"room-{n}", f"{n}") for n in range(100))
assert next(results).message.content == "0"
events = connection.account_events("1-0")
assert next(events).id == "1-1"
"""


async def test_a_program_that_closes_nothing_ends_all_the_same() -> None:
    store = Store()

    async def script(peer: Peer, frame: Json) -> None:
        if frame["op"] == "subscribe":
            await peer.answer(frame, cursor="1-0")
            await peer.say(account=True, id="1-1", event="room.created", data={})
        elif frame["op"] == "send" and not store.kept:
            await store(peer, frame)

    async with SocketServer(script) as server:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, server.base_url, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, said = await asyncio.wait_for(program.communicate(), SOON)
        finally:
            if program.returncode is None:
                program.kill()
                await program.wait()
    assert (program.returncode, said.decode()) == (0, "")


INTERRUPTED = """
import signal, sys
from parlor.client import Client, NewMessage

# Whoever starts the tests in the background has them ignore it, and their children.
signal.signal(signal.SIGINT, signal.default_int_handler)
with Client(sys.argv[1], "token") as client, client.connect() as connection:
    for sent in connection.send_many(NewMessage(f"room-{n}", f"{n}") for n in range(100)):
        raise AssertionError(sent)
"""


@pytest.mark.parametrize("script", [refuse_for_long, never])
async def test_a_program_that_is_interrupted_while_it_sends_ends_at_once(script: Script) -> None:
    under_way = asyncio.Event()

    async def noted(peer: Peer, frame: Json) -> None:
        await script(peer, frame)
        if len(server.frames) == WINDOW:
            under_way.set()

    async with SocketServer(noted) as server:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", INTERRUPTED, server.base_url, stderr=asyncio.subprocess.PIPE
        )
        try:
            await asyncio.wait_for(under_way.wait(), SOON)
            program.send_signal(signal.SIGINT)
            _, said = await asyncio.wait_for(program.communicate(), SOON)
        finally:
            if program.returncode is None:
                program.kill()
                await program.wait()
    assert said.decode().splitlines()[-1] == "KeyboardInterrupt"


async def test_frames_that_nobody_waits_for_any_more_do_not_take_all_places_for_good() -> None:
    store = Store()

    async def script(peer: Peer, frame: Json) -> None:
        if peer.number > 1:
            await store(peer, frame)

    async def give_up(number: int) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await socket.send(f"room-{number}", "hello")

    async with SocketServer(script) as server, connected("asyncio", server.base_url, timeout=0.5) as socket:
        await asyncio.gather(*map(give_up, range(WINDOW)))
        assert len(server.frames) == WINDOW
        async with asyncio.timeout(SOON):
            await asyncio.gather(*(socket.send(f"then-{n}", "hello") for n in range(WINDOW)))
    assert len(server.handshakes) == 2
    assert set(store.kept) == {f"then-{n}" for n in range(WINDOW)}


def test_the_oldest_frame_says_whether_an_answer_is_late() -> None:
    class Promise:
        def give(self, value: object) -> None:
            del value

    now = 0.0
    exchange = Exchange(Promise, 10.0, lambda: now)
    assert not exchange.is_late()
    exchange.ask(exchange.window.enter(), "ping", {})
    now = 5.0
    exchange.ask(exchange.window.enter(), "ping", {})
    now = 9.9
    assert not exchange.is_late()
    now = 10.0
    assert exchange.is_late()
    exchange.heard('{"ref": 1, "status": 200, "body": {}}')
    assert not exchange.is_late()


async def test_a_send_that_is_given_up_while_a_dead_connection_is_closed_leaves_no_task() -> None:
    closing, dead = asyncio.Event(), list[Peer]()

    async def script(peer: Peer, frame: Json) -> None:
        del frame
        dead.append(peer)
        peer.connection.transport.pause_reading()

    class Wire(AsyncWire):
        async def aclose(self) -> None:
            closing.set()
            await super().aclose()

    async with SocketServer(script) as server:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(async_socket, "AsyncWire", Wire)
            async with connected("asyncio", server.base_url, timeout=0.1) as socket:
                reading = {task for task in asyncio.all_tasks() if "AsyncLine._read" in repr(task.get_coro())}
                send = asyncio.create_task(socket.send(ROOM, "hello"))
                await asyncio.wait_for(closing.wait(), SOON)
                await asyncio.sleep(0)
                send.cancel()
                await asyncio.wait({send})
                assert len(reading) == 1
                _, left = await asyncio.wait(reading, timeout=1)
                assert not left
        dead[0].connection.transport.abort()


async def test_an_iterator_that_is_collected_where_answers_are_read_holds_up_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collected, heard = list[str](), Exchange.heard

    async def script(peer: Peer, frame: Json) -> None:
        if frame["op"] == "subscribe":
            await peer.answer(frame, cursor="1-0")
            await peer.event(1, room_id=ROOM)
        elif frame["op"] == "unsubscribe":
            await peer.answer(frame)
        else:
            await store(peer, frame)

    def collecting(exchange: Exchange[Any], text: str) -> None:
        if '"m-second"' in text:
            gc.collect()
            collected.append(threading.current_thread().name)
        heard(exchange, text)

    def run() -> None:
        with (
            Client(server.base_url, "token", retries=Retries(tries=1), timeout=5) as client,
            client.connect() as socket,
        ):
            cycle: list[Any] = [socket.room_events(ROOM, "1-0")]
            next(cycle[0])
            cycle.append(cycle)
            left.append(weakref.ref(cycle[0]))
            del cycle
            monkeypatch.setattr(Exchange, "heard", collecting)
            socket.send(ROOM, "first")
            socket.send(ROOM, "second")
            # It may be followed again.
            assert next(socket.room_events(ROOM, "1-0")).id == "1-1"

    store, left = Store(), list[Any]()
    gc.disable()
    try:
        async with SocketServer(script) as server:
            await asyncio.wait_for(asyncio.to_thread(run), SOON)
    finally:
        gc.enable()
    assert collected == ["parlor-client"]
    assert left[0]() is None
    assert len(server.handshakes) == 1
