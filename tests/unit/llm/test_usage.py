"""What an answer uses, counted by the provider or estimated."""

from __future__ import annotations

import pytest

from parlor.llm.ports import Completion, Part, ReasoningDelta, TextDelta
from parlor.llm.usage import UsageMeter, total
from parlor.model.messages import FinishReason, Usage

pytestmark = pytest.mark.unit

TEXT = TextDelta("x" * 40)  # 10 tokens by the estimate


@pytest.mark.parametrize(
    ("parts", "usage"),
    [
        ([], None),
        ([TEXT, Completion(FinishReason.STOP, Usage(7, 3))], Usage(7, 3)),
        ([TEXT], Usage(100, 10)),
        ([TEXT, TEXT, Completion(FinishReason.STOP, None)], Usage(100, 20)),
        ([Usage(7, 0)], Usage(7, 0)),
        ([Usage(7, 1), TEXT], Usage(7, 11)),
        ([TEXT, Usage(7, 3), TEXT, Usage(7, 6)], Usage(7, 6)),
        ([TEXT, Usage(7, 3), Completion(FinishReason.STOP, None)], Usage(7, 3)),
    ],
)
def test_what_the_provider_has_not_counted_is_estimated(parts: list[Part], usage: Usage | None) -> None:
    texts: list[str] = []
    meter = UsageMeter(100, texts)
    for part in parts:
        if isinstance(part, TextDelta | ReasoningDelta):
            texts.append(part.text)
        else:
            meter.take(part)
    assert meter.usage == usage


def test_usages_add_up() -> None:
    assert total(None, Usage(1, 2)) == Usage(1, 2)
    assert total(Usage(10, 20), Usage(1, 2)) == Usage(11, 22)
