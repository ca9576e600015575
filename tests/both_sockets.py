"""A client's connection of either kind, as one: the one for asyncio as it is, the other in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Protocol

from parlor.client import AsyncClient, Client, Event, NewMessage, Retries, Sent


class Connection(Protocol):
    """What both can do, awaited."""

    pauses: list[float]

    async def send(self, room_id: str, content: str, **given: Any) -> Sent: ...

    def send_many(self, messages: Iterable[NewMessage]) -> AsyncGenerator[Sent]: ...

    def room_events(self, room_id: str, after: str | None = None) -> AsyncGenerator[Event]: ...

    def account_events(self, after: str | None = None) -> AsyncGenerator[Event]: ...

    async def aclose(self) -> None: ...


class _Threads:
    """The plain one: each call in a thread."""

    def __init__(self, socket: Any, pauses: list[float], threads: ThreadPoolExecutor) -> None:
        self.pauses = pauses
        self._socket = socket
        self._threads = threads

    async def send(self, room_id: str, content: str, **given: Any) -> Sent:
        found: Sent = await self._run(lambda: self._socket.send(room_id, content, **given))
        return found

    def send_many(self, messages: Iterable[NewMessage]) -> AsyncGenerator[Sent]:
        return self._all(self._socket.send_many(messages))

    def room_events(self, room_id: str, after: str | None = None) -> AsyncGenerator[Event]:
        return self._all(self._socket.room_events(room_id, after))

    def account_events(self, after: str | None = None) -> AsyncGenerator[Event]:
        return self._all(self._socket.account_events(after))

    async def aclose(self) -> None:
        await self._run(self._socket.close)

    async def _all(self, items: Any) -> AsyncGenerator[Any]:
        given: Iterator[Any] = iter(items)
        end = object()
        try:
            while (item := await self._run(lambda: next(given, end))) is not end:
                yield item
        finally:
            await self._run(items.close)

    async def _run(self, call: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


@asynccontextmanager
async def connected(
    kind: str, base_url: str, token: Any = None, *, waits: bool = False, **options: Any
) -> AsyncIterator[Connection]:
    """Pauses are noted, and made only if it ``waits``."""
    token = token or "token"
    pauses: list[float] = []
    retries: Retries | None = options.pop("retries", None)
    if waits:
        sleep: dict[str, Any] = {}
    elif kind == "asyncio":
        sleep = {"sleep": _noted(pauses)}
    else:
        sleep = {"sleep": pauses.append}
    if kind == "asyncio":
        async with (
            AsyncClient(base_url, token, retries=retries, **options, **sleep) as client,
            client.connect() as socket,
        ):
            socket.pauses = pauses  # type: ignore[attr-defined]
            yield socket  # type: ignore[misc]
        return
    with ThreadPoolExecutor(64) as threads, Client(base_url, token, retries=retries, **options, **sleep) as plain:
        run = asyncio.get_running_loop().run_in_executor
        opened = plain.connect()
        await run(threads, opened.__enter__)
        try:
            yield _Threads(opened, pauses, threads)
        finally:
            await run(threads, opened.close)


def _noted(pauses: list[float]) -> Any:
    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    return sleep
