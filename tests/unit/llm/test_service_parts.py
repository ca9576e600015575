"""What AIChatService makes of a provider's parts: how long an answer gets, and what it used."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec
import pytest

from parlor.errors import AnswerEmpty, AnswerOnlyReasoning, LlmError
from parlor.llm.ports import Completion, Context, Part, Persona, TextDelta
from parlor.llm.service import AIChatService
from parlor.model.messages import FinishReason, Usage
from parlor.settings import LlmSettings
from tests.unit.llm.fake_history import FakeSummaries
from tests.unit.llm.service_fixture import PERSONAS, EmptyHistory, SwiftClock, context

pytestmark = pytest.mark.unit

END = Completion(FinishReason.STOP, Usage(7, 3))
AGAIN = AnswerEmpty(extra={"retryable": True})


class PartsModel:
    """Answers each try with the next of these."""

    def __init__(self, tries: Sequence[Sequence[Part | Exception]]) -> None:
        self.tries = list(tries)
        self.closed = 0

    async def answer(self, persona: Persona, context: Context, deadline: float) -> AsyncGenerator[Part, None]:
        try:
            for part in self.tries.pop(0):
                if isinstance(part, Exception):
                    raise part
                yield part
        finally:
            self.closed += 1

    async def close(self) -> None:
        pass


async def asked(model: PartsModel, **settings: object) -> list[Part | LlmError]:
    """The parts of an answer, and how it failed if it did."""
    llm = LlmSettings.model_validate(settings)
    service = AIChatService(llm, model, PERSONAS, EmptyHistory(), FakeSummaries(), SwiftClock())
    parts: list[Part | LlmError] = []
    try:
        async for part in service.chat("PLAIN", context("x")):
            parts.append(part)  # noqa: PERF401 - the parts before a failure count
    except LlmError as error:
        parts.append(error)
    return parts


@pytest.mark.parametrize("sizes", [[11], [4, 4, 4], [10, 1], [5, 10**6]])
async def test_an_endless_answer_ends_by_its_length_and_is_closed(sizes: list[int]) -> None:
    endless: list[Part] = [TextDelta("x" * size) for size in [*sizes, 1, 1]]
    model = PartsModel([[*endless, END]])
    *texts, end = await asked(model, reply_max=10)
    assert "".join(part.text for part in texts if isinstance(part, TextDelta)) == "x" * 10
    assert end == Completion(FinishReason.LENGTH, None)
    assert (len(model.tries), model.closed) == (0, 1)


async def test_an_answer_of_the_greatest_length_is_whole() -> None:
    assert await asked(PartsModel([[TextDelta("x" * 10), END]]), reply_max=10) == [TextDelta("x" * 10), END]


async def test_what_a_continued_answer_says_already_counts() -> None:
    model = PartsModel([[TextDelta("x" * 3), END]])
    service = AIChatService(LlmSettings(reply_max=10), model, PERSONAS, EmptyHistory(), FakeSummaries(), SwiftClock())
    said = msgspec.structs.replace(context("x"), said=8)
    assert [part async for part in service.chat("PLAIN", said)] == [
        TextDelta("xx"),
        Completion(FinishReason.LENGTH, None),
    ]


def test_an_answer_may_have_200_000_characters() -> None:
    assert LlmSettings().reply_max == 200_000


async def test_what_is_used_is_told_before_the_end() -> None:
    parts: list[Part] = [Usage(7, 0), TextDelta("a"), Usage(7, 1), TextDelta("b"), END]
    assert await asked(PartsModel([parts])) == parts


async def test_an_answer_without_text_is_tried_again_and_both_tries_are_counted() -> None:
    model = PartsModel([[Usage(7, 0), Usage(7, 2), AGAIN], [Usage(7, 0), TextDelta("x"), END]])
    assert await asked(model) == [
        *(Usage(7, 0), Usage(7, 2), Usage(14, 2), TextDelta("x")),
        Completion(FinishReason.STOP, Usage(14, 5)),
    ]


async def test_a_second_answer_without_text_is_the_end() -> None:
    model = PartsModel([[Usage(7, 2), AGAIN], [Usage(7, 2), AGAIN]])
    assert await asked(model) == [Usage(7, 2), Usage(14, 4), AGAIN]


async def test_reasoning_that_ate_an_answer_is_not_paid_for_twice() -> None:
    model = PartsModel([[Usage(7, 500), AnswerOnlyReasoning()], [TextDelta("x"), END]])
    used, error = await asked(model)
    assert used == Usage(7, 500)
    assert isinstance(error, AnswerOnlyReasoning)
