"""Codes: every refusal has its typed error."""

from __future__ import annotations

import pytest

from parlor import errors
from parlor.cache.codes import Code, refusal

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("code", [code for code in Code if code < 0])
def test_every_refusal_has_an_error(code: Code) -> None:
    assert isinstance(refusal(code), errors.ParlorError)


@pytest.mark.parametrize("code", [Code.OVERLOADED, Code.BUSY])
def test_what_passes_by_itself_says_when_to_come_back(code: Code) -> None:
    assert refusal(code).retry_after is not None


def test_a_room_that_redis_does_not_have_is_to_be_loaded() -> None:
    assert type(refusal(Code.MISSING)) is errors.OutOfStep
    assert type(refusal(Code.GONE)) is errors.RoomNotFound
