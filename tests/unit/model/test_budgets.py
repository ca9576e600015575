"""The day and the month of a moment."""

from __future__ import annotations

import pytest

from parlor.model.budgets import DAY_MS, Period

pytestmark = pytest.mark.unit


def test_the_month_of_a_day() -> None:
    january, february = Period.at(DAY_MS * 31 - 1), Period.at(DAY_MS * 31)
    assert (january.day, january.month, january.month_ends) == (30, 1970 * 12, 31 * DAY_MS)
    assert (february.month, february.month_ends) == (1970 * 12 + 1, 59 * DAY_MS)
