"""What operators see of an installation: its actors and queues, its accounts."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from parlor.model.access import AccountRow, DailyUse, Deletion


class ActorLine(msgspec.Struct, frozen=True):
    name: str
    kind: str
    alive: bool
    rooms: int
    trouble: str
    """Empty: nothing is wrong."""
    pid: int = 0
    """0: it has not started yet, and perhaps waits for a node."""
    node: str = ""
    started: bool = True
    """False: a new process that has begun nothing."""
    leaving: bool = False
    """It lets its rooms go, and ends then."""
    replies: int = 0
    """Replies that it is writing."""
    sends: int = 0
    """Messages that it has acknowledged since its process began."""
    replied: int = 0
    """Replies that it has ended since then."""
    partitions: int = 0
    """Partitions that a ShardWriter holds."""
    committed: int = 0
    """Operations that it has stored since its process began."""
    lag_entries: int = 0
    """Operations that wait in its partitions."""
    lag_seconds: float = 0.0
    """The age of the oldest of them."""


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
    own_limits: dict[str, float | int | str]
    """What an operator has set for it, by the name of the setting; ``off``: not limited."""
    deletion: Deletion | None = None


class Way(StrEnum):
    """How somebody came in."""

    HTTP = "http"
    COMMAND = "command"


class Action(StrEnum):
    """What is written down. A newer program may write others."""

    ACCOUNT_DISABLED = "account-disabled"
    ACCOUNT_ENABLED = "account-enabled"
    ACCOUNT_REVOKED = "account-revoked"
    ACCOUNT_DELETED = "account-deleted"
    ACCOUNT_LIMITED = "account-limited"
    API_KEY_MADE = "api-key-made"
    API_KEY_ENDED = "api-key-ended"
    SIGNING_KEY_MADE = "signing-key-made"
    SIGNING_KEY_RETIRED = "signing-key-retired"
    DEAD_LETTER_REPLAYED = "dead-letter-replayed"
    DEAD_LETTER_DROPPED = "dead-letter-dropped"
    BACKUP_MADE = "backup-made"
    SIGNED_IN = "signed-in"


class Actor(msgspec.Struct, frozen=True):
    """Who does it."""

    way: Way
    name: str
    """The account of the token, or who ran the command."""


class AuditEntry(msgspec.Struct, frozen=True):
    """One line of the audit log: what was asked for and allowed."""

    entry_id: int
    at: int
    """Unix milliseconds."""
    way: str
    actor: str
    action: str
    subject: str
    """The account, or the id of the dead letter, the signing key or the installation."""
    detail: str
    """The key of an account, since when, or where a backup is; never anybody's text."""
