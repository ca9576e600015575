"""The demo model's grammar and its default answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo_model.script import (
    Behaviour,
    DirectiveError,
    answer_to,
    behaviour_for,
    filler,
    is_material,
    parse_directives,
    rest_of,
    split_tokens,
    unfinished,
)
from parlor.llm.memory import SUMMARY_HEADING
from parlor.llm.ports import PromptTurn
from parlor.llm.summary import summary_context
from parlor.llm.title import title_context

pytestmark = pytest.mark.unit


def test_a_block_is_found_anywhere_in_a_message() -> None:
    found = behaviour_for("please [[tokens=50 delay=20ms first=1.5s]] now", Behaviour())
    assert found == Behaviour(tokens=50, delay=0.02, first=1.5)


def test_every_key_is_read() -> None:
    pairs = (
        "echo=1 stamp=1 finish=length fail=429 retry_after=2 fail_after=3 fail_as=cut hang=1 hang_after=4 "
        "reject=a,b times=5"
    )
    assert parse_directives(pairs, Behaviour()) == Behaviour(
        echo=True,
        stamp=True,
        finish="length",
        fail=429,
        retry_after=2.0,
        fail_after=3,
        fail_as="cut",
        hang=True,
        hang_after=4,
        reject=("a", "b"),
        times=5,
    )


def test_the_text_goes_to_the_end_of_the_block() -> None:
    assert behaviour_for("[[delay=5 text=two words = here]]", Behaviour()) == Behaviour(
        delay=0.005, text="two words = here"
    )


def test_later_blocks_and_the_message_win_over_the_defaults() -> None:
    base = Behaviour(delay=1.0, tokens=1)
    assert behaviour_for("[[tokens=2]] [[tokens=3]]", base) == Behaviour(delay=1.0, tokens=3)


@pytest.mark.parametrize("text", ["", "[[a wiki link]]", "[[unknown=1]]", "[tokens=5]", "a[[0]][[1]]"])
def test_other_brackets_are_ordinary_text(text: str) -> None:
    assert behaviour_for(text, Behaviour()) == Behaviour()


@pytest.mark.parametrize(
    "pairs",
    [
        "tokens",
        "tokens=",
        "tokens=-1",
        "tokens=x",
        "tokens=1000001",
        "delay=5m",
        "delay=9999s",
        "fail=200",
        "fail_as=x",
        "hang=2",
        "tokens=1 x=2",
    ],
)
def test_a_bad_pair_is_refused(pairs: str) -> None:
    with pytest.raises(DirectiveError):
        parse_directives(pairs, Behaviour())


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(split_tokens(text)) == text


@pytest.mark.parametrize("count", [0, 1, 50])
def test_filler_has_as_many_tokens_as_asked(count: int) -> None:
    assert len(split_tokens(filler(count))) == count


def test_the_default_answer_shows_the_memory_and_the_way_to_a_real_model() -> None:
    first = answer_to([PromptTurn("system", "s"), PromptTurn("user", "My name is Ada. [[delay=1]]")])
    assert "> My name is Ada.\n" in first
    assert "first message" in first
    assert "OPENAI_API_KEY" in first
    assert "PARLOR_LLM__BASE_URL" in first
    turns = [PromptTurn("user", "My name is Ada."), PromptTurn("assistant", "Hello."), PromptTurn("user", "Who am I?")]
    second = answer_to(turns)
    assert "**2 earlier messages**" in second
    assert "> My name is Ada." in second
    assert "> Who am I?" in second
    assert answer_to(turns) == second


def test_an_unfinished_answer_is_gone_on_with() -> None:
    question = [PromptTurn("system", "s"), PromptTurn("user", "My name is Ada.")]
    whole = answer_to(question)
    assert unfinished(question) == ""
    assert unfinished([*question, PromptTurn("assistant", whole[:40])]) == whole[:40]
    assert [rest_of(whole, whole[:length]) for length in (0, 1, 40)] == [whole, whole[1:], whole[40:]]
    assert rest_of(whole, whole[20:40]) == whole[40:], "only the end of a long one is in the prompt"
    assert rest_of(whole, "of another model") == whole
    assert rest_of(whole, whole) == whole


def test_a_long_message_is_quoted_in_part() -> None:
    assert "> " + "x" * 200 + "…\n" in answer_to([PromptTurn("user", "x" * 10_000)])


def test_an_answer_shows_the_summary_that_the_model_was_given() -> None:
    system = f"Be kind.\n\n{SUMMARY_HEADING} - The person said: My name is Ada."
    answer = answer_to([PromptTurn("system", system), PromptTurn("user", "Who am I?")])
    assert "> - The person said: My name is Ada.\n" in answer


# When Parlor itself asks


TURNS = [PromptTurn("user", "My name is Ada. [[fail=500]]"), PromptTurn("assistant", "Hello, Ada.")]


def test_a_summary_quotes_what_people_said() -> None:
    prompt = summary_context("", TURNS, 800).turns
    assert is_material(prompt)
    assert answer_to(prompt) == "- The person said: My name is Ada."


def test_a_summary_keeps_what_was_in_the_one_before() -> None:
    first = answer_to(summary_context("", TURNS, 800).turns)
    second = answer_to(summary_context(first, [PromptTurn("user", "I like tea.")], 800).turns)
    assert second.splitlines() == ["- The person said: My name is Ada.", "- The person said: I like tea."]


def test_a_summary_stays_short_and_keeps_the_beginning() -> None:
    summary = answer_to(summary_context("", TURNS, 800).turns)
    for number in range(100):
        summary = answer_to(summary_context(summary, [PromptTurn("user", f"fact {number} " * 50)], 800).turns)
    assert len(summary) < 20 * 120
    assert "My name is Ada." in summary
    assert "fact 99" in summary


def test_a_title_is_made_of_a_persons_words() -> None:
    assert answer_to(title_context(TURNS).turns) == "About: My name is Ada."
    assert answer_to(title_context([PromptTurn("user", "[[tokens=3]]")]).turns) == "About: nothing"


def test_what_a_person_asks_is_not_taken_for_material() -> None:
    assert not is_material([PromptTurn("system", "Be kind."), PromptTurn("user", "{}")])
    assert not is_material([])
