"""The chunks of a reply, folded by a client, are the reply, however its events come and wherever they are cut."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.ai_sdk import UiMessageFrames
from parlor.model.ids import MessageId
from parlor.model.messages import Event
from parlor.model.wire import encode

pytestmark = pytest.mark.unit

REPLY = MessageId("01a20669-29f2-8011-8000-000000000003")
OTHER = MessageId("01a20669-29f2-8011-8000-000000000004")
BEGUN = [{"type": "start", "messageId": REPLY}, {"type": "start-step"}]
RECORDED = b"""data: {"type":"start","messageId":"01a20669-29f2-8011-8000-000000000003"}

data: {"type":"start-step"}

data: {"type":"reasoning-start","id":"reasoning-1"}

data: {"type":"reasoning-delta","id":"reasoning-1","delta":"Hm"}

data: {"type":"reasoning-end","id":"reasoning-1"}

data: {"type":"text-start","id":"text-2"}

data: {"type":"text-delta","id":"text-2","delta":"Gr\xc3\xbcn"}

data: {"type":"text-delta","id":"text-2","delta":" tea"}

data: {"type":"text-end","id":"text-2"}

data: {"type":"finish-step"}

data: {"type":"finish","finishReason":"stop"}

data: [DONE]

"""
"""Read by `DefaultChatTransport` of `ai` 5.0.277 and 6.0.326."""
pieces = st.lists(st.tuples(st.sampled_from(["text", "reasoning"]), st.text(min_size=1, max_size=8)), max_size=8)


def event(kind: str, message_id: MessageId = REPLY, **data: Any) -> Event:
    return Event("1-1", kind, encode({"message_id": message_id, "attempt": 1, "index": 0, **data}), message_id, 1)


def delta(text: str, index: int = 0) -> Event:
    return event("message.delta", offset=0, index=index, text=text)


def ended(content: str, reason: str | None = "stop", kind: str = "message.completed", **more: Any) -> Event:
    parts = [{"type": "text", "text": content}]
    return event(kind, message={"content": content, "parts": parts, "finish_reason": reason, "usage": None, **more})


def log_of(said: list[tuple[str, str]]) -> list[Event]:
    """The room's events of the turn, another message's among them."""
    log = [event("message.created", OTHER), event("message.reset")]
    for kind, text in said:
        log += [event("message.delta", OTHER, offset=0, text="no")]
        log += [delta(text) if kind == "text" else event("message.reasoning", offset=0, text=text)]
    return [*log, ended(text_in(said))]


def text_in(said: list[tuple[str, str]], wanted: str = "text") -> str:
    return "".join(text for kind, text in said if kind == wanted)


def chunks(body: bytes) -> list[Any]:
    """The data of a stream, without its comments; ``[DONE]`` as None."""
    lines = [block for block in body.decode().split("\n\n") if block and not block.startswith(":")]
    assert all(line.startswith("data: ") and "\n" not in line for line in lines)
    return [None if line == "data: [DONE]" else msgspec.json.decode(line.removeprefix("data: ")) for line in lines]


def folded(found: list[Any]) -> dict[str, str]:
    """The text of each kind, as the AI SDK puts it together; it refuses a delta or an end of what has not begun."""
    texts, begun = {"text": "", "reasoning": ""}, set[str]()
    for chunk in found:
        kind, _, step = (chunk or {"type": ""})["type"].partition("-")
        if kind not in texts:
            continue
        assert (chunk["id"] in begun) == (step != "start")
        match step:
            case "start":
                begun.add(chunk["id"])
            case "delta":
                texts[kind] += chunk["delta"]
            case "end":
                begun.remove(chunk["id"])
    assert not found or found[-1] is not None or not begun, "what begins ends"
    return texts


def written(*events: Event) -> list[Any]:
    frames = UiMessageFrames(REPLY)
    return chunks(frames.opening + frames.write(events))


def test_a_recorded_stream_is_written_again() -> None:
    frames = UiMessageFrames(REPLY)
    said = [event("message.reasoning", offset=0, text="Hm"), delta("Grün", 1), delta(" tea", 1), ended("Grün tea")]
    assert frames.opening + frames.write(said) == RECORDED


@given(pieces, st.integers(1, 5))
def test_the_chunks_are_the_reply_in_whatever_batches(said: list[tuple[str, str]], size: int) -> None:
    events, frames = log_of(said), UiMessageFrames(REPLY)
    body = b"".join(frames.write(events[at : at + size]) for at in range(0, len(events), size))
    found = chunks(frames.opening + body + frames.end("1-1", ""))
    assert folded(found) == {"text": text_in(said), "reasoning": text_in(said, "reasoning")}
    assert found[:2] == BEGUN
    assert found[-3:] == [{"type": "finish-step"}, {"type": "finish", "finishReason": "stop"}, None]
    assert frames.ended


@given(pieces, st.data())
def test_what_the_deltas_did_not_say_the_end_says(said: list[tuple[str, str]], data: Any) -> None:
    *events, last = log_of(said)
    cut = data.draw(st.integers(0, len(events)))
    assert folded(written(*events[:cut], last))["text"] == text_in(said)


@given(pieces, st.data())
def test_a_stream_that_is_cut_says_so(said: list[tuple[str, str]], data: Any) -> None:
    events, frames = log_of(said), UiMessageFrames(REPLY)
    cut = data.draw(st.integers(0, len(events) - 1))
    found = chunks(frames.opening + frames.write(events[:cut]) + frames.end("1-1", "lifetime"))
    assert text_in(said).startswith(folded(found)["text"])
    assert found[-2]["type"] == "error"
    assert found[-2]["errorText"].startswith("lifetime: ")
    assert frames.end("1-1", "again") == b""


def test_each_text_part_is_one_of_its_own() -> None:
    parts = [{"type": "text", "text": "ab"}, {"type": "image"}, {"type": "text", "text": "cd"}]
    image = event("message.part", index=1, part=parts[1])
    found = written(delta("a", 0), delta("b", 0), image, delta("c", 2), ended("abcd", parts=parts))
    assert [(each["id"], each["delta"]) for each in found if each and each["type"] == "text-delta"] == [
        ("text-1", "a"),
        ("text-1", "b"),
        ("text-2", "c"),
        ("text-2", "d"),
    ]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content-filter"),
        ("reasoning_limit", "length"),
        ("tool_limit", "length"),
    ],
)
def test_a_reply_ends_for_a_reason(reason: str, told: str) -> None:
    assert written(ended("a", reason))[-2] == {"type": "finish", "finishReason": told}


def test_a_reply_that_was_stopped_is_aborted() -> None:
    found = written(delta("a"), ended("ab", "stopped", "message.stopped"))
    assert folded(found)["text"] == "ab"
    assert found[-2:] == [{"type": "abort"}, None]


BROKEN = {"code": "llm-error", "detail": "It broke"}


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (event("message.reset"), "message-reset: The reply began anew; load it again"),
        (event("message.deleted"), "message-not-found: The reply was deleted"),
        (Event("1-1", "room.deleted", b"{}"), "room-not-found: The room was deleted"),
        (ended("a", "interrupted"), "interrupted: The reply was cut off before its end"),
        (ended("a", None), "interrupted: The reply was cut off before its end"),
        (ended("a", "error", "message.failed", error=BROKEN), "llm-error: It broke"),
    ],
)
def test_a_stream_that_cannot_go_on_ends_with_an_error(last: Event, told: str) -> None:
    found = written(delta("a"), last, delta("never"), ended("never"))
    assert folded(found)["text"] == "a"
    assert found[-2:] == [{"type": "error", "errorText": told}, None]
