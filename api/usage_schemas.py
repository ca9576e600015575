"""Requests and responses about usage and limits, as in ``api.schemas``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.fields import Day, Timestamp, _Answer, _Body, _Query


class ChatUsageRequest(_Query):
    from_: Annotated[Day | None, Field(alias="from")] = None
    """The first day; default: 29 days before `to`."""
    to: Day | None = None
    """The last day, included; default: today. The period has at most 366 days."""
    tz: Annotated[str, Field(max_length=64)] = "UTC"
    """The time zone whose days they are: a name of the IANA's, like `America/Chicago`."""


class ChatUsageTotal(_Body):
    messages: int
    input_tokens: int
    output_tokens: int
    cost: float
    """By the prices in `personas.toml`, in their currency."""


class ChatLimit(_Body):
    """A budget: tokens, or their cost."""

    limit: float
    used: float
    reserved: float
    """By replies that wait or are being written."""
    left: float
    resets_at: Timestamp


class ChatRateLimit(_Body):
    """A rate, as the replica that answers counts it."""

    limit: float
    """On average, in a second."""
    burst: int
    """At once, after a pause."""
    left: int
    """At once, now."""


class ChatCap(_Body):
    """How many there may be."""

    limit: int
    used: int
    left: int


class ChatEach(_Body):
    limit: int


class ChatLimits(_Body):
    """What the account may use; null: no limit. Days and months are UTC's."""

    tokens_per_day: ChatLimit | None
    tokens_per_month: ChatLimit | None
    cost_per_day: ChatLimit | None
    cost_per_month: ChatLimit | None
    requests_per_second: ChatRateLimit | None
    sends_per_second: ChatRateLimit | None
    requests_at_once: ChatCap | None
    """Under way at the replica that answers, as are streams and uploads."""
    streams: ChatCap | None
    uploads_at_once: ChatCap | None
    rooms: ChatCap | None
    files: ChatCap | None
    file_bytes: ChatCap | None
    waiting_turns: ChatEach | None
    """Of each room."""
    versions: ChatEach | None
    """Of each message."""


class ChatUsageDay(ChatUsageTotal):
    date: Day


class ChatUsageResponse(_Answer):
    """Usage as committed in the database; it may be some seconds behind."""

    from_: Annotated[Day, Field(alias="from")]
    to: Day
    tz: str
    days: list[ChatUsageDay]
    """Ascending; days without usage are left out."""
    total: ChatUsageTotal
    limits: ChatLimits
    """Where the account stands now."""
