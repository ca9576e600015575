"""What a check can find: one struct for each kind of thing that a finding is about, and how it can be put right."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from parlor.cache.audit import Correction
from parlor.model.ids import AccountId, FileId, MessageId, Partition, RoomId, ShardId
from parlor.model.messages import QueuePosition

# Remedies. None of them touches what anybody said.


class Requeue(msgspec.Struct, frozen=True, tag="requeue"):
    """The operation is queued again, as Redis has it; versions keep it from overwriting anything (I8)."""

    op: str
    seq: int | None = None
    message_id: MessageId | None = None


class Correct(msgspec.Struct, frozen=True, tag="bookkeeping"):
    """Counters, lifetimes and lists of open replies follow from other keys, and are set to what these say."""

    correction: Correction


class Relist(msgspec.Struct, frozen=True, tag="list"):
    """The room is put into its account's list, or taken out."""


class Load(msgspec.Struct, frozen=True, tag="load"):
    """The room is loaded; the sweep finds its open replies an owner."""


class RequeueEntry(msgspec.Struct, frozen=True, tag="requeue-entry"):
    """A stranded entry goes back to the end of its queue."""


class DropBytes(msgspec.Struct, frozen=True, tag="drop-bytes"):
    """Bytes that no file has are deleted."""


class DropFile(msgspec.Struct, frozen=True, tag="drop-file"):
    """A file whose bytes are lost is taken out of its shard, and is answered and told as one that is gone."""

    shard: ShardId


class NoteCalls(msgspec.Struct, frozen=True, tag="note-calls"):
    """What its shard notes of a reply's calls is made what the stored reply says; versions keep it from undoing a later
    note."""

    seq: int
    version: int
    waits: bool
    approved: tuple[str, ...] = ()


class DropNotes(msgspec.Struct, frozen=True, tag="drop-notes"):
    """Notes about messages that are not there are deleted."""


class ForgetApproval(msgspec.Struct, frozen=True, tag="forget-approval"):
    """An approval that nobody gave is deleted: people are asked."""

    digest: str


Remedy: TypeAlias = (
    Requeue | Correct | Relist | Load | RequeueEntry | DropBytes | DropFile | NoteCalls | DropNotes | ForgetApproval
)

# Findings


class _Finding(msgspec.Struct, frozen=True, kw_only=True, tag_field="about"):
    invariant: str
    """Of ARCHITECTURE.md, the one that does not hold."""
    kind: str
    what: str
    """In words, without anybody's text."""
    remedy: Remedy | None = None
    """None when people have to decide."""


class RoomFinding(_Finding, frozen=True, kw_only=True, tag="room"):
    """A room contradicts itself, its queue or its row."""

    room_id: RoomId
    account_id: AccountId


class MessageFinding(_Finding, frozen=True, kw_only=True, tag="message"):
    """One message of a room does."""

    room_id: RoomId
    account_id: AccountId
    seq: int


class ListFinding(_Finding, frozen=True, kw_only=True, tag="list"):
    """An account's list has a room that is gone, or lacks one that is there."""

    room_id: RoomId
    account_id: AccountId


class AccountFinding(_Finding, frozen=True, kw_only=True, tag="account"):
    """An account's own counter is wrong."""

    room_id: RoomId
    """The room of the account with which it was noticed."""
    account_id: AccountId


class PartitionFinding(_Finding, frozen=True, kw_only=True, tag="partition"):
    """A queue and its shard contradict each other."""

    partition: Partition


class EntryFinding(_Finding, frozen=True, kw_only=True, tag="entry"):
    """One entry of a queue is nobody's."""

    partition: Partition
    position: QueuePosition


class DeletionFinding(_Finding, frozen=True, kw_only=True, tag="deletion"):
    """The receipt of a deleted account says that nothing is left, and something is."""

    account_id: AccountId
    receipt_id: str


class FileFinding(_Finding, frozen=True, kw_only=True, tag="file"):
    """A file lacks its bytes, or bytes lack a file."""

    file_id: FileId
    """Of the file, or of the upload that brought the bytes."""


InRoom: TypeAlias = RoomFinding | MessageFinding | ListFinding | AccountFinding
InQueue: TypeAlias = PartitionFinding | EntryFinding
Elsewhere: TypeAlias = DeletionFinding | FileFinding
Finding: TypeAlias = InRoom | InQueue | Elsewhere


def same_words(finding: Finding) -> Finding:
    """What two looks have to agree on. A remedy may go by figures that change between them."""
    return msgspec.structs.replace(finding, remedy=None)


def subject(finding: Finding) -> Finding:
    """What it is about: a repair may have changed the figures in it and not the fact."""
    return msgspec.structs.replace(finding, remedy=None, what="")
