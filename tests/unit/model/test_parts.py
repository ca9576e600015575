"""Parts: what is stored of them, and what is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.model.parts import (
    ImagePart,
    Part,
    ReasoningPart,
    Said,
    StoredParts,
    TextPart,
    TextSpan,
    parts_of,
    stored_form,
    with_content,
)

pytestmark = pytest.mark.unit

IMAGE = ImagePart("f", "a.png", "image/png", 10)
THOUGHT = ReasoningPart("because", 5)
PARTS = st.lists(
    st.one_of(st.text(min_size=1).map(TextPart), st.text().map(lambda text: ReasoningPart(text, 1)), st.just(IMAGE))
)


@given(PARTS)
def test_what_is_stored_is_shown_as_it_was(parts: list[Part]) -> None:
    content, stored = stored_form(parts)
    assert parts_of(content, stored) == parts
    assert content == "".join(part.text for part in parts if isinstance(part, TextPart))
    assert Said(content, stored).shown == parts
    assert Said(content, stored).characters == sum(len(getattr(part, "text", "")) for part in parts)


@pytest.mark.parametrize(
    ("parts", "stored"),
    [
        ([], ("", None)),
        ([TextPart("a")], ("a", None)),
        ([TextPart("a"), TextPart("\u00fc\U0001f642")], ("a\u00fc\U0001f642", (TextSpan(1), TextSpan(2)))),
        ([THOUGHT], ("", (THOUGHT,))),
        ([THOUGHT, TextPart("ab")], ("ab", (THOUGHT, TextSpan(2)))),
    ],
)
def test_a_single_text_is_stored_as_content_alone(parts: list[Part], stored: tuple[str, StoredParts | None]) -> None:
    assert stored_form(parts) == stored


@given(st.text(), st.lists(st.integers(0, 9)))
def test_the_texts_are_the_content_whatever_the_parts_claim(content: str, lengths: list[int]) -> None:
    """A row that an older program has edited since: it does not know the parts."""
    shown = parts_of(content, [TextSpan(length) for length in lengths])
    assert "".join(part.text for part in shown if isinstance(part, TextPart)) == content


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, None),
        ((TextSpan(5), IMAGE), (TextSpan(3), IMAGE)),
        ((IMAGE, TextSpan(2), TextSpan(1)), (IMAGE, TextSpan(3))),
        ((IMAGE,), (IMAGE, TextSpan(3))),
        ((TextSpan(2), TextSpan(3)), None),
    ],
)
def test_an_edit_keeps_what_is_not_text(before: StoredParts | None, after: StoredParts | None) -> None:
    assert with_content("new", before) == after


def test_an_edit_may_leave_no_text() -> None:
    assert with_content("", (TextSpan(1), IMAGE)) == (IMAGE,)
