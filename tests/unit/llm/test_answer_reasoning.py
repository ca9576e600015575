"""Reasoning in an answer: where servers put it, and in which order it comes."""

from __future__ import annotations

import json

import pytest

from parlor.llm.answer import AnswerParser
from parlor.llm.ports import Piece, ReasoningDelta, TextDelta
from tests.unit.llm.bodies import delta, sse

pytestmark = pytest.mark.unit


def pieces_of(*chunks: object) -> list[Piece]:
    answer = AnswerParser()
    return [*answer.feed(sse(*chunks, "[DONE]")), *answer.close()]


@pytest.mark.parametrize(
    "thought",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning": "hm", "reasoning_content": "hm"},
        {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
    ],
)
def test_reasoning_comes_as_pieces_of_its_own_in_order(thought: dict[str, object]) -> None:
    chunks = [
        delta(None, None, **thought),
        delta("a", None, **thought),
        delta("b"),
        delta(None, None, **thought),
        delta("c", "stop"),
    ]
    hm = ReasoningDelta("hm")
    assert pieces_of(*chunks) == [hm, hm, TextDelta("ab"), hm, TextDelta("c")]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}],
        [{"type": "thinking", "thinking": "hm"}],
        [{"type": "reasoning", "reasoning": "hm"}],
        [{"type": "reasoning", "text": "hm"}],
    ],
)
def test_reasoning_in_a_list_of_parts_is_found(content: object) -> None:
    assert pieces_of(delta(content), delta("a", "stop")) == [ReasoningDelta("hm"), TextDelta("a")]


@pytest.mark.parametrize("thought", [{"reasoning": {"effort": "low"}}, {"reasoning": 5}, {"reasoning_content": [None]}])
def test_reasoning_that_cannot_be_read_is_left_out(thought: dict[str, object]) -> None:
    assert pieces_of(delta(None, None, **thought), delta("a", "stop")) == [TextDelta("a")]


def test_reasoning_holds_no_character_that_cannot_be_stored() -> None:
    body = b'data: {"choices":[{"delta":{"reasoning_content":"a\\u0000\\ud83e"}}]}\n\n'
    assert AnswerParser().feed(body) == [ReasoningDelta("a\ufffd\ufffd")]


def test_an_answer_in_one_piece_begins_with_its_reasoning() -> None:
    answer = AnswerParser()
    body = {"choices": [{"message": {"content": "a", "reasoning_content": "hm"}, "finish_reason": "stop"}]}
    answer.feed(json.dumps(body).encode())
    assert answer.close() == [ReasoningDelta("hm"), TextDelta("a")]
