"""A benchmark deletes the rooms that it made, whichever way it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
import pytest

from demo_model.http import Connection, HttpServer, Request
from parlor_bench import rooms
from parlor_bench.rooms import Rooms

pytestmark = pytest.mark.unit


class Api:
    """Makes and deletes rooms; ``refuses`` so many requests with 429 first."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}
        """The room's id -> who made it."""
        self.refuses = 0
        self.made = 0
        self.fails_at: int | None = None
        self.stuck: set[str] = set()
        self.begun = asyncio.Event()
        """The first one has been made."""

    async def handle(self, request: Request, connection: Connection) -> None:
        who = request.headers["authorization"].removeprefix("Bearer ")
        if self.refuses:
            self.refuses -= 1
            connection.respond(HTTPStatus.TOO_MANY_REQUESTS, b"{}")
        elif request.method == "POST":
            self.made += 1
            if self.made == self.fails_at:
                connection.respond(HTTPStatus.INTERNAL_SERVER_ERROR, b"{}")
                return
            room = f"room-{self.made}"
            self.there[room] = who
            self.begun.set()
            connection.respond(HTTPStatus.CREATED, msgspec.json.encode({"room_id": room}))
        else:
            room = request.path.rpartition("/")[2]
            if room in self.stuck:
                connection.respond(HTTPStatus.INTERNAL_SERVER_ERROR, b"{}")
                return
            assert self.there.pop(room) == who
            connection.respond(HTTPStatus.ACCEPTED, b"{}")


@asynccontextmanager
async def serving(api: Api) -> AsyncIterator[tuple[str, int]]:
    server = HttpServer(api.handle)
    try:
        yield "127.0.0.1", await server.start("127.0.0.1", 0)
    finally:
        await server.close()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "PAUSE_SECONDS", 0.0)


async def test_each_room_is_deleted_by_who_made_it() -> None:
    api, said = Api(), list[str]()
    async with serving(api) as where:
        async with Rooms(*where, said.append) as made:
            found = await made.create([f"ada-{number}" for number in range(40)])
            assert dict(found) == api.there
            await made.create(["bob"])
            assert len(api.there) == 41
        assert api.there == {}
    assert said == ["deleted 41 rooms"]


async def test_they_are_deleted_when_the_benchmark_fails() -> None:
    api, said = Api(), list[str]()
    api.fails_at = 20
    async with serving(api) as where:
        with pytest.raises(RuntimeError, match="cannot create a room: 500"):
            async with Rooms(*where, said.append) as made:
                await made.create(["ada"] * 40)
        assert api.there == {}
    assert said == ["deleted 39 rooms"]


async def test_and_when_it_is_interrupted() -> None:
    api = Api()
    async with serving(api) as where:

        async def bench() -> None:
            async with Rooms(*where, lambda _line: None) as made:
                await made.create(["ada"] * 5)
                await asyncio.Event().wait()

        task = asyncio.create_task(bench())
        await api.begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert api.there == {}


async def test_what_is_refused_for_now_is_asked_again() -> None:
    api, said = Api(), list[str]()
    async with serving(api) as where:
        async with Rooms(*where, said.append) as made:
            await made.create(["ada"])
            api.refuses = rooms.TRIES - 1
        assert (api.there, said) == ({}, ["deleted 1 rooms"])


async def test_what_cannot_be_deleted_is_said_and_keeps_no_other() -> None:
    api, said = Api(), list[str]()
    api.stuck = {"room-2"}
    async with serving(api) as where:
        async with Rooms(*where, said.append) as made:
            await made.create(["ada"] * 3)
        assert list(api.there) == ["room-2"]
    assert said == ["deleted 2 rooms", "1 rooms could not be deleted, room-2 among them"]
