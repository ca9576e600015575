"""Identifiers: ids of rooms, messages and files that sort by time and carry their partition.

Such an id is a UUIDv8 (RFC 9562 section 5.8):

    bits   0..47   unix time in milliseconds
    bits  48..51   version, 8
    bits  52..63   partition, 0..4095
    bits  64..65   variant, 0b10
    bits  66..127  random

So no look-up is needed to route an id, and ids made later sort later.
"""

from __future__ import annotations

import re
from typing import NewType
from uuid import UUID

import msgspec

from parlor.clock import Clock, Entropy

AccountId = NewType("AccountId", str)
"""The owner's name, as the bearer token's subject says it."""
RoomId = NewType("RoomId", str)
"""A room's UUIDv8, 36 lower-case characters."""
MessageId = NewType("MessageId", str)
"""A message's UUIDv8, 36 lower-case characters."""
FileId = NewType("FileId", str)
"""A file's UUIDv8, 36 lower-case characters."""
Partition = NewType("Partition", int)
"""``0 <= partition < partitions``: one Redis hash slot, one queue, one shard."""
ShardId = NewType("ShardId", int)
"""A shard's number, from 1."""
InstallationId = NewType("InstallationId", str)
"""A UUID, decided by the installation's databases."""
ClusterId = NewType("ClusterId", str)
"""Names a Ray cluster: 12 hexadecimal digits, as old as its GCS."""

NO_CLUSTER = ClusterId("")
"""Of processes without Ray, and in claims from before clusters had names."""

MAX_PARTITIONS = 4096
_AT = "@"
"""Before the cluster, in a claim or a writer's name."""
_VERSION = 8
_VARIANT = 0b10
_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""How an id is written: version 8, variant 10, lower case. Several times as fast as parsing it as a UUID."""


class Home(int):
    """A shard's number that knows for which partition it was asked: a call goes to the shard where the partition lives
    when the call is made, however long ago that was. ``fixed``: to this shard, or it is refused."""

    partition: Partition
    fixed: bool

    def __new__(cls, shard: int, partition: Partition, fixed: bool = False) -> Home:
        made = super().__new__(cls, shard)
        made.partition, made.fixed = partition, fixed
        return made

    def __reduce__(self) -> tuple[type[Home], tuple[int, Partition, bool]]:
        return Home, (int(self), self.partition, self.fixed)


def home_of_shard(shard: int | None) -> Home | None:
    """None for a shard that was not asked for because of a partition."""
    return shard if isinstance(shard, Home) else None


class Claim(msgspec.Struct, frozen=True):
    """What an owner claims a room with: every script that writes for an owner compares it with the room's (I3).

    There is no empty one: that is what an unowned room has, and it would fit every such room.
    """

    token: str

    def __post_init__(self) -> None:
        if not self.token:
            raise ValueError("a claim has a token")


def in_cluster(name: str, cluster: ClusterId) -> str:
    """A claim, or a writer's name, that says where it is."""
    return f"{name}{_AT}{cluster}" if cluster else name


def cluster_of(name: str) -> ClusterId:
    """The cluster that a claim or a writer's name says; ``NO_CLUSTER`` for none."""
    return ClusterId(name.partition(_AT)[2])


def without_cluster(name: str) -> str:
    return name.partition(_AT)[0]


class IdMint:
    """Makes ids of rooms, messages and files."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy

    def room_id(self, partition: Partition) -> RoomId:
        return RoomId(self._uuid(partition))

    def message_id(self, partition: Partition) -> MessageId:
        return MessageId(self._uuid(partition))

    def file_id(self, partition: Partition) -> FileId:
        return FileId(self._uuid(partition))

    def claim(self, cluster: ClusterId = NO_CLUSTER) -> Claim:
        """One that no other owner has. It names the owner's cluster, if that is known."""
        return Claim(in_cluster(self.token(), cluster))

    def token(self) -> str:
        """A random token, 128 bits as 32 hexadecimal digits."""
        return f"{self._entropy.bits(128):032x}"

    def installation_id(self) -> InstallationId:
        """A UUIDv4 for databases that have none."""
        return InstallationId(str(UUID(int=self._entropy.bits(128), version=4)))

    def _uuid(self, partition: Partition) -> str:
        value = (self._clock.now_ms() & (2**48 - 1)) << 80
        value |= _VERSION << 76 | partition << 64 | _VARIANT << 62
        digits = f"{value | self._entropy.bits(62):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def home_of(room_id: RoomId) -> Partition:
    """The partition of a room id that was checked where it came in: it is read, not checked again."""
    return Partition(int(room_id[15:18], 16))


def minted_at(identifier: MessageId) -> int:
    """When an id was made that was checked where it came in, in unix milliseconds."""
    return int(identifier[:8] + identifier[9:13], 16)


def first_made_at(unix_ms: int) -> MessageId:
    """An id that sorts before every one that was made in this millisecond or later, and behind all that were made
    before."""
    digits = f"{unix_ms:012x}"
    return MessageId(f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000")


def partition_of(identifier: str) -> Partition | None:
    """The partition that an id carries; None when it is not one of our ids."""
    # Only the canonical spelling is an id: two spellings of one room would be two Redis keys.
    return home_of(RoomId(identifier)) if _CANONICAL.fullmatch(identifier) else None
