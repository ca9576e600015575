"""The permanent store as the rest of Parlor sees it.

One global database (accounts, partition map) and one database for each shard. Every implementation gives the same
answers; ``tests/contract/store`` holds them to it.

What all of them guarantee:

1. A batch is one transaction: fences, rows, watermarks and statistics commit together or not at all.
2. A batch whose fence does not match (epoch or incarnation) changes nothing and says which partitions are lost.
3. Operations are idempotent and versioned: the same (room_id, seq) with the same message_id and a version that is not
   higher is a no-op; with another message_id it is ``SeqConflict``, never an overwrite. A deleted row stays deleted.
4. Any failure to reach or to use a database is ``StoreUnavailable`` (retryable); a row that the database refuses for
   its content is ``RowRefused`` (not retryable).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from parlor.errors import ParlorError
from parlor.model.access import AccountRow, DailyUse
from parlor.model.ids import AccountId, InstallationId, MessageId, Partition, RoomId, ShardId
from parlor.model.messages import MessageDoc, MessageRow, QueuePosition, SenderType
from parlor.model.rooms import RoomRow, RoomsBefore

QUARTER_SECONDS = 15 * 60
"""Use is counted by quarters of an hour: by these, all time zones differ from UTC."""


class RowRefused(ParlorError):
    """The database refuses a row for its content; the batch was rolled back."""

    code, title = "row-refused", "The database refuses this row"


class SeqConflict(RowRefused):
    """Another message has this (room_id, seq): an alarm, never an overwrite."""

    code, title = "seq-conflict", "Another message has this slot"


class SchemaMismatch(ParlorError):
    """The databases are another installation's, or a newer program's: a setting is wrong, repeating does not help."""

    code, title = "schema-mismatch", "The databases do not fit this program or its settings"


class RoomCreate(msgspec.Struct, frozen=True, omit_defaults=True):
    """CHAT_ROOM_CREATE."""

    room_id: RoomId
    partition: Partition
    account_id: AccountId
    account_db_key: int
    title: str
    ai_persona: str
    created_at: int
    version: int
    external_id: str | None = None
    metadata: str | None = None


class MessageSave(msgspec.Struct, frozen=True):
    """CHAT_MESSAGE_SAVE."""

    room_id: RoomId
    seq: int
    doc: MessageDoc


class VersionSave(msgspec.Struct, frozen=True):
    """Part of a CHAT_MESSAGE_SAVE: what the message said before, kept beside it (an attempt, or the text before an
    edit). A message that is deleted loses its earlier versions. ``RowRefused`` for a message that is neither stored nor
    saved by the same batch, ``SeqConflict`` when another message has the slot."""

    room_id: RoomId
    seq: int
    doc: MessageDoc


class RoomTouch(msgspec.Struct, frozen=True):
    """A room's counters after its latest message operation: absolute values, so that repeating is harmless."""

    room_id: RoomId
    last_seq: int
    message_count: int
    last_message_at: int | None


class RoomUpdate(msgspec.Struct, frozen=True, omit_defaults=True):
    """CHAT_ROOM_UPDATE: a new title, persona and metadata, if ``version`` is higher than the stored one."""

    room_id: RoomId
    title: str
    version: int
    ai_persona: str | None = None
    """None leaves it: an update that an older program queued."""
    metadata: str | None = None
    """An object in JSON; None leaves it."""

    def after(self, lower: RoomUpdate | None) -> RoomUpdate:
        """This update as one that is applied behind another one, which it takes the place of."""
        if lower is None:
            return self
        persona = lower.ai_persona if self.ai_persona is None else self.ai_persona
        metadata = lower.metadata if self.metadata is None else self.metadata
        return msgspec.structs.replace(self, ai_persona=persona, metadata=metadata)


class SummarySave(msgspec.Struct, frozen=True):
    """Part of a CHAT_ROOM_UPDATE: the room's summary, if ``version`` is higher than the stored one; empty: none."""

    room_id: RoomId
    summary: str
    through_seq: int
    version: int
    updated_at: int


class MessageDelete(msgspec.Struct, frozen=True, omit_defaults=True):
    """CHAT_MESSAGE_DELETE: a tombstone, inserted when the message was never stored."""

    room_id: RoomId
    seq: int
    message_id: MessageId
    deleted_at: int
    sender_type: SenderType = SenderType.SYSTEM
    """The sender of a tombstone that is inserted. The default is for operations that an older release queued."""
    sent_at: int | None = None
    """The time of a tombstone that is inserted; None: when it was deleted."""


class RoomDelete(msgspec.Struct, frozen=True):
    """CHAT_ROOM_DELETE: soft, final. The row is inserted as deleted when it was never stored."""

    room_id: RoomId
    partition: Partition
    account_id: AccountId
    account_db_key: int
    deleted_at: int


class Fence(msgspec.Struct, frozen=True):
    """What a writer claims to hold, and where the partition stands after this batch."""

    partition: Partition
    epoch: int
    applied: QueuePosition


class Use(msgspec.Struct, frozen=True):
    """What is to be added to an account's messages and tokens of a quarter of an hour."""

    account_db_key: int
    quarter: int
    """Unix time / ``QUARTER_SECONDS``."""
    messages: int
    input_tokens: int
    output_tokens: int
    cost: int = 0
    """In billionths of the currency of the personas' prices."""


class SearchNote(msgspec.Struct, frozen=True):
    """A message that the search is to read (again): it was saved, edited or deleted."""

    partition: Partition
    room_id: RoomId
    seq: int


class CallNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a message's row says of calls of tools. It counts if the row has this version; a deleted message waits for
    nobody."""

    room_id: RoomId
    seq: int
    version: int
    waits: int
    """1 if one of them waits for a decision."""
    approved: list[str] = []
    """Digests of those that were approved once for the room."""


class DaySpan(msgspec.Struct, frozen=True):
    """A day of some time zone: the quarters of an hour with ``first <= quarter < beyond``."""

    day: str
    """``YYYY-MM-DD``."""
    first: int
    beyond: int


class Batch(msgspec.Struct, frozen=True):
    """One transaction of one shard. Lists are applied in the order of the fields; rows are sorted by primary key."""

    fences: list[Fence]
    room_creates: list[RoomCreate] = []
    message_saves: list[MessageSave] = []
    version_saves: list[VersionSave] = []
    room_touches: list[RoomTouch] = []
    room_updates: list[RoomUpdate] = []
    summary_saves: list[SummarySave] = []
    message_deletes: list[MessageDelete] = []
    room_deletes: list[RoomDelete] = []
    uses: list[Use] = []
    search_notes: list[SearchNote] = []
    call_notes: list[CallNote] = []


class PartitionProgress(msgspec.Struct, frozen=True):
    """A partition's row in its shard."""

    partition: Partition
    epoch: int
    """The writer's epoch, minted by ``acquire_partition``."""
    incarnation: int
    """The queue's incarnation, minted by ``open_partition``."""
    applied: QueuePosition
    """The watermark: the last queue entry whose effect is committed."""


class ChatStore(Protocol):
    """The specification's DatabaseService, with a verb for each procedure."""

    async def open_account(self, account_id: AccountId, most: int | None = None) -> AccountRow:
        """The account's row, made when first seen. The partition is chosen once and kept. Raises ``LimitReached`` when
        it is new, and there are ``most`` already."""

    async def restore_account(self, row: AccountRow) -> bool:
        """Puts back an account that the global database has forgotten; False when another account has its name or its
        number."""

    async def installation(self) -> InstallationId:
        """The installation's id, from the global database; remembered once it was read."""

    async def check_shard(self, shard: ShardId) -> None:
        """Raises ``ForeignStore`` when the database is not this shard of this installation."""

    async def shard_of(self, partition: Partition) -> ShardId:
        """From the mapping table (cached; ``refresh_shard_map`` reads it again)."""

    async def generation_of(self, partition: Partition) -> int:
        """How often it has moved, from the same table."""

    async def refresh_shard_map(self) -> None: ...

    def shard_ids(self) -> list[ShardId]:
        """Every shard that is configured, ascending."""

    async def partitions_of(self, shard: ShardId) -> list[Partition]:
        """The partitions that live on a shard, ascending."""

    async def rooms_get(
        self, shard: ShardId, account_db_key: int, *, limit: int, before: RoomsBefore | None = None
    ) -> list[RoomRow]:
        """An account's rooms, newest activity first (ties: higher room_id first)."""

    async def rooms_count(self, shard: ShardId, account_db_key: int) -> int: ...

    async def room_get(self, shard: ShardId, room_id: RoomId) -> RoomRow | None: ...

    async def room_find(self, shard: ShardId, account_db_key: int, external_id: str) -> RoomId | None:
        """The account's room that has the external id and is not deleted."""

    async def message_room(self, shard: ShardId, account_db_key: int, message_id: MessageId) -> RoomId | None:
        """The account's room that has the message; None also when the room is deleted."""

    async def messages_get(
        self, shard: ShardId, room_id: RoomId, *, above: int = 0, below: int | None = None, limit: int, newest: bool
    ) -> list[MessageRow]:
        """Rows with ``above < seq < below``, ascending; the newest ``limit`` of them, or the oldest."""

    async def message_find(self, shard: ShardId, room_id: RoomId, message_id: MessageId) -> MessageRow | None: ...

    async def versions_get(
        self, shard: ShardId, room_id: RoomId, seq: int, *, above: int = -1, limit: int
    ) -> list[MessageDoc]:
        """Returns the oldest ``limit`` versions above ``above`` that are earlier than the one that ``message_find``
        returns, ascending; none of a deleted message."""

    async def daily_use(self, shard: ShardId, account_db_key: int, days: Sequence[DaySpan]) -> list[DailyUse]:
        """What an account has used on each of these days, ascending; days without use are left out."""

    async def open_partition(self, shard: ShardId, partition: Partition, *, above: int = 0) -> PartitionProgress:
        """Mints a new incarnation of the partition's queue: higher than any before, and than ``above``. Unless it is
        the first one, it mints an epoch as well: what a writer has read from the queue before is not accepted any
        more."""

    async def acquire_partition(self, shard: ShardId, partition: Partition) -> PartitionProgress:
        """Mints a new epoch: from its commit on, no batch of an earlier writer is accepted."""

    async def progress(self, shard: ShardId) -> list[PartitionProgress]:
        """Every partition that the shard has a row for."""

    async def apply(self, shard: ShardId, batch: Batch) -> list[Partition]:
        """Applies a batch; returns the partitions whose fence failed. Not empty means that nothing was applied."""

    async def call_shard_procedure(
        self, shard: ShardId, name: str, args: tuple[object, ...]
    ) -> list[tuple[object, ...]]:
        """The specification's primitive: calls a stored procedure, returns its first result set."""

    async def call_newest(
        self, shard: ShardId, name: str, args: tuple[str | int | None, ...]
    ) -> list[tuple[object, ...]]:
        """Calls the newest version of a procedure of a shard, returns its first result set."""

    async def call_global_procedure(self, name: str, args: tuple[str | int | None, ...]) -> list[tuple[object, ...]]:
        """Calls the newest version of a procedure of the global database, returns its first result set."""

    async def ping(self, shard: ShardId | None) -> None:
        """Raises ``StoreUnavailable`` unless the shard (None: the global database) answers a query."""

    async def close(self) -> None: ...
