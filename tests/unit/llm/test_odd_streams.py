"""Streams that proxies and servers frame in ways of their own."""

from __future__ import annotations

import json

import pytest

from parlor.errors import LlmError
from parlor.llm.answer import AnswerParser
from parlor.llm.ports import Completion
from parlor.model.messages import FinishReason, Usage
from tests.unit.llm.bodies import delta, read, run, sse, text_of

pytestmark = pytest.mark.unit

STOP = FinishReason.STOP


def choice(**fields: object) -> dict[str, object]:
    return {"choices": [fields]}


def line(chunk: object) -> bytes:
    return json.dumps(chunk).encode()


ONE, TWO = line(delta("one ")), line(delta("two", "stop"))


@pytest.mark.parametrize(
    "body",
    [
        b"data: data: " + ONE + b"\n\ndata: data: " + TWO + b"\n\ndata: data: [DONE]\n\n",
        b"DATA: " + ONE + b"\n\nData:" + TWO + b"\n\n",
        b"  data: " + ONE + b"\n\n\tdata: " + TWO + b"\n\n",
        b"data : " + ONE + b"\n\ndata :" + TWO + b"\n\n",
        b"\xef\xbb\xbfdata: " + ONE + b"\n\n\xef\xbb\xbfdata: " + TWO + b"\n\n",
        b"data: " + ONE + b"\n\nevent: heartbeat\ndata: 2026-01-01 12:00\n\ndata: " + TWO + b"\n\n",
        b"event: ping\ndata: ping\n\ndata: " + ONE + b"\n\ndata: " + TWO + b"\n\n",
        ONE + b"\n" + TWO + b"\n",
    ],
)
@pytest.mark.parametrize("size", [1, 2**20])
def test_text_is_found_however_it_is_framed(body: bytes, size: int) -> None:
    assert read(body, size) == ("one two", Completion(STOP, None))


@pytest.mark.parametrize("end", ['"[DONE]"', "[done]", " [DONE]"])
def test_the_end_is_known_however_it_is_written(end: str) -> None:
    assert run(delta("x"), end) == ("x", Completion(STOP, None))


@pytest.mark.parametrize(
    "last",
    [
        choice(delta=[], finish_reason="stop"),  # PHP writes an empty object so
        choice(delta=None, message=[], finish_reason="stop"),
        choice(delta={"content": False}, finish_reason="stop"),
        choice(delta={"content": {}}, finish_reason="stop"),
        choice(finish_reason="FINISH_REASON_STOP"),
    ],
)
def test_an_end_without_anything_is_an_end(last: object) -> None:
    usage = {"choices": {}, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    assert run(delta("x"), last, usage) == ("x", Completion(STOP, Usage(3, 1)))


@pytest.mark.parametrize(
    "only",
    [
        choice(index=0, text="All of it", finish_reason="stop"),
        choice(delta={}, message={"content": "All of it"}, finish_reason="stop"),
        choice(delta={"role": "assistant", "content": ""}, message={"content": "All of it"}, finish_reason="stop"),
    ],
)
def test_text_is_found_beside_an_empty_delta(only: object) -> None:
    assert run(only) == read(line(only)) == ("All of it", Completion(STOP, None))


@pytest.mark.parametrize("field", ["created", "index", "usage"])
def test_a_number_of_thousands_of_digits_is_no_reason_to_lose_the_text(field: str) -> None:
    digits = b"9" * 5000
    value = b'{"prompt_tokens":%b}' % digits if field == "usage" else digits
    # The lone surrogate is what sends the chunk to the slower decoder.
    side = b'"choices":[{"delta":{"content":"x\\ud800"}}]'
    assert read(b'data: {"%b":%b,%b}\n\n' % (field.encode(), value, side) + sse(delta(None, "stop")))[0] == "x\ufffd"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("max_output_tokens", FinishReason.LENGTH),
        ("token_limit", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("repetition", FinishReason.LENGTH),
        ("PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("content_filtered", FinishReason.CONTENT_FILTER),
        ("guardrail_intervened", FinishReason.CONTENT_FILTER),
        ("ERROR_TOXIC", FinishReason.CONTENT_FILTER),
        ("IMAGE_SAFETY", FinishReason.CONTENT_FILTER),
        ("FINISH_REASON_SPII", FinishReason.CONTENT_FILTER),
        ("end_of_turn", STOP),
        ("done", STOP),
    ],
)
def test_an_answer_that_was_cut_short_does_not_look_whole_behind_a_new_reason(
    finish: str, reason: FinishReason
) -> None:
    assert run(delta("x"), delta(None, finish), "[DONE]") == ("x", Completion(reason, None))


@pytest.mark.parametrize("finish", ["cancelled", "timeout", "MALFORMED_FUNCTION_CALL", "ERROR", "failed"])
def test_a_new_reason_that_says_that_it_failed_is_an_error(finish: str) -> None:
    with pytest.raises(LlmError, match="reported an error"):
        run(delta("x"), delta(None, finish), "[DONE]")


@pytest.mark.parametrize(
    "error",
    [
        b'data: [{"error":{"code":429,"message":"secret"}}]\n\n',  # Google
        b'{\n  "error": {\n    "code": 429,\n    "message": "secret"\n  }\n}\n',
        b'data: {"choices":[{"delta":{},"error":{"code":429,"message":"secret"},"finish_reason":"error"}]}\n\n',
    ],
)
@pytest.mark.parametrize("before", [b"", sse(delta("so far"))])
def test_an_error_that_is_written_in_another_way_says_what_it_is(error: bytes, before: bytes) -> None:
    with pytest.raises(LlmError, match="too many requests"):
        read(before + error + b"\n")


def test_an_array_with_an_error_is_one() -> None:
    with pytest.raises(LlmError, match="too many requests"):
        read(b'[{\n  "error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}\n}\n]', 1)


@pytest.mark.parametrize("code", ["content_filter", "data_inspection_failed"])
def test_a_filter_that_ends_an_answer_by_an_error_ends_it_as_a_filter(code: str) -> None:
    text, end = run(delta("so far"), {"error": {"code": code, "message": "m"}}, delta("never"))
    assert (text, end.finish_reason) == ("so far", FinishReason.CONTENT_FILTER)


def test_lines_of_documents_that_break_off_are_no_whole_answer() -> None:
    body = ONE + b"\n" + line(delta("more")) + b"\n" + TWO
    for cut in range(len(body) - 2):
        answer = AnswerParser()
        assert "one more".startswith(text_of([*answer.feed(body[:cut]), *answer.close()]))
        with pytest.raises(LlmError, match="broke off"):
            answer.completion()


@pytest.mark.parametrize("thought", [{"thinking": "hm"}, {"reasoning_details": [{"type": "reasoning.encrypted"}]}])
def test_reasoning_has_many_names(thought: dict[str, object]) -> None:
    answer = AnswerParser()
    answer.feed(sse(choice(delta={"content": "", **thought})))
    assert answer.tokens == 1
