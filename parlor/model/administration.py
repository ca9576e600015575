"""What operators see of an installation: its actors and queues, its accounts."""

from __future__ import annotations

import msgspec

from parlor.model.access import AccountRow, DailyUse, Deletion


class ActorLine(msgspec.Struct, frozen=True):
    name: str
    kind: str
    alive: bool
    rooms: int
    trouble: str
    """Empty: nothing is wrong."""


class ShardLine(msgspec.Struct, frozen=True):
    """The queues of one shard."""

    shard: int
    lag_entries: int
    """Operations that wait."""
    lag_seconds: float
    """The age of the oldest of them."""
    dead_letters: int
    trouble: str
    """Why the numbers are not whole; empty: they are."""


class Overview(msgspec.Struct, frozen=True):
    services: dict[str, str]
    """Each dependency and ``ok``, or what is wrong with it."""
    actors: list[ActorLine]
    shards: list[ShardLine]


class AccountReport(msgspec.Struct, frozen=True):
    """One account, and what it has."""

    row: AccountRow
    rooms: int
    """Rooms that its shard has."""
    api_keys: int
    use: list[DailyUse]
    """The days of UTC on which it used something, of those that were asked for."""
    deletion: Deletion | None = None
