"""The two clients as one: the one for asyncio as it is, the other in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from parlor.client import AsyncClient, Client, Delta, Message, Retries

KINDS = ("asyncio", "plain")


class Read(NamedTuple):
    """A reply that was read to its end."""

    deltas: list[Delta]
    text: str
    reasoning: str
    message: Message | None


class Clients:
    """Makes calls by one of the two; pauses are noted and not made."""

    def __init__(self, kind: str, base_url: str, token: Any = None, retries: Retries | None = None) -> None:
        self._kind = kind
        self._options: dict[str, Any] = {"base_url": base_url, "token": token or "token", "retries": retries}
        self.pauses: list[float] = []

    async def call(self, what: Callable[[Any], Any]) -> Any:
        """The result of a call."""

        async def run(client: AsyncClient) -> Any:
            found = what(client)
            return await found if isinstance(found, Awaitable) else found

        return await self._either(run, what)

    async def all(self, what: Callable[[Any], Any], most: int | None = None) -> list[Any]:
        """What an iterator gives, to its end or to so many."""

        async def run(client: AsyncClient) -> list[Any]:
            found: list[Any] = []
            events: AsyncIterator[Any] = what(client)
            async for each in events:
                found.append(each)
                if len(found) == most:
                    break
            return found

        def run_plain(client: Client) -> list[Any]:
            found: list[Any] = []
            events: Iterator[Any] = what(client)
            for each in events:
                found.append(each)
                if len(found) == most:
                    break
            return found

        return list(await self._either(run, run_plain))

    async def read(self, what: Callable[[Any], Any]) -> Read:
        """A reply, read to its end."""

        async def run(client: AsyncClient) -> Read:
            found = what(client)
            reply = await found if isinstance(found, Awaitable) else found
            deltas = [delta async for delta in reply]
            return Read(deltas, reply.text, reply.reasoning, reply.message)

        def run_plain(client: Client) -> Read:
            reply = what(client)
            deltas = list(reply)
            return Read(deltas, reply.text, reply.reasoning, reply.message)

        found: Read = await self._either(run, run_plain)
        return found

    async def _either(self, run: Callable[[AsyncClient], Awaitable[Any]], run_plain: Callable[[Client], Any]) -> Any:
        if self._kind == "asyncio":
            async with AsyncClient(**self._options, sleep=self._sleep) as client:
                return await run(client)

        def in_thread() -> Any:
            with Client(**self._options, sleep=self.pauses.append) as client:
                return run_plain(client)

        return await asyncio.to_thread(in_thread)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def folded(deltas: list[Delta]) -> str:
    """The text as a program puts it together."""
    text = ""
    for delta in deltas:
        text = "" if delta.type == "reset" else text + (delta.text if delta.type == "text" else "")
    return text
