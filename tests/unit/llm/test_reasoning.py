"""Reasoning between tags at the start of an answer, what counts against an answer's limit, and what prompts have."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.errors import LlmError
from parlor.llm.memory import Memory
from parlor.llm.ports import Completion, Part, Piece, PromptTurn, ReasoningDelta, TextDelta
from parlor.llm.thoughts import Splitter
from parlor.llm.upstream import _body
from parlor.model.messages import FinishReason, Message
from parlor.model.parts import ReasoningPart, TextSpan
from tests.unit.llm.fake_history import AI, PERSONA, ROOM, USER, FakeHistory, FakeSummaries, talk
from tests.unit.llm.service_fixture import PERSONAS
from tests.unit.llm.test_service_parts import END, PartsModel, asked

pytestmark = pytest.mark.unit


def split(text: str, cuts: list[int]) -> tuple[str, str]:
    """Reasoning and text of an answer that comes in pieces."""
    ends = sorted({*(cut % (len(text) + 1) for cut in cuts), len(text)})
    splitter, pieces, at = Splitter(), list[Piece](), 0
    for end in ends:
        pieces += splitter.take(text[at:end]) if end > at else []
        at = end
    pieces += splitter.end()
    thoughts = [piece for piece in pieces if isinstance(piece, ReasoningDelta)]
    assert pieces[: len(thoughts)] == thoughts, "reasoning comes first"
    assert all(piece.text for piece in pieces)
    return "".join(piece.text for piece in thoughts), "".join(
        piece.text for piece in pieces if isinstance(piece, TextDelta)
    )


@given(st.lists(st.integers(0, 100), max_size=12))
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("", "")),
        ("Hello", ("", "Hello")),
        ("  Hello <think>no</think>", ("", "  Hello <think>no</think>")),
        ("<think>hm</think>Hello", ("hm", "Hello")),
        ("\n<THINK>\n hm\n</Think>\n\nHello\n", ("hm\n", "Hello\n")),
        ("<think>a < b </thin </think> <b>", ("a < b </thin ", "<b>")),
        ("<think></think>Hello", ("", "Hello")),
        ("<think>a</think>\n<reasoning>b</reasoning>c", ("ab", "c")),
        ("<think>never ends", ("never ends", "")),
        ("<think>never ends </thi", ("never ends </thi", "")),
        ("<think>hm</think>\n ", ("hm", "")),
        ("<thin", ("", "<thin")),
        ("<thinker>", ("", "<thinker>")),
        ("  ", ("", "  ")),
    ],
)
def test_what_stands_between_tags_at_the_start_is_reasoning_however_it_is_cut(
    text: str, expected: tuple[str, str], cuts: list[int]
) -> None:
    assert split(text, cuts) == expected


@given(st.text(alphabet="<>/think \n", max_size=40), st.lists(st.integers(0, 40), max_size=9))
def test_where_an_answer_is_cut_makes_no_difference(text: str, cuts: list[int]) -> None:
    assert split(text, cuts) == split(text, [])


async def test_a_persona_without_tags_gets_them_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    answer: list[Part | Exception] = [TextDelta("<think>hm</think>"), TextDelta("Hello"), END]
    assert await asked(PartsModel([answer])) == [ReasoningDelta("hm"), TextDelta("Hello"), END]
    plain = next(persona for persona in PERSONAS if persona.name == "PLAIN")
    others = [msgspec.structs.replace(plain, think_tags=False), *(each for each in PERSONAS if each is not plain)]
    monkeypatch.setattr("tests.unit.llm.test_service_parts.PERSONAS", others)
    assert await asked(PartsModel([answer])) == answer


async def test_what_was_held_back_comes_before_the_failure() -> None:
    error = LlmError("broke off")
    assert await asked(PartsModel([[TextDelta("<thi"), error]])) == [TextDelta("<thi"), error]


async def test_reasoning_comes_through_and_nothing_is_tried_again_behind_it() -> None:
    error = LlmError("broke off", extra={"retryable": True})
    assert await asked(PartsModel([[ReasoningDelta("hm"), error], [END]])) == [ReasoningDelta("hm"), error]


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([ReasoningDelta("x" * 9), TextDelta("yyy")], FinishReason.LENGTH),
        ([ReasoningDelta("x" * 12)], FinishReason.REASONING_LIMIT),
    ],
)
async def test_the_limit_of_an_answer_counts_its_reasoning(pieces: list[Piece], reason: FinishReason) -> None:
    *said, end = await asked(PartsModel([[*pieces, END]]), reply_max=10)
    assert sum(len(getattr(piece, "text", "")) for piece in said) == 10
    assert end == Completion(reason, None)


THOUGHT = "Because of what came before. " * 5


def reasoned() -> list[Message]:
    first, answer, *rest = talk((USER, "a"), (AI, "b"), (USER, "c"))
    return [first, msgspec.structs.replace(answer, parts=(ReasoningPart(THOUGHT, 1), TextSpan(1))), *rest]


@pytest.mark.parametrize(("sends", "reasoning"), [(False, ""), (True, THOUGHT)])
async def test_reasoning_goes_back_to_a_model_that_has_to_be_told(sends: bool, reasoning: str) -> None:
    persona = msgspec.structs.replace(PERSONA, send_reasoning=sends)
    prompt = await Memory(FakeHistory(reasoned()), FakeSummaries(), 8000, 800).build_prompt(ROOM, persona)
    assert prompt.turns[2] == PromptTurn("assistant", "b", reasoning)
    body = _body(persona, prompt, frozenset())
    assert isinstance(body["messages"], list)
    sent = {"role": "assistant", "content": "b"}
    assert body["messages"][2] == ({**sent, "reasoning_content": THOUGHT} if sends else sent)


async def test_reasoning_that_is_sent_counts_against_the_budget() -> None:
    async def tokens(*, sends: bool) -> int:
        persona = msgspec.structs.replace(PERSONA, send_reasoning=sends)
        memory = Memory(FakeHistory(reasoned()), FakeSummaries(), 8000, 800)
        return (await memory.build_prompt(ROOM, persona)).estimated_tokens

    assert await tokens(sends=True) > await tokens(sends=False)
