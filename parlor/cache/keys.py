"""Every key that Parlor has in Redis, in one place.

All keys of a partition carry its hash tag (``{p17}``), so that a script can touch all of them on a Redis Cluster (I19).

    <prefix>:{p17}:partition            HASH    incarnation, next (counter of the queue's entries), installation,
                                                applied (the shard's watermark, as its writer told it),
                                                history (where servers fail over: the one that it is open in)
    <prefix>:{p17}:lease                STRING  the writer's token and name
    <prefix>:{p17}:queue                STREAM  operations to persist; group and consumer `writer`
    <prefix>:{p17}:dead                 STREAM  operations that the shard refused for their content
    <prefix>:{p17}:generating           ZSET    rooms with unfinished replies, by when their owner has to be heard of
    <prefix>:{p17}:reserving            ZSET    accounts that have reserved something (number and name), by when a sweep
                                                looks at it
    <prefix>:{p17}:room:<id>            HASH    the room, its claim and how many there were (claims), seq,
                                                version, state, log, event position, counters
    <prefix>:{p17}:messages:<room>      HASH    d:<seq> -> the message's document
    <prefix>:{p17}:states:<room>        HASH    s:<seq> -> state, l:<seq> -> log, i:<message> -> seq, m:<seq> -> message
                                                x:<seq> while its delete is not in the shard
    <prefix>:{p17}:open:<room>          ZSET    replies that have not ended, by seq
    <prefix>:{p17}:draft:<room>         STRING  the reply that is being written, so far: text and reasoning
    <prefix>:{p17}:events:<room>        STREAM  the room's event log; its name is also the channel of its wake-ups
    <prefix>:{p17}:idempotency:<room>:<digest>  HASH  what a request in the room with this key was answered
    <prefix>:{p17}:creation:<account>:<digest>  HASH  which room was created with this key
    <prefix>:{p17}:ticket:<digest>      HASH    whose ticket, for which event stream, until when
    <prefix>:{p17}:code:<digest>        STRING  the account of a sign-in code, and its session, sealed with the code
    <prefix>:{p17}:account:<account>    HASH    event position, pending, complete and filling (the list),
                                                x:<external id> -> room;
                                                what is used: budget_day, budget_month, day_tokens and so on; held:...
                                                what is reserved of it, r:<message> each reservation, o:<message> since
                                                when its turn is not open, l:<call> its caller's last sign of life;
                                                charged (the last queued operation that counts tokens)
    <prefix>:{p17}:rooms:<account>      ZSET    the account's rooms by their last activity
    <prefix>:{p17}:account_events:<account>  STREAM  the account's event log
    <prefix>:{c<cluster>}:alive         STRING  a sign of life of a Ray cluster
    <prefix>:{c<cluster>}:calls         LIST    commands that other clusters forward to it
    <prefix>:{c<cluster>}:answer:<nonce>  STRING  what one of them was answered; empty while it waits
    <prefix>:clusters                   SET     the Ray clusters that serve the installation, or did
    <prefix>:session:<account>          HASH    the account's row, for when the global database does not answer
    <prefix>:not_before                 ZSET    the accounts that were revoked, by when
    <prefix>:standing                   ZSET    the accounts that were disabled or deleted, by when and which
"""

from __future__ import annotations

import hashlib
import re

from parlor.model.ids import AccountId, ClusterId, Partition, RoomId

_PARTITION = re.compile(r"[^{}]*\{p\d+\}:")


def partition_key(key: str) -> str | None:
    """The key of the partition that a key belongs to; None for one that is in no partition."""
    found = _PARTITION.match(key)
    return f"{found[0]}partition" if found else None


class Keys:
    """Makes the names. ``prefix`` tells two installations on one server apart."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def partition(self, partition: Partition) -> str:
        return f"{self._tag(partition)}:partition"

    def lease(self, partition: Partition) -> str:
        return f"{self._tag(partition)}:lease"

    def queue(self, partition: Partition) -> str:
        return f"{self._tag(partition)}:queue"

    def dead(self, partition: Partition) -> str:
        return f"{self._tag(partition)}:dead"

    def generating(self, partition: Partition) -> str:
        return f"{self._tag(partition)}:generating"

    def reserving(self, partition: Partition) -> str:
        return f"{self._tag(partition)}:reserving"

    def room(self, partition: Partition, room: RoomId) -> str:
        return f"{self._tag(partition)}:room:{room}"

    def messages(self, partition: Partition, room: RoomId) -> str:
        return f"{self._tag(partition)}:messages:{room}"

    def states(self, partition: Partition, room: RoomId) -> str:
        return f"{self._tag(partition)}:states:{room}"

    def open(self, partition: Partition, room: RoomId) -> str:
        return f"{self._tag(partition)}:open:{room}"

    def draft(self, partition: Partition, room: RoomId) -> str:
        return f"{self._tag(partition)}:draft:{room}"

    def events(self, partition: Partition, room: RoomId) -> str:
        return f"{self._tag(partition)}:events:{room}"

    def idempotency(self, partition: Partition, room: RoomId, key: str) -> str:
        # A digest: the client chooses the key, and this bounds its length and its characters.
        return f"{self._tag(partition)}:idempotency:{room}:{_digest(key)}"

    def creation(self, partition: Partition, account: AccountId, key: str) -> str:
        return f"{self._tag(partition)}:creation:{account}:{_digest(key)}"

    def ticket(self, partition: Partition, ticket: str) -> str:
        # A digest: who can list keys must not be able to use the ticket.
        return f"{self._tag(partition)}:ticket:{_digest(ticket)}"

    def code(self, partition: Partition, code: str) -> str:
        return f"{self._tag(partition)}:code:{_digest(code)}"

    def account(self, partition: Partition, account: AccountId) -> str:
        return f"{self._tag(partition)}:account:{account}"

    def rooms(self, partition: Partition, account: AccountId) -> str:
        return f"{self._tag(partition)}:rooms:{account}"

    def account_events(self, partition: Partition, account: AccountId) -> str:
        return f"{self._tag(partition)}:account_events:{account}"

    def alive(self, cluster: ClusterId) -> str:
        return f"{self._of_cluster(cluster)}:alive"

    def calls(self, cluster: ClusterId) -> str:
        return f"{self._of_cluster(cluster)}:calls"

    def answer(self, cluster: ClusterId, nonce: str) -> str:
        return f"{self._of_cluster(cluster)}:answer:{nonce}"

    def clusters(self) -> str:
        return f"{self._prefix}:clusters"

    def session(self, account: AccountId) -> str:
        return f"{self._prefix}:session:{account}"

    def not_before(self) -> str:
        return f"{self._prefix}:not_before"

    def standing(self) -> str:
        return f"{self._prefix}:standing"

    def of_any_partition(self) -> str:
        """The pattern that the keys of partitions match."""
        return f"{self._prefix}:{{p*}}:*"

    def _of_cluster(self, cluster: ClusterId) -> str:
        return f"{self._prefix}:{{c{cluster}}}"

    def _tag(self, partition: Partition) -> str:
        return f"{self._prefix}:{{p{partition}}}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:32]
