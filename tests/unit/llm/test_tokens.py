"""The estimate of tokens, and how the ratios are learned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.llm.ports import PromptTurn
from parlor.llm.tokens import RATIO_MAX, RATIO_MIN, TELLING, TURN_OVERHEAD, TokenRatios, cut, estimate_tokens

pytestmark = pytest.mark.unit

PROMPT = [PromptTurn("system", "x" * 4 * (1000 - TURN_OVERHEAD))]
"""Estimated as 1000 tokens."""


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本語", 3), ("\ud800", 1)]
)
def test_tokens_are_a_quarter_of_the_bytes_rounded_up(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text(), st.integers(0, 50))
def test_what_is_cut_fits_and_is_the_beginning(text: str, tokens: int) -> None:
    kept = cut(text, tokens)
    assert text.startswith(kept)
    assert estimate_tokens(kept) <= tokens
    assert kept == text or estimate_tokens(text[: len(kept) + 1]) > tokens


def test_nothing_that_redis_cannot_take_is_left_by_a_cut() -> None:
    assert cut("a\ud800b", 10) == "ab"


def test_a_model_of_which_nothing_is_known_is_estimated_as_it_is() -> None:
    assert TokenRatios().of("m") == 1.0


def test_the_ratio_comes_close_to_what_the_provider_counts_within_ten_answers() -> None:
    ratios = TokenRatios()
    for _ in range(10):
        ratios.learn("m", PROMPT, 1500)
    assert 1.4 < ratios.of("m") < 1.5
    assert ratios.of("another") == 1.0


def test_one_odd_count_moves_the_ratio_by_little() -> None:
    ratios = TokenRatios()
    ratios.learn("m", PROMPT, 10_000)
    assert ratios.of("m") <= 1 + 0.2 * (RATIO_MAX - 1)


@pytest.mark.parametrize(("counted", "bound"), [(1, RATIO_MIN), (1_000_000, RATIO_MAX)])
def test_the_ratio_stays_within_its_bounds(counted: int, bound: float) -> None:
    ratios = TokenRatios()
    for _ in range(100):
        ratios.learn("m", PROMPT, counted)
        assert RATIO_MIN <= ratios.of("m") <= RATIO_MAX
    assert ratios.of("m") == pytest.approx(bound)


@pytest.mark.parametrize(
    ("turns", "counted"), [([PromptTurn("user", "x" * 4 * (TELLING - TURN_OVERHEAD - 1))], 900), (PROMPT, 0)]
)
def test_a_short_prompt_or_no_count_teaches_nothing(turns: list[PromptTurn], counted: int) -> None:
    ratios = TokenRatios()
    ratios.learn("m", turns, counted)
    assert ratios.of("m") == 1.0
