"""What an account may use: what an attempt asks for, what the limits are, and what is left of them.

Costs are integers, in billionths of the currency of the personas' prices: a token of a persona whose million tokens
cost 2.5 costs 2500 of them. So sums are exact.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from parlor.model.ids import AccountId, MessageId, Partition

BILLION = 1_000_000_000
DAY_MS = 86_400_000


class Ask(msgspec.Struct, frozen=True):
    """What an attempt may use at most."""

    prompt: int
    """Tokens, estimated."""
    answer: int
    """Tokens that the answer is allowed."""
    input_price: int
    """Of one token of the prompt."""
    output_price: int


class Payer(msgspec.Struct, frozen=True):
    """Whose budget it is."""

    account_id: AccountId
    account_db_key: int
    partition: Partition


class Reservation(msgspec.Struct, frozen=True):
    """What a call of the language model has reserved that belongs to no turn."""

    payer: Payer
    call: MessageId
    answer_tokens: int | None
    """Tokens that the answer may have; None: no limit."""
    input_price: int
    output_price: int


class Budget(msgspec.Struct, frozen=True):
    """Where one limit stands. Tokens, or billionths for costs."""

    name: str
    """As the setting: ``tokens_per_day``."""
    limit: int | None
    """None: no limit."""
    used: int
    reserved: int
    """By replies that wait or are being written."""
    resets_at: int
    """When the period ends, in Unix ms."""


class Period(msgspec.Struct, frozen=True):
    """The day and the month, in UTC, of one moment."""

    day: int
    """Days since 1970."""
    month: int
    """Months since the year 0."""
    day_ends: int
    """Unix ms."""
    month_ends: int

    @classmethod
    def at(cls, now_ms: int) -> Period:
        day = now_ms // DAY_MS
        today = datetime.fromtimestamp(day * 86_400, UTC)
        month = today.year * 12 + today.month - 1
        next_month = (today.replace(day=28) + timedelta(days=4)).replace(day=1)
        return cls(day, month, (day + 1) * DAY_MS, int(next_month.timestamp()) * 1000)
