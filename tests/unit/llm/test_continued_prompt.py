"""The prompt of an answer that is continued: it ends with what the answer says already."""

from __future__ import annotations

import pytest

from parlor.llm.memory import SAID_SHARE, Memory
from parlor.llm.ports import Context, PromptTurn
from parlor.llm.tokens import TURN_OVERHEAD, estimate_tokens
from parlor.model.messages import Message
from tests.unit.llm.fake_history import AI, PERSONA, ROOM, USER, FakeHistory, FakeSummaries, talk

pytestmark = pytest.mark.unit


async def build_prompt(messages: list[Message], said: str, budget: int = 8000) -> Context:
    memory = Memory(FakeHistory(messages), FakeSummaries(), budget, 800)
    return await memory.build_prompt(ROOM, PERSONA, len(messages) + 1, said)


async def test_the_prompt_ends_with_the_answer_so_far() -> None:
    context = await build_prompt(talk((USER, "a"), (AI, "b"), (USER, "c")), "I was say")
    assert context.turns[1:] == [
        PromptTurn("user", "a"),
        PromptTurn("assistant", "b"),
        PromptTurn("user", "c"),
        PromptTurn("assistant", "I was say"),
    ]
    assert context.said == len("I was say")
    without = await build_prompt(talk((USER, "a"), (AI, "b"), (USER, "c")), "")
    assert context.estimated_tokens - without.estimated_tokens == TURN_OVERHEAD + estimate_tokens("I was say")


async def test_thoughts_are_left_out_unless_there_is_nothing_else_yet() -> None:
    spoken = await build_prompt(talk((USER, "a")), "<think>hm</think>I was say")
    assert spoken.turns[-1] == PromptTurn("assistant", "I was say")
    assert spoken.said == len("<think>hm</think>I was say")
    thinking = await build_prompt(talk((USER, "a")), "<think>hm")
    assert thinking.turns[-1] == PromptTurn("assistant", "<think>hm")


@pytest.mark.parametrize("said", ["", " \n"])
async def test_an_answer_without_a_word_is_asked_for_like_any_other(said: str) -> None:
    context = await build_prompt(talk((USER, "a")), said)
    assert (context.turns[1:], context.said) == ([PromptTurn("user", "a")], len(said))


async def test_of_a_long_answer_the_end_is_given_and_the_question_stays() -> None:
    budget, said = 400, "beginning " + "x é 🎉 " * 1000 + "the end"
    context = await build_prompt(
        talk(*[(USER, "older " * 20), (AI, "answer " * 20)] * 5, (USER, "question")), said, budget
    )
    assert context.turns[-2] == PromptTurn("user", "question")
    end = context.turns[-1]
    assert end.role == "assistant"
    assert said.endswith(end.content)
    assert end.content.endswith("the end")
    assert (
        budget * SAID_SHARE - TURN_OVERHEAD - 1 <= TURN_OVERHEAD + estimate_tokens(end.content) <= budget * SAID_SHARE
    )
    assert context.estimated_tokens <= budget
    assert context.said == len(said)
