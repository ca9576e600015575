"""What the parser accepts in an answer's stream, and what it refuses."""

from __future__ import annotations

import pytest

from parlor.errors import AnswerEmpty, AnswerFiltered, AnswerOnlyReasoning, LlmError
from parlor.llm.answer import AnswerParser
from parlor.llm.ports import Completion
from parlor.llm.sse import BODY_MAX
from parlor.model.messages import FinishReason, Usage
from tests.unit.llm.bodies import delta, read, run, said, sse, text_of, whole

pytestmark = pytest.mark.unit


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
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("tool_calls", FinishReason.STOP),
        ("eos", FinishReason.STOP),
        ("eos_token", FinishReason.STOP),  # TGI
        ("stop_sequence", FinishReason.STOP),
        ("model_length", FinishReason.LENGTH),  # Mistral
        ("end_turn", FinishReason.STOP),  # Anthropic
        ("MAX_TOKENS", FinishReason.LENGTH),  # Google
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("sensitive", FinishReason.CONTENT_FILTER),  # Z.ai
    ],
)
def test_a_known_finish_reason_ends_an_answer_with_text(finish: str, expected: FinishReason) -> None:
    assert run(delta("x"), delta(None, finish))[1].finish_reason is expected
    assert run(delta("x", finish), "[DONE]")[1].finish_reason is expected


@pytest.mark.parametrize("finish", ["", "null", "unheard_of", 5, True, {"type": "stop"}, ["stop"]])
def test_any_other_reason_ends_nothing(finish: object) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": finish}]}
    with pytest.raises(LlmError, match="broke off"):
        run(chunk, chunk)
    answer = AnswerParser()
    answer.feed(sse(chunk))
    assert not answer.finished
    assert run(chunk, chunk, "[DONE]") == ("xx", Completion(FinishReason.STOP, None))


@pytest.mark.parametrize("finish", ["error", "abort", "network_error", "insufficient_system_resource"])
def test_a_reason_that_says_that_the_server_failed_is_an_error(finish: str) -> None:
    with pytest.raises(LlmError, match="reported an error") as caught:
        run(delta("x"), delta(None, finish), "[DONE]")
    assert finish in caught.value.debug
    assert caught.value.extra["retryable"] is True


def test_a_reason_that_text_follows_was_none() -> None:
    hasty = [delta("one ", "stop"), delta("two", "stop")]
    with pytest.raises(LlmError, match="broke off"):
        run(delta("one ", "stop"), delta("two"))
    with pytest.raises(LlmError, match="broke off"):
        run(*hasty)
    assert run(*hasty, "[DONE]") == ("one two", Completion(FinishReason.STOP, None))
    assert run(*hasty, delta(None, "length")) == ("one two", Completion(FinishReason.LENGTH, None))


def test_a_reason_before_the_first_word_is_no_end_yet() -> None:
    thinking, talking = (AnswerParser() for _ in range(2))
    for answer in (thinking, talking):
        answer.feed(sse(delta(None, "stop", reasoning_content="hm")))
    assert not thinking.finished
    assert text_of(talking.feed(sse(delta("so"), delta(None, "stop")))) == "so"
    assert talking.finished
    assert talking.completion().finish_reason is FinishReason.STOP


# Answers that say nothing


@pytest.mark.parametrize(
    "chunks",
    [
        [delta("", "stop")],
        [delta("", role="assistant"), delta(None, "stop")],
        [delta(" \n\u200b\u00a0\ufeff", "stop")],
        [delta([{"type": "text", "text": ""}], "stop")],
        ["[DONE]"],
        [delta("", "length")],
    ],
)
def test_a_blank_answer_is_an_error_that_another_try_may_mend(chunks: list[object]) -> None:
    with pytest.raises(AnswerEmpty) as caught:
        run(*chunks, "[DONE]")
    assert caught.value.extra["retryable"] is True


