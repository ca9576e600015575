"""One attack of `parlor bench flood`, as a process of its own: `python -m parlor_bench.attack`.

It reads its order from standard input, prints a line when it is under way, goes on until standard input ends, and
prints what it was answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from parlor_bench.load import exchange, post

ADDRESS = "198.51.100.66"
"""Of the attacker, as a proxy on this machine would say it."""
RETRY_SECONDS = 0.05
AT_ONCE = 50
"""Connections that are being opened at a time."""


class Order(msgspec.Struct, frozen=True):
    """What to do to whom."""

    kind: str
    host: str
    port: int
    token: str
    path: str
    connections: int
    per_second: float = 0
    """Requests of all connections together; 0: as many as are answered."""


class Answers(msgspec.Struct, frozen=True):
    """What came of it."""

    answers: dict[str, int]
    """By status; ``closed`` counts connections that the other side ended."""


_Work = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Attack:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._answers: Counter[str] = Counter()
        self._opening = asyncio.Semaphore(AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> Answers:
        order = self._order
        body = msgspec.json.encode({"content": "x" * 256, "reply": "none"})
        request = post(order.host, order.port, order.path, order.token, body, x_forwarded_for=ADDRESS)
        head = {"content_length": "60000", "x_forwarded_for": ADDRESS}
        half = post(order.host, order.port, order.path, order.token, b"", **head)
        work: dict[str, _Work] = {
            "sends": partial(self._ask, request),
            "bad tokens": partial(self._ask, request),
            "half bodies": partial(self._hold, half + body),
            "idle": partial(self._hold, b""),
        }
        opened: list[asyncio.Event] = []
        for _ in range(order.connections):
            ready = asyncio.Event()
            opened.append(ready)
            self._tasks.append(asyncio.create_task(self._again_and_again(work[order.kind], ready)))
        for ready in opened:
            await ready.wait()
        print("under way", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return Answers(dict(self._answers))

    async def _again_and_again(self, work: _Work, ready: asyncio.Event) -> None:
        """On one connection after the other, as each is ended."""
        while True:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                async with self._opening:
                    reader, writer = await asyncio.open_connection(self._order.host, self._order.port)
                ready.set()
                try:
                    await work(reader, writer)
                finally:
                    writer.close()
            ready.set()
            self._answers["closed"] += 1
            await asyncio.sleep(RETRY_SECONDS)

    async def _ask(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The same request, one after the other."""
        pause = self._order.connections / self._order.per_second if self._order.per_second else 0.0
        while True:
            status, _ = await exchange(reader, writer, request)
            self._answers[str(status)] += 1
            await asyncio.sleep(pause)

    async def _hold(self, sent: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Sends this and nothing more, until the other side has enough."""
        writer.write(sent)
        head = await reader.read(4096)
        if head.startswith(b"HTTP/1.1 "):
            self._answers[head[9:12].decode()] += 1


def main() -> None:
    """Does what standard input's first line says."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    order = msgspec.json.decode(sys.stdin.readline(), type=Order)
    outcome = asyncio.run(_Attack(order).run())
    print(msgspec.json.encode(outcome).decode(), flush=True)


if __name__ == "__main__":
    main()
