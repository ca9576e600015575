"""How fast this machine sends on `parlor.client`: by requests, 16 at once, and over one connection.

    PARLOR_TOKEN=$(parlor token ada) python -m examples.many_sends 1000

Each way sends so many messages of 256 characters to 20 rooms, in turns of 100. An account may send 50 a second, after
the first 1,000: start Parlor with a higher PARLOR_LIMITS__SENDS_BURST, or the limit is all that there is to see.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from parlor.client import AsyncClient, AsyncSocket, ClientError, NewMessage

AT_ONCE = 16
ROOMS = 20
TURN = 100
TEXT = "x" * 256
Way: TypeAlias = Callable[[list[NewMessage]], Awaitable[None]]


async def by_requests(parlor: AsyncClient, messages: list[NewMessage]) -> None:
    """Each is a request of its own."""
    places = asyncio.Semaphore(AT_ONCE)

    async def send(message: NewMessage) -> None:
        async with places:
            await parlor.send(message.room_id, message.content, reply=message.reply)

    await asyncio.gather(*map(send, messages))


async def over_one_connection(connection: AsyncSocket, messages: list[NewMessage]) -> None:
    """All are frames of one connection."""
    async for _ in connection.send_many(messages):
        pass


async def seconds(ways: list[Way], rooms: list[str], count: int) -> list[float]:
    """How long each way takes for so many messages."""
    found = [0.0 for _ in ways]
    for _ in range(max(1, count // TURN)):
        for at, way in enumerate(ways):
            messages = [NewMessage(rooms[n % len(rooms)], TEXT, reply="none") for n in range(min(TURN, count))]
            begin = time.perf_counter()
            await way(messages)
            found[at] += time.perf_counter() - begin
    return found


async def measure(url: str, token: str, count: int) -> None:
    async with AsyncClient(url, token) as parlor, parlor.connect() as connection:
        rooms = [(await parlor.create_room(f"Many {n}")).room_id for n in range(ROOMS)]

        def requests(messages: list[NewMessage]) -> Awaitable[None]:
            return by_requests(parlor, messages)

        def frames(messages: list[NewMessage]) -> Awaitable[None]:
            return over_one_connection(connection, messages)

        await seconds([requests, frames], rooms, ROOMS)  # what is opened first is opened
        by_http, over_socket = await seconds([requests, frames], rooms, count)
        sent = max(1, count // TURN) * min(TURN, count)
        print(f"requests:   {sent / by_http:.0f} sends a second")
        print(f"connection: {sent / over_socket:.0f} sends a second, {by_http / over_socket:.1f} times as many")


def main(arguments: list[str]) -> int:
    """The program; returns its exit code."""
    if len(arguments) != 1 or not arguments[0].isdecimal() or "PARLOR_TOKEN" not in os.environ:
        print("set PARLOR_TOKEN, and give a number of messages", file=sys.stderr)
        return 2
    try:
        url = os.environ.get("PARLOR_URL", "http://127.0.0.1:8000")
        asyncio.run(measure(url, os.environ["PARLOR_TOKEN"], int(arguments[0])))
    except ClientError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