THINKING = pytest.mark.parametrize(
    "thinking",
    [
        delta(None, reasoning_content="hm"),
        delta("", reasoning="hm"),
        delta([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
        delta("<think>hm"),
        delta("\n<THINK>hm</think>\n"),
        delta("<reasoning>hm</reasoning><think>hm</think> "),
    ],
)


@THINKING
def test_an_answer_that_is_nothing_but_reasoning_is_an_error_of_its_own(thinking: object) -> None:
    with pytest.raises(AnswerOnlyReasoning) as caught:
        run(thinking, delta(None, "stop"), "[DONE]")
    assert not caught.value.extra.get("retryable")


@THINKING
def test_an_answer_whose_reasoning_took_all_it_may_have_says_so(thinking: object) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    _, end = run(thinking, delta(None, "length"), usage, "[DONE]")
    assert end == Completion(FinishReason.REASONING_LIMIT, Usage(5, 2))


def test_an_answer_withheld_is_an_error_of_its_own() -> None:
    with pytest.raises(AnswerFiltered):
        run(delta(None, "content_filter"), "[DONE]")


@pytest.mark.parametrize("finish", ["tool_calls", "function_call"])
def test_a_call_of_a_tool_is_no_answer(finish: str) -> None:
    with pytest.raises(LlmError, match="asked for tools"):
        run(delta(None, finish), "[DONE]")


def test_a_refusal_is_text() -> None:
    assert run(delta(None, refusal="I will not."), delta(None, "stop"))[0] == "I will not."


def test_a_hidden_reasoning_is_a_sign_of_life_but_no_text() -> None:
    answer = AnswerParser()
    assert text_of(answer.feed(sse(delta(None, reasoning_content="hm"), delta(None, reasoning="hm")))) == ""
    assert answer.tokens == 2


def test_comments_and_role_chunks_are_no_tokens() -> None:
    answer = AnswerParser()
    assert text_of(answer.feed(b": keep-alive\n\n" + sse(delta("", role="assistant"), {"choices": None}, {}))) == ""
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
    assert text_of(answer.feed(sse(delta("so far")))) == "so far"
    with pytest.raises(LlmError) as caught:
        answer.feed(sse(error))
    assert "secret words" in caught.value.debug
    assert "secret words" not in caught.value.detail


def test_text_before_an_error_in_the_same_read_is_kept() -> None:
    answer = AnswerParser()
    assert text_of(answer.feed(sse(delta("so "), delta("far"), {"error": "late"}, delta("never")))) == "so far"
    with pytest.raises(LlmError, match="reported an error"):
        answer.check()


@pytest.mark.parametrize(
    ("code", "detail", "retryable"),
    [
        (502, "failed (HTTP 502)", True),
        ("429", "too many requests", True),
        (401, "refused the API key", False),
        ("context_length_exceeded", "too long", False),
        ("insufficient_quota", "used up", False),
        ("some_code", "reported an error", True),
    ],
)
def test_a_code_in_an_error_object_says_what_it_is(code: object, detail: str, retryable: bool) -> None:
    with pytest.raises(LlmError) as caught:
        run({"choices": [], "error": {"code": code, "message": "m"}})
    assert detail in caught.value.detail
    assert caught.value.extra["retryable"] is retryable


@pytest.mark.parametrize(
    "event",
    [
        b'event: error\ndata: {"message":"secret words"}',
        b"event: error\ndata: secret words",
        b'error: {"code":500,"message":"secret words"}',
        b'{"error":{"message":"secret words"}}',
        b'data: {"type":"error","error":{"message":"secret words"}}',
        b'data: {"choices":[{"delta":{"content":""},"finish_reason":"error"}],"error":{"message":"secret words"}}',
    ],
)
def test_an_error_is_one_however_it_is_framed(event: bytes) -> None:
    answer = AnswerParser()
    assert text_of(answer.feed(sse(delta("so far")) + event + b"\n\n")) == "so far"
    with pytest.raises(LlmError) as caught:
        answer.check()
    assert "secret words" in caught.value.debug
    assert "secret words" not in caught.value.detail


@pytest.mark.parametrize("nothing", [None, {}, "", []])
def test_an_empty_error_field_is_no_error(nothing: object) -> None:
    assert run({**delta("x", "stop"), "error": nothing})[0] == "x"


GARBAGE = ["{", '{"choices": 5}', '{"choices":[{"delta":{"content":5}}]}', "[]", "\udcff", '{"choices":[null]}', "7"]


@pytest.mark.parametrize("garbage", [*GARBAGE, '{"choices":[{"delta":"x"}]}', '{"a":' * 100_000])
def test_what_is_no_chunk_is_an_error(garbage: str) -> None:
    answer = AnswerParser()
    body = sse(delta("x")) + b"data: %b\n\n" % garbage.encode(errors="surrogateescape")
    assert text_of(answer.feed(body + sse(delta("y", "stop"), "[DONE]"))) == "x"
    with pytest.raises(LlmError, match="not understood"):
        answer.check()


def test_an_endless_line_is_an_error() -> None:
    answer = AnswerParser()
    for _ in range(BODY_MAX // 2**20):
        answer.feed(b"x" * 2**20)
    with pytest.raises(LlmError, match="not understood"):
        answer.feed(b"x")


def test_a_very_long_line_is_text() -> None:
    text = "\U0001f642" * 300_000
    assert read(sse(delta(text, "stop")), 2**16)[0] == text


BEATS = [
    b"data:",
    b"data: ",
    b"data",
    b": ping",
    b"event: ping",
    b"",
    b"event: ping\ndata: ",
    b"data: null",
    b"data: {}",
]


@pytest.mark.parametrize("beat", BEATS)
def test_what_keeps_a_connection_open_is_no_answer(beat: bytes) -> None:
    beats = (beat + b"\n\n") * 2
    body = beats + sse(delta("one ")) + beats + sse(delta("two", "stop")) + beats
    assert read(body, 3) == ("one two", Completion(FinishReason.STOP, None))
    answer = AnswerParser()
    assert (answer.feed(beats), answer.tokens) == ([], 0)


def test_events_a_single_line_end_apart_are_read_as_they_come() -> None:
    lines = sse(delta("one "), delta("two "), delta("three"), delta(None, "stop"), "[DONE]").replace(b"\n\n", b"\n")
    assert read(lines) == read(lines, 1) == ("one two three", Completion(FinishReason.STOP, None))
    answer = AnswerParser()
    pieces = [text_of(answer.feed(line)) for line in lines.splitlines(keepends=True)]
    assert pieces[:3] == ["", "one two ", "three"]


def test_a_line_that_is_odd_does_not_hide_the_ones_around_it() -> None:
    lines = said(rb"\ud83d", b"x", b"y").replace(b"\n\n", b"\n")
    assert read(lines)[0] == "\ufffdxy"


# What kind of body it is


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\r\n ", b"\xef\xbb\xbf\n"])
def test_an_answer_in_one_piece_is_used(before: bytes) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    body = before + whole("All of it\n\ndata: x", usage=usage) + b"\n"
    for size in (1, 2**20):
        assert read(body, size) == ("All of it\n\ndata: x", Completion(FinishReason.STOP, Usage(3, 1)))


def test_an_answer_in_one_piece_ends_as_it_says() -> None:
    assert read(whole("x", "length"))[1].finish_reason is FinishReason.LENGTH
    assert read(whole("x", None))[1].finish_reason is FinishReason.STOP  # the document is whole
    with pytest.raises(AnswerEmpty):
        read(whole(""))


def test_an_answer_in_one_piece_that_was_cut_is_an_error() -> None:
    body = whole("All of it")
    for end in range(1, len(body)):
        answer = AnswerParser()
        assert text_of(answer.feed(body[:end]) + answer.close()) == ""
        with pytest.raises(LlmError, match="broke off"):
            answer.completion()


def test_an_error_in_one_piece_is_an_error() -> None:
    with pytest.raises(LlmError, match="reported an error"):
        read(b'{"error":{"message":"model is loading","type":"server_error"}}')


@pytest.mark.parametrize("body", [b'{"detail":"Not Found"}', b"{}", b'{"choices":[]}'])
def test_another_document_is_no_answer(body: bytes) -> None:
    with pytest.raises(LlmError, match="did not answer with a completion"):
        read(body)


@pytest.mark.parametrize("body", [b"<html>", b"\n<!doctype html>", b"\xef\xbb\xbf<html>"])
def test_a_web_page_is_no_answer(body: bytes) -> None:
    with pytest.raises(LlmError, match="did not answer with a stream"):
        read(body, 1)


@pytest.mark.parametrize("body", [b"", b"\n", b"\xef\xbb", b"upstream connect error"])
def test_a_body_without_an_answer_broke_off(body: bytes) -> None:
    with pytest.raises(LlmError, match="broke off") as caught:
        read(body)
    assert caught.value.extra["retryable"] is True


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_stream_may_begin_with_a_byte_order_mark(mark: bytes) -> None:
    assert read(mark + sse(delta("x", "stop")), 1)[0] == "x"


def test_a_message_in_a_stream_is_the_text_unless_it_came_in_deltas() -> None:
    message = {"choices": [{"index": 0, "message": {"content": "All of it"}, "finish_reason": "stop"}]}
    assert run(message)[0] == "All of it"
    assert run(delta("All "), delta("of it"), message)[0] == "All of it"


def test_what_is_cut_off_behind_the_end_is_not_missed() -> None:
    usage = sse({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})
    assert read(sse(delta("x", "stop")) + usage[:30]) == ("x", Completion(FinishReason.STOP, None))
