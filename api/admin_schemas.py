"""Requests and responses of operators, as in ``api.schemas``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BeforeValidator, Field, StrictBool, StrictFloat, StrictInt, model_validator

from api.fields import ListCursor, Timestamp, _Answer, _Body, _Query
from api.key_schemas import read_time
from api.usage_schemas import ChatUsageTotal
from parlor.model.access import Standing
from parlor.settings.account_limits import LimitName


class AdminListRequest(_Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: ListCursor | None = None
    """`next_cursor` of the page before."""


class ActorState(_Body):
    name: str
    kind: str
    alive: bool
    rooms: int
    """How many rooms it serves."""
    trouble: str
    """Empty: nothing is wrong."""
    pid: int
    """0: it has not started yet, and perhaps waits for a node."""
    node: str
    started: bool
    """False: a new process that has begun nothing."""
    leaving: bool
    """It lets its rooms go, and ends then."""
    replies: int
    """Replies that it is writing."""
    sends: int
    """Messages that it has acknowledged since its process began. Two looks give a rate."""
    replied: int
    """Replies that it has ended since then."""
    partitions: int
    """Partitions that a ShardWriter holds."""
    committed: int
    """Operations that it has stored since its process began."""
    lag_entries: int
    """Operations that wait in its partitions."""
    lag_seconds: float
    """The age of the oldest of them."""


class ShardState(_Body):
    """The queues of one shard."""

    shard: int
    lag_entries: int
    """Operations that wait for the shard."""
    lag_seconds: float
    """The age of the oldest of them."""
    dead_letters: int
    trouble: str
    """Why the numbers are not whole; empty: they are."""


class AdminStatusResponse(_Answer):
    services: dict[str, str]
    """Each dependency and `ok`, or what is wrong with it."""
    actors: list[ActorState]
    shards: list[ShardState]


class AdminAccount(_Body):
    account_id: str
    standing: Standing
    disabled: bool
    standing_since: Timestamp | None
    """When the standing was last changed; null: never."""
    not_before: Timestamp | None
    """What was issued to the account before that time has ended; null: nothing has."""


class AdminAccountListResponse(_Answer):
    accounts: list[AdminAccount]
    next_cursor: str | None


class AdminUse(ChatUsageTotal):
    from_: Annotated[str, Field(alias="from", description="`YYYY-MM-DD`, UTC")]
    to: str


class AdminDeletion(_Body):
    """The receipt of an account that is deleted."""

    account_id: str
    receipt_id: str
    state: Literal["deleting", "deleted"]
    rooms: int | None
    """How many rooms it had; known when all of them are gone."""
    requested_at: Timestamp
    finished_at: Timestamp | None


class AdminDeletionResponse(AdminDeletion, _Answer):
    """The receipt."""


class AdminAccountResponse(AdminAccount, _Answer):
    rooms: int
    """Rooms that are stored and not deleted."""
    api_keys: int
    usage: AdminUse
    """Of the last 30 days."""
    limits: dict[str, int | float | None]
    """What the account may use, by the name of the setting; null: not limited."""
    own_limits: list[str]
    """Those that an operator has set for this account."""
    deletion: AdminDeletion | None
    """Of a deleted account."""


class AdminAccountUpdateRequest(_Body):
    disabled: StrictBool | None = None
    """Whether the account is shut out: its tokens and keys are refused, its streams end."""
    not_before: Annotated[AwareDatetime, BeforeValidator(read_time)] | None = None
    """RFC 3339, not in the future: ends what was issued before. It never goes back."""

    limits: dict[LimitName, StrictInt | StrictFloat | Literal["default"] | None] | None = None
    """What this account may use instead of what the settings say, by their names; null: not limited, `default`: as the
    settings say. Others stay as they are."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.disabled is None and self.not_before is None and self.limits is None:
            raise ValueError("disabled, not_before or limits is needed")
        return self


class AdminAuditEntry(_Body):
    entry_id: int
    at: Timestamp
    way: str
    """`http` or `command`."""
    actor: str
    """The account of the token, or who ran the command."""
    action: str
    subject: str
    detail: str


class AdminAuditResponse(_Answer):
    entries: list[AdminAuditEntry]
    """Newest first."""
    next_cursor: str | None


class AdminDeadLetter(_Body):
    """An operation that its shard refused, without anybody's text."""

    id: str
    parked_at: Timestamp
    partition: int
    op: str
    account_id: str
    room_id: str
    seq: int | None
    message_id: str | None
    reason: str


class AdminDeadLetterListResponse(_Answer):
    dead_letters: list[AdminDeadLetter]
    next_cursor: str | None


class AdminDeadLetterResponse(_Answer):
    id: str
    result: str
    """What became of it."""
