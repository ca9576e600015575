"""`docs/COMPLAINTS.md` names a test for each complaint, and each of these tests is there."""

from __future__ import annotations

import re
from pathlib import Path
from string import ascii_uppercase

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "COMPLAINTS.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!complaint |---)(.+?) \| (.+?) \| (.+?) \|$", TEXT, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def test_every_complaint_has_an_answer_and_a_guard() -> None:
    assert len(ROWS) == len(re.findall(r"^\| ", TEXT, re.MULTILINE)) - len(
        re.findall(r"^\| complaint ", TEXT, re.MULTILINE)
    )
    assert [complaint for complaint, _, guards in ROWS if not re.search(r"`tests/[\w/]+\.py", guards)] == []


def test_every_class_of_complaint_is_told() -> None:
    classes = re.findall(r"^## ([A-Z])\. ", TEXT, re.MULTILINE)
    assert len(classes) >= len("ABCDEFGHI")
    assert classes == list(ascii_uppercase[: len(classes)])


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_guard_exists(file: str, name: str) -> None:
    source = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE)
