"""The events of a response, through OpenAI's own parser: however its stream is cut and resumed, they fold to the reply
that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import omit
from openai._models import construct_type
from openai._streaming import SSEDecoder
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent

from api.dialects.openai_response_frames import ATTEMPT_SPAN, ResponseFrames
from api.dialects.openai_responses import Asked, ending_of, response_form
from parlor.model.ids import MessageId
from parlor.model.messages import Event
from parlor.model.wire import JsonForm, encode

pytestmark = pytest.mark.unit

REPLY = MessageId("01a20669-29f2-8011-8000-000000000003")
OTHER = MessageId("01a20669-29f2-8011-8000-000000000004")
ASKED = Asked("GPT4O", REPLY, 1000, "01a20669-29f2-8011-8000-000000000001")
WORDS = st.text(min_size=1, max_size=6)
PARTS = st.lists(
    st.tuples(st.sampled_from(["text", "reasoning", "tool", "call"]), st.lists(WORDS, min_size=1, max_size=3)),
    max_size=5,
)


def event(kind: str, message_id: MessageId = REPLY, **data: Any) -> Event:
    attempt = data.get("attempt")
    return Event("1-1", kind, encode({"message_id": message_id, **data}), message_id, attempt)


def call(number: int, state: str) -> JsonForm:
    about = {"tool_call_id": f"call_{number}", "name": "pay", "arguments": {"sum": number}}
    return {"type": "tool_call", "state": state, **about}


def log_of(
    said: Sequence[tuple[str, list[str]]], reason: str = "stop", attempt: int = 1
) -> tuple[list[Event], JsonForm]:
    """The room's events of a reply, another message's among them, and the message as it is stored."""
    log = [event("message.created", OTHER), event("message.created"), event("message.reset", attempt=attempt)]
    told, parts = {"text": 0, "reasoning": 0}, list[JsonForm]()
    # Calls that the caller makes end an answer.
    for kind, words in sorted(said, key=lambda each: each[0] == "call"):
        if kind in ("tool", "call"):
            parts.append(call(len(parts), "done" if kind == "tool" else "approved"))
            log.append(event("message.part", attempt=attempt, index=len(parts) - 1, part=parts[-1]))
            continue
        if not parts or parts[-1]["type"] != kind:
            parts.append({"type": kind, "text": ""})
        for word in words:
            where: Any = {"attempt": attempt, "index": len(parts) - 1, "offset": told[kind], "text": word}
            log.append(event("message.delta" if kind == "text" else "message.reasoning", **where))
            log.append(event("message.delta", OTHER, attempt=1, index=0, offset=0, text="no"))
            told[kind] += len(word)
            parts[-1]["text"] += word
    message = {
        "content": "".join(part["text"] for part in parts if part["type"] == "text"),
        "parts": parts,
        "attempt": attempt,
        "is_streaming": False,
        "finish_reason": reason,
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    return [*log, event("message.completed", message=message)], message


def written(events: Sequence[Event], after: int | None = None) -> bytes:
    frames = ResponseFrames(ASKED, after)
    return frames.write(events) + frames.end("1-1", "")


def parsed(body: bytes) -> list[ResponseStreamEvent]:
    """What OpenAI's package reads of a stream, or of its beginning."""
    found = []
    for each in SSEDecoder().iter_bytes(iter([body])):
        if each.data and not each.data.startswith("[DONE]"):
            data = msgspec.json.decode(each.data)
            found.append(cast("ResponseStreamEvent", construct_type(type_=ResponseStreamEvent, value=data)))
    return found


