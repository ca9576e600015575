"""What the parser accepts in an answer's stream, and what it refuses."""

from __future__ import annotations

import json

import pytest

from parlor.errors import LlmError
from parlor.llm.answer import AnswerParser
from parlor.llm.ports import Completion
from parlor.model import FinishReason, Usage

pytestmark = pytest.mark.unit


def sse(*chunks: object) -> bytes:
    return b"".join(
        b"data: %b\n\n" % (chunk.encode() if isinstance(chunk, str) else json.dumps(chunk).encode()) for chunk in chunks
    )


def delta(content: object, finish: str | None = None, **more: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}], "new_field": 1}


def run(*chunks: object) -> tuple[str, Completion]:
    answer = AnswerParser()
    text = answer.feed(sse(*chunks)) + answer.close()
    return text, answer.completion()


def test_texts_finish_and_usage_are_found() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}
    text, completion = run(delta(""), delta("Hel"), delta("lo"), delta(None, "stop"), usage, "[DONE]")
    assert text == "Hello"
    assert completion == Completion(FinishReason.STOP, Usage(5, 2))


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.STOP),
        ("tool_calls", FinishReason.STOP),
        ("eos", FinishReason.STOP),
    ],
)
def test_every_finish_reason_ends_an_answer_with_text(finish: str, expected: FinishReason) -> None:
    assert run(delta("x"), delta(None, finish), "[DONE]")[1].finish_reason is expected


@pytest.mark.parametrize("finish", ["content_filter", "tool_calls", "function_call"])
def test_an_answer_withheld_is_an_error_and_not_an_empty_reply(finish: str) -> None:
    with pytest.raises(LlmError) as caught:
        run(delta(None, finish), "[DONE]")
    assert caught.value.extra["retryable"] is False


def test_an_empty_answer_is_an_answer() -> None:
    assert run(delta("", "stop"), "[DONE]") == ("", Completion(FinishReason.STOP, None))


def test_a_refusal_is_text() -> None:
    assert run(delta(None, refusal="I will not."), delta(None, "stop"))[0] == "I will not."


def test_a_hidden_reasoning_is_a_sign_of_life_but_no_text() -> None:
    answer = AnswerParser()
    assert answer.feed(sse(delta(None, reasoning_content="hm"), delta(None, reasoning="hm"))) == ""
    assert answer.tokens == 2


def test_comments_and_role_chunks_are_no_tokens() -> None:
    answer = AnswerParser()
    assert answer.feed(b": keep-alive\n\n" + sse(delta("", role="assistant"), {"choices": None}, {})) == ""
    assert answer.tokens == 0


def test_the_last_usage_counts() -> None:
    def counted(content: str, tokens: int) -> dict[str, object]:
        return {**delta(content), "usage": {"prompt_tokens": 3, "completion_tokens": tokens}}

    assert run(counted("a", 1), counted("b", 2), "[DONE]")[1].usage == Usage(3, 2)


def test_done_without_a_finish_reason_is_an_end() -> None:
    assert run(delta("x"), "[DONE]") == ("x", Completion(FinishReason.STOP, None))


def test_a_finish_reason_without_done_is_an_end() -> None:
    assert run(delta("x"), delta(None, "length")) == ("x", Completion(FinishReason.LENGTH, None))


def test_what_follows_done_is_ignored() -> None:
    assert run(delta("x", "stop"), "[DONE]", "not json")[0] == "x"


def test_an_answer_that_breaks_off_is_never_complete() -> None:
    with pytest.raises(LlmError, match="broke off") as caught:
        run(delta("half an ans"))
    assert caught.value.extra["retryable"] is True


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "secret words", "type": "server_error", "code": None}},
        {"error": "secret words"},
        {"object": "error", "message": "secret words", "code": 500},
    ],
)
def test_an_error_object_in_the_stream_is_an_error(error: dict[str, object]) -> None:
    answer = AnswerParser()
    assert answer.feed(sse(delta("so far"))) == "so far"
    with pytest.raises(LlmError) as caught:
        answer.feed(sse(error))
    assert "secret words" in caught.value.debug
    assert "secret words" not in caught.value.detail


def test_text_before_an_error_in_the_same_read_is_kept() -> None:
    answer = AnswerParser()
    assert answer.feed(sse(delta("so "), delta("far"), {"error": "late"}, delta("never"))) == "so far"
    with pytest.raises(LlmError, match="reported an error"):
        answer.check()


@pytest.mark.parametrize("garbage", ["{", '{"choices": 5}', '{"choices":[{"delta":{"content":5}}]}', "[]", "\udcff"])
def test_what_is_no_chunk_is_an_error(garbage: str) -> None:
    with pytest.raises(LlmError, match="not understood"):
        AnswerParser().feed(b"data: %b\n\n" % garbage.encode(errors="surrogateescape"))


def test_a_line_without_end_is_an_error() -> None:
    with pytest.raises(LlmError, match="not understood"):
        AnswerParser().feed(b"x" * 2_000_000)
