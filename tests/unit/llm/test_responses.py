"""OpenAI's Responses API upstream: what is asked, and answers as they come, cut at every byte."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest

from demo_model.http import Connection, Request
from parlor.clock import SystemClock
from parlor.errors import AnswerEmpty, AnswerFiltered, AnswerOnlyReasoning, LlmError
from parlor.llm.ports import Completion, Context, Part, Persona, PromptTurn, ReasoningDelta, TextDelta
from parlor.llm.responses import ResponseParser, request_body
from parlor.llm.upstream import Upstream
from parlor.model.files import PromptImage
from parlor.model.messages import FinishReason, Usage
from parlor.model.offers import AnswerForm, OfferedTool, ToolChoice
from parlor.model.tools import AskedCall, PromptCall
from parlor.settings import LlmSettings
from tests.unit.llm.service_fixture import KEY, server_of

pytestmark = pytest.mark.unit

PERSONA = Persona("P", "t", "d", "Be kind.", "m", temperature=0.5, max_tokens=9)
COUNTED = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
CALL = {"type": "function_call", "id": "fc", "call_id": "c", "name": "clock", "arguments": '{"a":1}'}
SAYS = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}


def delta(text: str, kind: str = "output_text") -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "item_id": "i", "output_index": 0, "content_index": 0, "delta": text}


def ended(status: str = "completed", **more: Any) -> dict[str, Any]:
    response = {"object": "response", "status": status, "usage": COUNTED, "output": [], **more}
    return {"type": f"response.{status}", "response": response}


def incomplete(reason: str) -> dict[str, Any]:
    return ended("incomplete", incomplete_details={"reason": reason})


CREATED = {"type": "response.created", "response": {"object": "response", "status": "in_progress", "usage": None}}
CALLED = {"type": "response.output_item.done", "output_index": 0, "item": CALL}


def sse(*events: object) -> bytes:
    return b"".join(
        f"event: {event['type'] if isinstance(event, dict) else ''}\ndata: {json.dumps(event)}\n\n".encode()
        for event in events
    )


def parsed(body: bytes, size: int = 2**30, *, tools: bool = True) -> tuple[list[Part], ResponseParser]:
    answer = ResponseParser(tools=tools)
    parts: list[Part] = []
    for at in range(0, len(body), size):
        parts += answer.feed(body[at : at + size])
        answer.check()
    parts += answer.close()
    answer.check()
    return parts, answer


def text_of(parts: list[Part], kind: type[TextDelta | ReasoningDelta] = TextDelta) -> str:
    return "".join(part.text for part in parts if isinstance(part, kind))


@pytest.mark.parametrize("size", [1, 2, 7, 2**30])
def test_an_answer_is_its_deltas_and_its_end(size: int) -> None:
    body = sse(CREATED, delta("Hm", "reasoning_summary_text"), delta("Grüße "), delta("\ud83d\ude00"), ended())
    parts, answer = parsed(body, size)
    assert (text_of(parts), text_of(parts, ReasoningDelta)) == ("Grüße 😀", "Hm")
    assert answer.completion() == Completion(FinishReason.STOP, Usage(7, 2))


@pytest.mark.parametrize(
    ("events", "completion"),
    [
        ([delta("x"), incomplete("max_output_tokens")], Completion(FinishReason.LENGTH, Usage(7, 2))),
        ([delta("x"), incomplete("content_filter")], Completion(FinishReason.CONTENT_FILTER, Usage(7, 2))),
        (
            [delta("Hm", "reasoning_text"), incomplete("max_output_tokens")],
            Completion(FinishReason.REASONING_LIMIT, Usage(7, 2)),
        ),
        ([CALLED, ended()], Completion(FinishReason.STOP, Usage(7, 2), (AskedCall("clock", '{"a":1}'),))),
        ([delta("x"), ended(usage=None)], Completion(FinishReason.STOP, None)),
        ([ended(output=[SAYS])], Completion(FinishReason.STOP, Usage(7, 2))),
        ([ended(output=[CALL])], Completion(FinishReason.STOP, Usage(7, 2), (AskedCall("clock", '{"a":1}'),))),
        ([delta("No", "refusal"), ended()], Completion(FinishReason.STOP, Usage(7, 2))),
        ([delta("x"), CALLED, incomplete("max_output_tokens")], Completion(FinishReason.LENGTH, Usage(7, 2))),
    ],
)
def test_how_an_answer_ends(events: list[object], completion: Completion) -> None:
    assert parsed(sse(CREATED, *events))[1].completion() == completion


@pytest.mark.parametrize(
    ("events", "error"),
    [
        ([delta("x")], LlmError),
        ([], LlmError),
        ([ended()], AnswerEmpty),
        ([delta(" \n"), ended()], AnswerEmpty),
        ([delta("Hm", "reasoning_text"), ended()], AnswerOnlyReasoning),
        ([incomplete("content_filter")], AnswerFiltered),
        ([{"type": "error", "code": "server_error", "message": "oh"}], LlmError),
        ([ended("failed", error={"code": "server_error", "message": "oh"})], LlmError),
        ([delta("x"), ended("cancelled")], LlmError),
        ([delta("x"), {"type": "response.completed"}], LlmError),
        (["no object"], LlmError),
    ],
)
def test_what_is_no_answer_is_an_error(events: list[object], error: type[LlmError]) -> None:
    with pytest.raises(error):
        parsed(sse(*events))[1].completion()


def test_a_stream_that_is_cut_at_any_byte_is_never_whole() -> None:
    body = sse(CREATED, delta("Hello "), delta("you"), ended())
    for size in range(len(body) - len(sse(ended())) + 1, len(body) - 2):
        parts, answer = parsed(body[:size])
        assert "Hello you".startswith(text_of(parts))
        with pytest.raises(LlmError, match="broke off"):
            answer.completion()


def test_calls_of_a_model_that_was_offered_nothing_are_no_answer() -> None:
    with pytest.raises(LlmError, match="asked for tools"):
        parsed(sse(CALLED, ended()), tools=False)[1].completion()


def test_an_answer_in_one_piece_is_an_answer() -> None:
    parts, answer = parsed(json.dumps(ended(output=[SAYS])["response"]).encode(), 10)
    assert (text_of(parts), answer.completion()) == ("Hello", Completion(FinishReason.STOP, Usage(7, 2)))
    with pytest.raises(LlmError, match="did not answer with a response"):
        parsed(b'{"object": "chat.completion"}')
    with pytest.raises(LlmError, match="reported an error"):
        parsed(b'{"error": {"message": "oh"}}')


def test_the_request_is_the_prompt() -> None:
    tool = OfferedTool("clock", "Tells the time", {"type": "object"})
    turns = [
        PromptTurn("system", "Be kind."),
        PromptTurn("user", "See", images=(PromptImage("image/png", b"x"),)),
        PromptTurn("assistant", "Well", calls=(PromptCall("c", "clock", "{}"),)),
        PromptTurn("tool", "noon", call_id="c"),
        PromptTurn("assistant", "", calls=(PromptCall("d", "clock", "{}"),)),
    ]
    context = Context(turns, 1, 0, tools=(tool,), tool_choice=ToolChoice("named", "clock"), form=AnswerForm({}, "n"))
    body = request_body(PERSONA, context, frozenset())
    assert body["input"] == [
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "See"},
                {"type": "input_image", "image_url": "data:image/png;base64,eA==", "detail": "auto"},
            ],
        },
        {"role": "assistant", "content": "Well"},
        {"type": "function_call", "call_id": "c", "name": "clock", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "noon"},
        {"type": "function_call", "call_id": "d", "name": "clock", "arguments": "{}"},
    ]
    described = {"name": "clock", "description": "Tells the time", "parameters": {"type": "object"}}
    assert body["tools"] == [{"type": "function", **described, "strict": False}]
    assert body["tool_choice"] == {"type": "function", "name": "clock"}
    assert body["text"] == {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": False}}
    assert (body["store"], body["max_output_tokens"], body["temperature"]) == (False, 9, 0.5)
    least = request_body(PERSONA, Context(turns[:1], 1, 0), frozenset({"max_output_tokens", "temperature"}))
    assert least.keys() == {"model", "input", "stream", "store"}


async def answered(url: str) -> AsyncIterator[Part]:
    model = Upstream(LlmSettings(base_url=url, api="responses"), KEY, SystemClock())
    try:
        context = Context([PromptTurn("user", "Hello")], 1, 0)
        async for part in model.answer(PERSONA, context, SystemClock().monotonic() + 60):
            yield part
    finally:
        await model.close()


async def test_a_server_is_asked_at_its_path_and_what_it_refuses_is_left_out() -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    async def handle(request: Request, connection: Connection) -> None:
        body = json.loads(request.body)
        asked.append((request.path, body))
        if "temperature" in body:
            refusal = {"error": {"message": "Unsupported parameter: temperature", "param": "temperature"}}
            connection.respond(HTTPStatus.BAD_REQUEST, json.dumps(refusal).encode(), {})
            return
        connection.respond(HTTPStatus.OK, sse(CREATED, delta("Hi"), ended()), {"Content-Type": "text/event-stream"})

    async with server_of(handle) as url:
        parts = [part async for part in answered(url)]
    assert parts == [TextDelta("Hi"), Usage(7, 2), Completion(FinishReason.STOP, Usage(7, 2))]
    assert [path for path, _ in asked] == ["/v1/responses"] * 2
    assert "temperature" not in asked[1][1]
    assert asked[1][1]["max_output_tokens"] == 9


async def test_a_failure_in_the_middle_follows_the_text() -> None:
    async def handle(request: Request, connection: Connection) -> None:
        del request
        body = sse(delta("Hi"), {"type": "error", "code": "server_error", "message": "oh"})
        connection.respond(HTTPStatus.OK, body, {"Content-Type": "text/event-stream"})

    heard: list[Part] = []

    async def listen(url: str) -> None:
        async for part in answered(url):
            heard.append(part)  # noqa: PERF401 - what came before the failure counts

    async with server_of(handle) as url:
        with pytest.raises(LlmError, match="reported an error"):
            await listen(url)
    assert heard == [TextDelta("Hi")]


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2**20])
def test_what_stands_before_the_first_event_hides_nothing(mark: bytes, size: int) -> None:
    parts, answer = parsed(mark + sse(CREATED, delta("Hello"), ended()), size)
    assert (parts, answer.done) == ([TextDelta("Hello")], True)


@pytest.mark.parametrize(
    "usage", [{"input_tokens": 10**30, "output_tokens": -1}, {"input_tokens": None}, [], {"input_tokens": 0.5e400}]
)
def test_counts_that_cannot_be_are_none(usage: object) -> None:
    _, answer = parsed(sse(delta("Hello"), ended(usage=usage)))
    assert answer.completion() == Completion(FinishReason.STOP, None)


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    body = sse(delta("a?b"), ended()).replace(b"?", b"\xff")
    assert parsed(body)[0] == [TextDelta("a\ufffdb")]


def test_a_web_page_is_no_response() -> None:
    with pytest.raises(LlmError, match="did not answer with a stream"):
        parsed(b"\n<!doctype html>", 1)
