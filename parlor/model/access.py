"""Who asks: sessions, credentials, accounts and what they have used."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from parlor.model.ids import AccountId, Home, Partition, ShardId


class Standing(StrEnum):
    """Whether an account may come in."""

    ACTIVE = "active"
    DISABLED = "disabled"
    DELETED = "deleted"
    """For ever: nobody becomes its owner again by having its name."""


class Session(msgspec.Struct, frozen=True):
    """Who is asking, resolved from a bearer token."""

    account_id: AccountId
    account_db_key: int
    partition: Partition
    shard_id: ShardId
    not_before: int = 0
    """Whatever was issued to the account before this time (unix milliseconds) has ended."""
    standing: Standing = Standing.ACTIVE

    @property
    def home(self) -> ShardId:
        """The shard to ask: where the partition lives by then."""
        return ShardId(Home(self.shard_id, self.partition))


class StreamTicket(msgspec.Struct, frozen=True):
    """What opens one event stream without a token, and by when it has to have been used for the first time."""

    ticket: str
    expires_at: int


class Credential(msgspec.Struct, frozen=True):
    """What a caller has shown. Times are Unix milliseconds."""

    key: str
    """The id of the key that signed the token."""
    issued_at: int
    valid_until: int
    """Streams that were opened with it end then."""


class TicketHolder(msgspec.Struct, frozen=True):
    """Who opens an event stream with a ticket, and the credential that it was asked for with: it ends with that."""

    account_id: AccountId
    credential: Credential


class SealedSession(msgspec.Struct, frozen=True):
    """What a sign-in code is good for."""

    account_id: AccountId
    sealed: str
    """The session's token, readable with the code alone."""


class AccountRow(msgspec.Struct, frozen=True):
    """An account, as stored in the global database."""

    account_id: AccountId
    account_db_key: int
    partition: Partition
    not_before: int = 0
    standing: Standing = Standing.ACTIVE
    standing_at: int = 0
    """When the standing was last changed (unix milliseconds); 0: never."""


class Deletion(msgspec.Struct, frozen=True):
    """The receipt of an account that is deleted."""

    account_id: AccountId
    account_db_key: int
    partition: Partition
    receipt_id: str
    requested_at: int
    """Unix milliseconds, like ``finished_at``."""
    finished_at: int | None
    """None: its rooms are being deleted."""
    rooms: int
    """How many rooms it had; known when it is finished."""


class DailyUse(msgspec.Struct, frozen=True):
    """An account's messages, tokens and their cost of one day."""

    account_db_key: int
    day: str
    """``YYYY-MM-DD``, in the time zone that was asked for."""
    messages: int
    input_tokens: int
    output_tokens: int
    cost: int = 0
    """In billionths of the currency of the personas' prices."""
