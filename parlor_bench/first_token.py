"""The time to first token, from the demo model directly and through Parlor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from parlor_bench.load import percentile, post

QUESTION = "[[tokens=5 delay=20ms first=0ms]]"
"""For the demo model: an answer that begins at once."""
FIRST_WORD = b"the"
ANSWER_SECONDS = 60.0


class FirstToken(msgspec.Struct, frozen=True):
    """Milliseconds from the request to the first word of the answer."""

    concurrent: int
    direct_p50: float
    direct_p99: float
    parlor_p50: float
    parlor_p99: float


async def measure_first_token(
    host: str, port: int, llm_url: str, rooms: Sequence[tuple[str, str]], samples: int
) -> FirstToken:
    """Asks for at least ``samples`` answers each way, in alternating rounds; in a round, one for each room at once.

    ``rooms`` are pairs of a room's id and a token of its account.
    """
    llm = urlsplit(llm_url)
    llm_host, llm_port = llm.hostname or "", llm.port or 80
    question = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    path = f"{llm.path}/chat/completions"
    direct = post(llm_host, llm_port, path, "demo", msgspec.json.encode(question), connection="close")
    body = msgspec.json.encode({"content": QUESTION})
    sends = [send_request(host, port, room, token, body) for room, token in rooms]
    directly: list[float] = []
    through: list[float] = []
    for _ in range(max(3, samples // len(rooms))):
        directly += await asyncio.gather(*(_until_first_word(llm_host, llm_port, direct) for _ in rooms))
        through += await asyncio.gather(*(_until_first_word(host, port, send) for send in sends))
    directly.sort()
    through.sort()
    return FirstToken(
        len(rooms),
        round(percentile(directly, 0.5), 2),
        round(percentile(directly, 0.99), 2),
        round(percentile(through, 0.5), 2),
        round(percentile(through, 0.99), 2),
    )


def send_request(host: str, port: int, room: str, token: str, body: bytes) -> bytes:
    """A send that is answered with events; the connection closes after the answer."""
    path = f"/v1/rooms/{room}/messages"
    return post(host, port, path, token, body, accept="text/event-stream", connection="close")


async def _until_first_word(host: str, port: int, request: bytes) -> float:
    """Milliseconds until the first word of the answer has arrived; returns after the end of the answer."""
    reader, writer = await asyncio.open_connection(host, port)
    marks = (b'"content":"' + FIRST_WORD, b'"text":"' + FIRST_WORD)
    try:
        began = time.perf_counter()
        writer.write(request)
        answer, found = b"", 0.0
        async with asyncio.timeout(ANSWER_SECONDS):
            while chunk := await reader.read(65536):
                answer += chunk
                if not found and any(mark in answer for mark in marks):
                    found = (time.perf_counter() - began) * 1000
        if not found:
            raise RuntimeError(f"no token arrived: {answer[:300]!r}")
        return found
    finally:
        writer.close()
