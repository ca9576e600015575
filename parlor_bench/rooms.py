"""The rooms of a benchmark: made for it, and deleted with it, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Self

import msgspec

from parlor_bench.load import delete, exchange, post

AT_ONCE = 16
"""Requests at a time."""
TRIES, PAUSE_SECONDS = 5, 1.0
"""Of a request that is refused because there are too many, or because something restarts."""
_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

Room = tuple[str, str]
"""Its id, and a token of its account."""


class Rooms:
    """Makes rooms within ``async with``, and deletes them at its end."""

    def __init__(self, host: str, port: int, say: Callable[[str], None]) -> None:
        self._host, self._port = host, port
        self._say = say
        self._made: list[Room] = []
        self._creating: set[asyncio.Task[Room]] = set()
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._creating:
            # One that is under way would be made behind our back.
            await asyncio.wait(self._creating)
        made, self._made = self._made, []
        deleted = await asyncio.gather(*map(self._delete, made))
        self._say(f"deleted {sum(deleted)} rooms")
        if left := [room for (room, _), gone in zip(made, deleted, strict=True) if not gone]:
            self._say(f"{len(left)} rooms could not be deleted, {left[0]} among them")

    async def create(self, tokens: Sequence[str]) -> list[Room]:
        """Makes a room for each token. Raises ``RuntimeError`` when one is refused."""
        tasks = [asyncio.create_task(self._create(token)) for token in tokens]
        for task in tasks:
            self._creating.add(task)
            task.add_done_callback(self._creating.discard)
        # It does not cancel them: whoever is cancelled here still deletes what they make.
        await asyncio.wait(tasks)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        if failures := [each for each in found if isinstance(each, BaseException)]:
            raise failures[0]
        return [task.result() for task in tasks]

    async def _create(self, token: str) -> Room:
        status, body = await self._ask(post(self._host, self._port, "/v1/rooms", token, b'{"title": "Bench"}'))
        if status != HTTPStatus.CREATED:
            raise RuntimeError(f"cannot create a room: {status} {body!r}")
        room = (str(msgspec.json.decode(body)["room_id"]), token)
        self._made.append(room)
        return room

    async def _delete(self, room: Room) -> bool:
        """Whether it is gone; a failure must not keep the others."""
        try:
            status, _ = await self._ask(delete(self._host, self._port, f"/v1/rooms/{room[0]}", room[1]))
        except (OSError, EOFError, TimeoutError):
            return False
        return status in (HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND)

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        """A connection for each request: HAProxy's reload for another application closes idle ones."""
        status, body = 0, b""
        for _ in range(TRIES):
            async with self._at_once:
                reader, writer = await asyncio.open_connection(self._host, self._port)
                try:
                    status, body = await exchange(reader, writer, request)
                finally:
                    writer.close()
            if status not in _LATER:
                break
            await asyncio.sleep(PAUSE_SECONDS)
        return status, body