def folded(events: Sequence[ResponseStreamEvent]) -> tuple[list[tuple[str, str]], Any]:
    """The items as their deltas make them, and the response that the package ends with."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    items: dict[int, list[str]] = {}
    for each in events:
        state.handle_event(each)
        if each.type == "response.output_item.added":
            items[each.output_index] = [each.item.type, ""]
        elif each.type in (
            "response.output_text.delta",
            "response.reasoning_summary_text.delta",
            "response.function_call_arguments.delta",
        ):
            items[each.output_index][1] += each.delta
    whole = state._completed_response
    return [(kind, text) for _, (kind, text) in sorted(items.items())], whole


def items_of(response: Response) -> list[tuple[str, str]]:
    found = list[tuple[str, str]]()
    for item in response.output:
        match item.type:
            case "message":
                found.append((item.type, "".join(part.text for part in item.content if part.type == "output_text")))
            case "reasoning":
                found.append((item.type, "".join(part.text for part in item.summary)))
            case "function_call":
                found.append((item.type, item.arguments))
    return found


def stored(message: JsonForm) -> Response:
    return Response.model_validate(response_form(ASKED, ending_of(message)))


@given(PARTS, st.integers(1, 3))
def test_the_events_fold_to_the_reply_that_is_stored(said: list[tuple[str, list[str]]], attempt: int) -> None:
    log, message = log_of(said, attempt=attempt)
    events = parsed(written(log))
    items, whole = folded(events)
    assert items == items_of(stored(message)) == items_of(whole)
    numbers = [each.sequence_number for each in events]
    assert numbers[:2] == [0, 1]
    first = 2 + (attempt - 1) * ATTEMPT_SPAN
    assert numbers[2:] == list(range(first, first + len(numbers) - 2))


@settings(max_examples=10, deadline=None)
@given(PARTS)
def test_cut_at_every_byte_and_resumed_they_fold_to_the_same(said: list[tuple[str, list[str]]]) -> None:
    log, _ = log_of(said)
    body = written(log)
    events = parsed(body)
    whole = folded(events)
    # Of each cut, the end of the last event that is there whole: all that a client knows.
    for end in sorted({body.rfind(b"\n\n", 0, cut) + 2 for cut in range(len(body)) if b"\n\n" in body[:cut]}):
        known = parsed(body[:end])
        rest = parsed(written(log, known[-1].sequence_number))
        assert known + rest == events
        assert folded(known + rest) == whole


@settings(max_examples=25, deadline=None)
@given(PARTS, st.data())
def test_of_a_log_that_was_cut_the_last_event_is_told_alone(said: list[tuple[str, list[str]]], data: Any) -> None:
    """Or all of it, if what was cut said nothing."""
    log, message = log_of(said)
    events = parsed(written(log))
    after = data.draw(st.integers(0, len(events) - 2))
    found = parsed(written(log[data.draw(st.integers(3, len(log) - 1)) :], after))
    assert [each.sequence_number for each in found] == list(range(after + 1, after + 1 + len(found)))
    if found != events[after + 1 :]:
        (last,) = found
        assert last.type == "response.completed"
        assert items_of(last.response) == items_of(stored(message))


@given(PARTS, st.data())
def test_who_begins_late_is_told_all_of_it(said: list[tuple[str, list[str]]], data: Any) -> None:
    log, message = log_of(said)
    items, _ = folded(parsed(written(log[data.draw(st.integers(0, len(log) - 1)) :])))
    assert items == items_of(stored(message))


@given(PARTS, st.data())
def test_a_prefix_says_that_it_was_cut_and_is_gone_on_with(said: list[tuple[str, list[str]]], data: Any) -> None:
    log, _ = log_of(said)
    frames = ResponseFrames(ASKED)
    begun = frames.write(log[: data.draw(st.integers(0, len(log) - 1))])
    *known, error = parsed(begun + frames.end("1-1", "lifetime"))
    assert (error.type, error.code) == ("error", "lifetime")  # type: ignore[union-attr]
    rest = parsed(written(log, error.sequence_number if known else None))
    assert known + rest == parsed(written(log))


@given(PARTS.filter(lambda said: any(kind in ("text", "reasoning") for kind, _ in said)), PARTS)
def test_text_is_never_taken_back(said: list[tuple[str, list[str]]], again: list[tuple[str, list[str]]]) -> None:
    *first, _ = log_of(said)[0]
    second, _ = log_of(again, attempt=2)
    events = parsed(written([*first, *second]))
    assert events[-1].type == "response.failed"
    assert events[-1].response.error is not None
    told, _ = folded(events)
    assert told == items_of(events[-1].response)
    known = parsed(written(first))
    for each in known[2:]:
        (failed,) = parsed(written(second, each.sequence_number))
        assert (failed.type, failed.sequence_number) == ("response.failed", each.sequence_number + 1)
    assert parsed(written(second, 1)) == parsed(written(second))[2:]


@pytest.mark.parametrize("kind", ["message.deleted", "room.deleted"])
def test_what_was_deleted_is_not_told_again(kind: str) -> None:
    log, _ = log_of([("text", ["A secret"])])
    gone = event(kind) if kind == "message.deleted" else Event("1-1", kind, b"{}")
    frames = ResponseFrames(ASKED)
    assert b"A secret" in frames.write(log[:-1])
    last = frames.write([gone])
    assert b"A secret" not in last
    assert parsed(last)[-1].type == "response.failed"


@pytest.mark.parametrize(
    ("reason", "kind", "status", "last"),
    [
        ("stop", "response.completed", "completed", "completed"),
        ("length", "response.incomplete", "incomplete", "incomplete"),
        ("reasoning_limit", "response.incomplete", "incomplete", "incomplete"),
        ("tool_limit", "response.incomplete", "incomplete", "incomplete"),
        ("content_filter", "response.incomplete", "incomplete", "incomplete"),
        ("stopped", "response.incomplete", "cancelled", "incomplete"),
        ("interrupted", "response.failed", "failed", "incomplete"),
        ("error", "response.failed", "failed", "incomplete"),
    ],
)
def test_a_reply_ends_as_what_it_is(reason: str, kind: str, status: str, last: str) -> None:
    log, _ = log_of([("reasoning", ["Hm"]), ("text", ["Hi"])], reason)
    event = parsed(written(log))[-1]
    assert event.type == kind
    response: Any = event.response  # type: ignore[union-attr]
    assert (response.status, response.output[-1].status) == (status, last)
