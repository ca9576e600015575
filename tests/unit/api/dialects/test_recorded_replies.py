"""Recorded replies through the parsers of the packages that people have: whenever a stream is opened, it says what is
stored. Where it would have to take text back it ends with the dialect's error, and the next stream says what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import anthropic
import httpx
import httpx2
import msgspec
import ollama
import openai
import pytest
from openai._models import construct_type
from openai.types.responses import Response

from api.dialects.anthropic_messages import MessageFrames
from api.dialects.ollama_chat import ChatLines
from api.dialects.openai_chat import ChatFrames
from api.dialects.openai_response_frames import ResponseFrames
from api.dialects.openai_responses import Asked, ending_of, response_form
from api.sse import Frames
from parlor.model.messages import Event, FinishReason
from tests.unit.api.dialects.test_openai_response_frames import folded, items_of, parsed
from tests.unit.recorded_replies import SCRIPTS, RecordedReply

pytestmark = pytest.mark.unit

LOST, GONE = "The reply began anew; ask for it again", "The reply was deleted"
PIECES = {"message.delta": "text", "message.reasoning": "reasoning"}


class Shown(NamedTuple):
    """What a program has when a stream has ended."""

    text: str
    reasoning: str
    finish: str | None
    """None for a stream that did not say that the reply has ended."""
    error: str | None = None


Read = Callable[[bytes], Shown]


def read_openai(body: bytes) -> Shown:
    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=body)))
    text = reasoning = ""
    finish = error = None
    with openai.OpenAI(api_key="key", base_url="http://parlor/v1", http_client=http, max_retries=0) as client:
        asked: Any = {"model": "GPT4O", "messages": [], "stream": True}
        try:
            for choice in (choice for chunk in client.chat.completions.create(**asked) for choice in chunk.choices):
                text += choice.delta.content or ""
                reasoning += getattr(choice.delta, "reasoning_content", "")
                finish = choice.finish_reason
        except openai.APIError as failure:
            error = failure.message
    return Shown(text, reasoning, finish, error)


def read_anthropic(body: bytes) -> Shown:
    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=body)))
    texts, finish, error = {"text": "", "thinking": ""}, None, None
    with anthropic.Anthropic(api_key="key", base_url="http://parlor", http_client=http, max_retries=0) as client:
        asked: Any = {"model": "GPT4O", "messages": [], "max_tokens": 9}
        with client.messages.stream(**asked) as stream:
            try:
                for event in stream:
                    if event.type in ("text", "thinking"):
                        texts[event.type] += getattr(event, event.type)
                    elif event.type == "message_stop":
                        finish = event.message.stop_reason
                        blocks = event.message.content
                        assert texts == {kind: "".join(getattr(each, kind, "") for each in blocks) for kind in texts}
            except anthropic.APIStatusError as failure:
                error = failure.body["error"]["message"]  # type: ignore[index]
    return Shown(texts["text"], texts["thinking"], finish, error)


def read_ollama(body: bytes) -> Shown:
    client = ollama.Client("http://parlor", transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body)))
    text = reasoning = ""
    finish = error = None
    try:
        for line in client.chat("GPT4O", [], stream=True):
            text += line.message.content or ""
            reasoning += line.message.thinking or ""
            finish = line.done_reason
    except ollama.ResponseError as failure:
        error = failure.error
    return Shown(text, reasoning, finish, error)


class Dialect(NamedTuple):
    frames: Callable[[str], Frames]
    read: Read
    ends: dict[FinishReason, str]


DIALECTS = {
    "openai": Dialect(
        lambda reply_id: ChatFrames(reply_id, "GPT4O", 0, include_usage=True),
        read_openai,
        {FinishReason.STOP: "stop", FinishReason.STOPPED: "stop", FinishReason.LENGTH: "length"},
    ),
    "anthropic": Dialect(
        lambda reply_id: MessageFrames(reply_id, "GPT4O", thinking=True),
        read_anthropic,
        {FinishReason.STOP: "end_turn", FinishReason.STOPPED: "end_turn", FinishReason.LENGTH: "max_tokens"},
    ),
    "ollama": Dialect(
        lambda reply_id: ChatLines(reply_id, "GPT4O", 0, thinking=True),
        read_ollama,
        {FinishReason.STOP: "stop", FinishReason.STOPPED: "stop", FinishReason.LENGTH: "length"},
    ),
}

recorded = pytest.mark.parametrize("name", SCRIPTS)
dialects = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


def stream(dialect: Dialect, reply: RecordedReply, events: Sequence[Event]) -> list[bytes]:
    """What a reader gets of these events, piece by piece."""
    frames = dialect.frames(reply.reply_id)
    return [frames.opening, *(frames.write([event]) for event in events), frames.end("1-1", "")]


def stored(dialect: Dialect, reply: RecordedReply) -> Shown:
    """What a stream says in the end that loses nothing."""
    if reply.is_deleted:
        return Shown("", "", None, GONE)
    reason, parts = reply.message.finish_reason, reply.form["parts"]
    finish = dialect.ends.get(reason) if reason is not None else None
    error = None if finish is not None or reply.message.error is None else reply.message.error.detail
    reasoning = "".join(part["text"] for part in parts if part["type"] == "reasoning")
    return Shown(reply.message.content, reasoning, finish, error)


def lost(reply: RecordedReply, events: Sequence[Event]) -> Shown | None:
    """What a stream has said when it has to end because text would have to be taken back; None when it has not."""
    said = {"text": "", "reasoning": ""}
    for event in events:
        if event.message_id == reply.reply_id and event.type == "message.reset" and any(said.values()):
            return Shown(said["text"], said["reasoning"], None, LOST)
        if event.message_id == reply.reply_id and (kind := PIECES.get(event.type)) is not None:
            said[kind] += msgspec.json.decode(event.data)["text"]
    return None if not reply.is_deleted else Shown(said["text"], said["reasoning"], None, GONE)


@dialects
@recorded
def test_whenever_it_is_read_a_stream_says_what_is_stored_or_that_it_cannot(
    replies: dict[str, RecordedReply], dialect: Dialect, name: str
) -> None:
    reply = replies[name]
    ends = set[Shown]()
    for events in reply.views():
        found = dialect.read(b"".join(stream(dialect, reply, events)))
        assert found == (lost(reply, events) or stored(dialect, reply))
        ends.add(found)
    assert any(end.error == LOST for end in ends) == reply.resets
    if not reply.is_deleted:
        assert found == stored(dialect, reply), "who asks again is told"


@dialects
@recorded
def test_of_a_log_that_was_cut_the_end_tells_the_rest(
    replies: dict[str, RecordedReply], dialect: Dialect, name: str
) -> None:
    reply = replies[name]
    events = reply.seen_after(len(reply.events))
    for first in range(len(events)):
        found = dialect.read(b"".join(stream(dialect, reply, events[first:])))
        if not reply.is_deleted:
            assert found == stored(dialect, reply), f"from event {first} on"
        assert found.error == stored(dialect, reply).error


@dialects
@recorded
def test_a_stream_that_was_cut_does_not_look_whole(
    replies: dict[str, RecordedReply], dialect: Dialect, name: str
) -> None:
    reply = replies[name]
    pieces = [piece for piece in stream(dialect, reply, reply.seen_after(len(reply.events))) if piece]
    whole = dialect.read(b"".join(pieces))
    for cut in range(len(pieces)):
        found = dialect.read(b"".join(pieces[:cut]))
        assert (found.finish or None, found.error) == (None, None)
        assert (whole.text.startswith(found.text), whole.reasoning.startswith(found.reasoning)) == (True, True)


@recorded
def test_responses_go_on_behind_every_event(replies: dict[str, RecordedReply], name: str) -> None:
    """As long as nothing is taken back; then they end as failed, and a new stream says what is stored."""
    reply = replies[name]
    asked = Asked("GPT4O", reply.reply_id, 1000, reply.message.room_id)
    ending: Any = construct_type(type_=Response, value=response_form(asked, ending_of(reply.form)))
    for events in reply.views():
        whole = parsed(ResponseFrames(asked).write(events))
        items, _ = folded(whole)
        last: Any = whole[-1]
        if (cut := lost(reply, events)) is None:
            assert items == items_of(last.response) == items_of(ending)
        else:
            assert last.type == "response.failed"
            assert "".join(text for kind, text in items if kind == "message") == cut.text
        for known in range(1, len(whole)):
            rest = parsed(ResponseFrames(asked, whole[known - 1].sequence_number).write(events))
            assert whole[:known] + rest == whole
    assert reply.is_deleted or items == items_of(ending)
