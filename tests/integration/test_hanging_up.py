"""Clients that hang up at any point of a send, and ask again with the same key or never: at most one message each, and
one if anybody was ever told so (P1, P2)."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

import pytest

from tests.installation import Installation
from tests.integration.shards import Shards
from tests.integration.user import User, of
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration
KINDS = ("private",)
SENDS = 120
AT_ONCE = 12
"""Clients side by side."""
LONGEST_MS = 12.0
"""From the last byte of a request to hanging up: from before it is read to after it was answered."""
PREFERENCES = ("", "Prefer: durability=persisted\r\n", "Prefer: wait=5\r\n", "Accept: text/event-stream\r\n")


def _request(installation: Installation, user: User, room: str, content: str, prefer: str) -> bytes:
    reply = "auto" if "wait" in prefer or "stream" in prefer else "none"
    body = json.dumps({"content": content, "reply": reply}).encode()
    head = (
        f"POST {of(room)}/messages HTTP/1.1\r\nHost: 127.0.0.1:{installation.port}\r\n"
        f"Authorization: Bearer {installation.token(user.account)}\r\nContent-Type: application/json\r\n"
        f'Idempotency-Key: "{content}"\r\n{prefer}Content-Length: {len(body)}\r\n\r\n'
    )
    return head.encode() + body


async def _hang_up(installation: Installation, request: bytes, written: int, pause: float) -> bytes:
    """What was answered until then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", installation.port)
    answer = b""
    try:
        writer.write(request[:written])
        await writer.drain()
        try:
            async with asyncio.timeout(pause):
                while piece := await reader.read(65_536):
                    answer += piece
        except TimeoutError:
            pass
    finally:
        # A reset, not an orderly end: as from somebody who walks into a tunnel.
        writer.transport.abort()
    return answer


async def test_a_send_that_is_hung_up_on_is_there_once_or_not_at_all(
    installation: Installation, user: User, shards: Shards
) -> None:
    chance = random.Random(4)
    room = await user.create_room("Tunnel")
    agreed_views: set[str] = set()
    whole: set[str] = set()
    places = asyncio.Semaphore(AT_ONCE)

    async def send(number: int) -> None:
        content, prefer = f"send {number} [[tokens=2]]", PREFERENCES[number % len(PREFERENCES)]
        request = _request(installation, user, room, content, prefer)
        # Every third one is cut off in the middle.
        written = chance.randrange(1, len(request)) if number % 3 == 0 else len(request)
        pause = chance.uniform(0, LONGEST_MS) / 1000
        async with places:
            answer = await _hang_up(installation, request, written, pause)
            if answer.startswith((b"HTTP/1.1 201", b"HTTP/1.1 200")):
                agreed_views.add(content)
            if written == len(request):
                whole.add(content)
            if number % 2:
                headers = {"Idempotency-Key": f'"{content}"'}
                body = {"content": content, "reply": json.loads(request.partition(b"\r\n\r\n")[2])["reply"]}
                again = await user.http.post(f"{of(room)}/messages", json=body, headers=headers)
                assert again.status_code in (200, 201), again.text
                assert again.json()["message"]["content"] == content
                agreed_views.add(content)

    await asyncio.gather(*(send(number) for number in range(SENDS)))
    await user.flush()

    async def at_rest() -> list[dict[str, object]]:
        history = await user.history(room)
        return [] if any(message["is_streaming"] for message in history) else history

    history = await eventually(at_rest, bool, 30)
    times = Counter(message["content"] for message in history if message["sender_type"] == "USER")
    assert set(times.values()) == {1}
    assert agreed_views <= times.keys()
    # What was cut off before its last byte was not asked for.
    assert times.keys() <= agreed_views | whole
    assert times.keys() - agreed_views, "some were taken although nobody waited for the answer"
    await user.flush()
    rows = await shards.messages(room)
    assert [(row.seq, row.content) for row in rows] == [(message["seq"], message["content"]) for message in history]
