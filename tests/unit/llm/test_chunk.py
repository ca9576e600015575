"""What is understood of chunks that are not as OpenAI's protocol says."""

from __future__ import annotations

import pytest

from parlor.llm.ports import Completion
from parlor.model.messages import FinishReason, Usage
from tests.unit.llm.bodies import delta, read, run, said

pytestmark = pytest.mark.unit

# Bytes and characters


HALVES = [rb"\ud83d", rb"\ude42"]


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        ([b"a\xffb\xe6\xb1"], "a\ufffdb\ufffd"),
        ([rb"a\ud83db"], "a\ufffdb"),
        ([rb"a\ude42b"], "a\ufffdb"),
        ([b"".join(HALVES)], "\U0001f642"),
        (HALVES, "\U0001f642"),
        ([b"", *HALVES, b""], "\U0001f642"),
        ([b"smile ", *HALVES, b" end"], "smile \U0001f642 end"),
        ([HALVES[0], b"", b"x"], "\ufffdx"),
        ([b"x", HALVES[0]], "x\ufffd"),
        ([HALVES[1], HALVES[0]], "\ufffd\ufffd"),
        ([rb"a\u0000b"], "a\ufffdb"),
        ([b"a\nb\x01\x00"], "a\nb\x01\ufffd"),
        (["👨‍👩‍👧 한글 ́e".encode()], "👨‍👩‍👧 한글 ́e"),
    ],
)
def test_what_is_no_text_becomes_a_replacement_character(contents: list[bytes], text: str) -> None:
    # A raw line break ends the line of an event stream, so it only ever comes in a body of one piece.
    if b"\n" not in contents[0]:
        assert read(said(*contents))[0] == text
        assert read(said(*contents), 1)[0] == text
    whole = b'{"choices":[{"message":{"content":"%b"},"finish_reason":"stop"}]}' % b"".join(contents)
    assert read(whole)[0].replace("\ufffd", "") == text.replace("\ufffd", "")


# Side fields

COUNTS: list[object] = [None, {}, [], "many", -1, 1e30, True, float("nan"), 2**70, "12x"]


@pytest.mark.parametrize("count", COUNTS)
def test_a_count_that_is_none_leaves_text_and_earlier_counts_alone(count: object) -> None:
    before = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    odd = {"choices": [], "usage": {"prompt_tokens": count, "completion_tokens": count, "details": {"a": count}}}
    assert run(delta("x"), delta(None, "stop"), odd, "[DONE]") == ("x", Completion(FinishReason.STOP, None))
    assert run(before, delta("x", "stop"), odd)[1].usage == Usage(5, 2)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": "7", "completion_tokens": 2.0}, Usage(7, 2)),
        ({"input_tokens": 7, "output_tokens": 2}, Usage(7, 2)),
        ({"prompt_tokens": 7}, Usage(7, 0)),
        ({"prompt_tokens": 7, "completion_tokens": None}, Usage(7, 0)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"prompt_tokens_details": {"cached_tokens": 0}}, None),
        ("none", None),
        ([1], None),
    ],
)
def test_counts_are_found_as_far_as_they_are_there(usage: object, counted: Usage | None) -> None:
    assert run(delta("x", "stop"), {"usage": usage}, "[DONE]")[1].usage == counted


@pytest.mark.parametrize("field", ["role", "tool_calls", "reasoning_content", "refusal", "name", "audio"])
@pytest.mark.parametrize("value", [None, 5, "", {}, [1], 1e999, float("nan")])
def test_a_side_field_never_fails_the_text(field: str, value: object) -> None:
    chunk = delta("x", None, **{field: value})
    assert run({**chunk, "id": value, "created": value}, delta(None, "stop"))[0] == "x"


def test_content_may_be_a_list_of_parts() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    parts = [thought, {"type": "text", "text": "The "}, "answer", {"type": "reference", "reference_ids": [1]}]
    text, completion = run(delta([thought]), delta(parts), delta({"type": "text", "text": "."}), delta(None, "stop"))
    assert (text, completion.finish_reason) == ("The answer.", FinishReason.STOP)


@pytest.mark.parametrize("index", [1, 2, "1", 1.0])
def test_another_choice_is_not_mixed_in(index: object) -> None:
    def other(text: str, finish: str | None = None) -> dict[str, object]:
        return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}

    both = {"choices": [*delta("apple")["choices"], *other("SKY")["choices"]]}  # type: ignore[misc]
    chunks = [delta("red "), other("BLUE ", "stop"), both, other("", "length"), delta(None, "stop")]
    assert run(*chunks) == ("red apple", Completion(FinishReason.STOP, None))


@pytest.mark.parametrize("index", [None, "0", 0.0, "none", {}])
def test_a_choice_without_an_index_is_the_one(index: object) -> None:
    assert run({"choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": "stop"}]})[0] == "x"
