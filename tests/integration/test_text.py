"""Text comes back as it was sent, byte for byte, wherever it is read."""

from __future__ import annotations

import msgspec
import pytest

from tests.integration.shards import Shards
from tests.integration.sse import text_of
from tests.integration.user import User, of, succeeded

pytestmark = pytest.mark.integration
KINDS = ("embedded",)
"""Once is enough for what is the same program; what differs by database is the contract tests' business."""

TEXTS = [
    "👩‍👩‍👧‍👦 🇪🇺 👍🏽 🫠",
    "مرحبا بالعالم — שלום עולם — mixed عربي and English",
    "e\u0301 vs é, Å vs A\u030a, ﬁ, ｆｕｌｌ, 한글 \u1112\u1161\u11ab",
    " leading and trailing \t\r\n\u2028\u2029\u0085 ",
    "\u200f\u202eright to left override\u202c\u200d\ufeff",
    "\u0001\u0007\u001b[31m\u007f\ufffe\uffff",
    "'; DROP TABLE messages; -- \\ \" ' ` % _ {{x}} ${y} <b>&amp;</b>",
    "\\u0000 is text, and so is \\ud800",
    "𝒳𐍈𠜎" * 2000,
]


async def test_every_script_survives_the_whole_way(user: User, shards: Shards) -> None:
    room = await user.create_room("日本語 🍵 \u202eabc")
    sent = []
    for text in TEXTS:
        message = (await user.send(room, text, reply="none", metadata={"text": text[:300], text[:10]: 1}))["message"]
        assert message["content"] == text
        sent.append(message["message_id"])
    await user.note(room, "end", persisted=True)

    expected = [*TEXTS, "end"]
    history = await user.history(room)
    assert [message["content"] for message in history] == expected
    assert [message["metadata"] for message in history[:-1]] == [{"text": text[:300], text[:10]: 1} for text in TEXTS]
    assert [(await user.message(room, message_id))["content"] for message_id in sent] == TEXTS
    assert [row.content for row in await shards.messages(room)] == expected
    assert (await user.get(of(room)))["title"] == "日本語 🍵 abc"
    lines = (await user.http.get(f"{of(room)}/export")).content.split(b"\n")
    assert [msgspec.json.decode(line)["content"] for line in lines[:-1]] == expected
    async with user.events(of(room), after=await _start(user, room)) as reader:
        events = [event for event in [await reader.next() for _ in expected] if event]
    assert [event.data["message"]["content"] for event in events] == expected


async def _start(user: User, room: str) -> str:
    """Where the room's log begins."""
    expired = await user.http.get(f"{of(room)}/events", params={"after": "1-0"})
    return str(expired.json()["oldest_cursor"])


async def test_a_reply_in_any_script_is_whole_in_stream_and_store(user: User, shards: Shards) -> None:
    room = await user.create_room()
    answer = "👩‍👩‍👧 مرحبا e\u0301 \u202e 𝒳 " * 20 + "fin"
    async with user.stream(room, f"[[delay=2ms text={answer}]]") as reader:
        events = await reader.rest()
    final = events[-1].data["message"]
    assert final["content"] == answer
    assert text_of(events, final["message_id"]) == answer


async def test_titles_are_text_too(user: User) -> None:
    for title in ("مرحبا 👋🏽", "e\u0301" * 100, "'; --"):
        room = await user.create_room(title)
        assert (await user.get(of(room)))["title"] == title
        renamed = succeeded(await user.http.patch(of(room), json={"title": title[::-1]}), 200)
        assert renamed["title"] == title[::-1]
