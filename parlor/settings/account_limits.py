"""What each account may use: as the settings say, but for what an operator has set for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

from parlor.settings.limits import LimitSettings

LimitName: TypeAlias = Literal[
    "requests_per_second",
    "requests_burst",
    "sends_per_second",
    "sends_burst",
    "requests_at_once",
    "streams",
    "rooms",
    "waiting_turns",
    "versions",
    "files",
    "file_bytes",
    "uploads_at_once",
    "tokens_per_day",
    "tokens_per_month",
    "cost_per_day",
    "cost_per_month",
]
"""The limits that an account may have of its own; the others are of addresses, or of the whole installation."""
OWN_LIMITS: tuple[LimitName, ...] = get_args(LimitName)
Own: TypeAlias = Mapping[str, float | str | None]
"""Limits by name; None and ``off``: not limited."""


class AccountLimits:
    """The limits of every account. What a process knows of them is kept up to date by ``parlor.store``."""

    def __init__(self, usual: LimitSettings) -> None:
        self.usual = usual
        self._own: dict[str, LimitSettings] = {}

    def of(self, account: str) -> LimitSettings:
        return self._own.get(account, self.usual)

    def set(self, account: str, own: Own) -> None:
        """Replaces what an account has of its own. Raises ``ValueError`` as ``with_own`` does."""
        if own:
            self._own[account] = with_own(self.usual, own)
        else:
            self._own.pop(account, None)

    def forget(self) -> None:
        """No account has limits of its own."""
        self._own.clear()


def with_own(usual: LimitSettings, own: Own) -> LimitSettings:
    """Returns the limits with these instead. Raises ``ValueError`` for a value that the setting could not have. Names
    of a newer program are left out."""
    known = {name: value for name, value in own.items() if name in OWN_LIMITS}
    return LimitSettings.model_validate({**usual.model_dump(), **known})
