"""What single accounts may use."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from parlor.settings.account_limits import OWN_LIMITS, AccountLimits, with_own
from parlor.settings.limits import LimitSettings

pytestmark = pytest.mark.unit

USUAL = LimitSettings(rooms=7, streams=3)


def test_an_account_has_its_own_limits_and_the_usual_others() -> None:
    limits = AccountLimits(USUAL)
    limits.set("ada", {"rooms": 1, "streams": "off"})
    assert (limits.of("ada").rooms, limits.of("ada").streams) == (1, None)
    assert limits.of("ada") == USUAL.model_copy(update={"rooms": 1, "streams": None})
    assert limits.of("bob") is USUAL
    limits.set("ada", {"cost_per_day": 0.5})
    assert (limits.of("ada").rooms, limits.of("ada").cost_per_day) == (7, 0.5)


@pytest.mark.parametrize("again", [lambda limits: limits.set("ada", {}), lambda limits: limits.forget()])
def test_an_account_has_the_usual_limits_again(again: object) -> None:
    limits = AccountLimits(USUAL)
    limits.set("ada", {"rooms": 1})
    assert callable(again)
    again(limits)
    assert limits.of("ada") is USUAL


def test_what_a_newer_program_limits_is_left_out() -> None:
    assert with_own(USUAL, {"rooms": 1, "moons": 2, "refusal_delay": 3}) == USUAL.model_copy(update={"rooms": 1})


@pytest.mark.parametrize("own", [{"rooms": 0}, {"rooms": 1.5}, {"requests_burst": "off"}, {"cost_per_day": -1}])
def test_a_value_that_the_setting_could_not_have_is_refused(own: dict[str, float | str | None]) -> None:
    with pytest.raises(ValidationError):
        with_own(USUAL, own)


def test_each_limit_is_a_setting() -> None:
    assert set(OWN_LIMITS) <= LimitSettings.model_fields.keys()
    of_all = ("address_", "refus", "answer_tokens", "accounts")
    assert {name for name in LimitSettings.model_fields if not name.startswith(of_all)} == set(OWN_LIMITS)
