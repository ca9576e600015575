"""The estimate of tokens, and how the ratios are learned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.llm.ports import PromptTurn
from parlor.llm.tokens import RATIO_MAX, RATIO_MIN, TELLING, TURN_OVERHEAD, TokenRatios, cut, end_of, estimate_tokens

pytestmark = pytest.mark.unit

PROMPT = [PromptTurn("system", "x" * 4 * (1000 - TURN_OVERHEAD))]
"""Estimated as 1000 tokens."""


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("abcd", 1),
        ("abcde", 2),
        ("äöü", 2),
        ("привет", 3),
        ("“tea”", 3),
        ("\ud800", 1),
        ("\ud800" * 4, 3),
    ],
)
def test_latin_and_cyrillic_tokens_are_a_quarter_of_the_bytes_rounded_up(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


MEASURED = {
    "Chinese": ("人人生而自由，在尊严和权利上一律平等。", 1.00, 1.25),
    "traditional Chinese": ("人人生而自由，在尊嚴和權利上一律平等。", 1.00, 1.25),
    "Japanese": ("すべての人間は、生まれながらにして自由であり", 1.00, 1.25),
    "Korean": ("모든인간은태어날때부터자유로우며", 1.00, 1.30),
    "full width": ("ＡＢＣ１２３！？", 1.00, 1.50),
    "Greek": ("όλοιοιάνθρωποι", 0.90, 1.10),
    "Hebrew": ("כלבניהאדם", 0.90, 1.20),
    "Arabic": ("يولدجميعالناسأحرارا", 0.80, 1.10),
    "Hindi": ("सभीमनुष्योंको", 1.00, 1.30),
    "Tamil": ("மனிதப்பிறவியினர்", 1.40, 1.60),
    "Thai": ("มนุษย์ทั้งหลาย", 0.90, 1.10),
    "Georgian": ("ყველაადამიანი", 1.10, 1.40),
    "Khmer": ("មនុស្សទាំងអស់", 1.60, 1.90),
    "Telugu": ("ప్రతిపత్తిస్వత్వ", 1.80, 2.20),
    "Ethiopic": ("የሰውልጅሁሉ", 2.80, 3.10),
    "emoji": ("😀😂🤖👍🎉", 2.30, 2.60),
}


@pytest.mark.parametrize(("text", "least", "most"), MEASURED.values(), ids=MEASURED)
def test_dense_scripts_take_the_tokens_of_a_character_that_were_measured(text: str, least: float, most: float) -> None:
    assert least <= estimate_tokens(text * 100) / len(text * 100) <= most


def test_scripts_beside_each_other_count_as_each_of_them() -> None:
    parts = ["안녕하세요 ", "hello, ", "😀 ", "नमस्ते ", "እንኳን "]
    assert abs(estimate_tokens("".join(parts) * 20) - sum(estimate_tokens(part * 20) for part in parts)) < len(parts)


@given(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("aé한あ中😀ह"))), st.integers(0, 50))
def test_what_is_cut_fits_and_is_the_beginning(text: str, tokens: int) -> None:
    kept = cut(text, tokens)
    assert text.startswith(kept)
    assert estimate_tokens(kept) <= tokens
    assert kept == text or estimate_tokens(text[: len(kept) + 1]) > tokens


@given(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("aé한あ中😀ह"))), st.integers(0, 50))
def test_the_end_of_a_text_fits_and_is_its_end(text: str, tokens: int) -> None:
    kept = end_of(text, tokens)
    assert text.endswith(kept)
    assert estimate_tokens(kept) <= tokens
    assert kept == text or estimate_tokens(text[len(text) - len(kept) - 1 :]) > tokens


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
    ratios.learn("m", PROMPT, 6000)
    assert ratios.of("m") <= 1 + 0.2 * (RATIO_MAX - 1)


@pytest.mark.parametrize(("counted", "bound"), [(150, RATIO_MIN), (7000, RATIO_MAX)])
def test_the_ratio_stays_within_its_bounds(counted: int, bound: float) -> None:
    ratios = TokenRatios()
    for _ in range(100):
        ratios.learn("m", PROMPT, counted)
        assert RATIO_MIN <= ratios.of("m") <= RATIO_MAX
    assert ratios.of("m") == pytest.approx(bound)


@pytest.mark.parametrize(
    ("turns", "counted"),
    [
        ([PromptTurn("user", "x" * 4 * (TELLING - TURN_OVERHEAD - 1))], 900),
        *((PROMPT, odd) for odd in (-5, 0, 9, 100_000)),
    ],
)
def test_a_short_prompt_or_a_count_that_cannot_be_its_own_teaches_nothing(
    turns: list[PromptTurn], counted: int
) -> None:
    ratios = TokenRatios()
    ratios.learn("m", turns, counted)
    assert ratios.of("m") == 1.0
