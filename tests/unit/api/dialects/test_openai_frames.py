"""The chunks of a reply, folded by a client, are the reply, however its events come and wherever they are cut."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.openai_chat import ChatFrames
from api.dialects.openai_errors import error_form, refusal_form
from parlor.model.ids import MessageId
from parlor.model.messages import Event
from parlor.model.wire import encode

pytestmark = pytest.mark.unit

REPLY = MessageId("01a20669-29f2-8011-8000-000000000003")
OTHER = MessageId("01a20669-29f2-8011-8000-000000000004")
pieces = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=8)


def event(kind: str, message_id: MessageId = REPLY, **data: Any) -> Event:
    return Event("1-1", kind, encode({"message_id": message_id, "attempt": 1, "index": 0, **data}), message_id, 1)


def log_of(texts: list[str]) -> list[Event]:
    """The room's events of the turn, another message's among them."""
    deltas, offset = [], 0
    for text in texts:
        deltas += [event("message.delta", offset=offset, text=text), event("message.delta", OTHER, offset=0, text="no")]
        offset += len(text)
    message = {
        "content": "".join(texts),
        "parts": [{"type": "text", "text": "".join(texts)}],
        "finish_reason": "stop",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    return [
        event("message.created", OTHER),
        event("message.reset"),
        *deltas,
        event("message.completed", message=message),
    ]


def documents(body: bytes) -> list[Any]:
    """The data of a stream, as a client of event streams reads it; ``[DONE]`` as None."""
    found = []
    for block in body.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        assert all(line.startswith("data: ") for line in lines), "neither id: nor event:"
        if lines:
            data = "\n".join(line.removeprefix("data: ") for line in lines)
            found.append(None if data == "[DONE]" else msgspec.json.decode(data))
    return found


def folded(found: list[Any]) -> str:
    return "".join(each["choices"][0]["delta"].get("content", "") for each in found if each and each.get("choices"))


def frames(*, include_usage: bool = False) -> ChatFrames:
    return ChatFrames(REPLY, "GPT4O", 1000, include_usage=include_usage)


@given(pieces, st.integers(1, 5), st.booleans())
def test_the_deltas_are_the_text_in_whatever_batches(texts: list[str], size: int, include_usage: bool) -> None:
    events, written = log_of(texts), frames(include_usage=include_usage)
    body = b"".join(written.write(events[at : at + size]) for at in range(0, len(events), size))
    found = documents(body + written.end("1-1", ""))
    assert folded(found) == "".join(texts)
    assert (found[-1], written.ended) == (None, True)
    reasons = [each["choices"][0]["finish_reason"] for each in found if each and each["choices"]]
    assert [reason for reason in reasons if reason] == ["stop"]
    assert (found[-2].get("usage") is not None) == include_usage


@given(pieces, st.data())
def test_a_stream_that_begins_late_or_with_the_end_alone_has_the_whole_text(texts: list[str], data: Any) -> None:
    """Its log may have been cut: what the deltas did not say, the end says."""
    *_, last = log_of(texts)
    assert folded(documents(frames().write([last]))) == "".join(texts)
    cut = data.draw(st.integers(0, len(texts)))
    kept, at = [], 0
    for text in texts[:cut]:
        kept.append(event("message.delta", offset=at, text=text))
        at += len(text)
    assert folded(documents(frames().write([*kept, last]))) == "".join(texts)


@given(pieces, st.data())
def test_a_prefix_is_a_prefix_of_the_text_and_its_end_says_so(texts: list[str], data: Any) -> None:
    events, written = log_of(texts), frames()
    cut = data.draw(st.integers(0, len(events) - 1))
    found = documents(written.write(events[:cut]) + written.end("1-1", "lifetime"))
    assert "".join(texts).startswith(folded(found))
    assert found[-2]["error"]["code"] == "lifetime"
    assert written.end("1-1", "again") == b""


@given(pieces)
def test_text_is_never_taken_back(texts: list[str]) -> None:
    written = frames()
    events = [event("message.delta", offset=0, text=texts[0]), event("message.reset"), *log_of(texts)]
    found = documents(written.write(events))
    assert folded(found) == texts[0]
    assert found[-2]["error"]["code"] == "message-reset"


@pytest.mark.parametrize(
    ("status", "code", "loc", "expected"),
    [
        (
            422,
            "invalid-request",
            ("body", "messages", 2, "content", 0),
            (400, "invalid_request_error", "messages[2].content[0]"),
        ),
        (422, "invalid-request", ("body",), (400, "invalid_request_error", None)),
        (401, "unauthenticated", (), (401, "authentication_error", None)),
        (403, "forbidden", (), (403, "permission_error", None)),
        (429, "rate-limited", (), (429, "rate_limit_error", None)),
        (429, "quota-exceeded", (), (429, "insufficient_quota", None)),
        (503, "overloaded", (), (503, "server_error", None)),
    ],
)
def test_an_error_says_what_it_is_about(
    status: int, code: str, loc: tuple[str | int, ...], expected: tuple[int, str, str | None]
) -> None:
    form, answered = refusal_form("No", status, code, [{"loc": loc, "type": "value_error"}])
    assert (answered, form["error"]["type"], form["error"]["param"]) == expected
    assert form == error_form("No", answered, code, loc)
