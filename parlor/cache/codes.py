"""What a script answers: 0 and above is done, below is refused. The loader writes these into the scripts as CODE."""

from __future__ import annotations

from enum import IntEnum

from parlor import errors


class Code(IntEnum):
    OK = 0
    DUPLICATE = 1
    """It had been done before; the first answer is given again."""
    FENCED = -1
    MISSING = -2
    """Redis does not have the room: load it from its shard."""
    GONE = -3
    NOT_ACTIVE = -4
    OUT_OF_STEP = -5
    BUSY = -6
    OVERLOADED = -7
    IDEMPOTENCY = -8
    PARTITION_UNKNOWN = -9
    ILLEGAL = -10
    LEASE_LOST = -11
    NO_MESSAGE = -12
    LIMIT = -13
    FOREIGN = -14
    """The partition is another installation's."""
    UNCOUNTED = -15
    """What the account has used is not here: load it from its shard."""
    QUOTA = -16
    """A budget does not allow it."""
    DECIDED = -17
    """A call of a tool has another outcome by now."""
    DIGEST = -18
    """A call of a tool has other arguments than the decision names."""
    CLOSED = -19
    """Another server goes on with the partition, and its writer has not compared it with the shard yet."""


_REFUSALS: dict[Code, type[errors.ParlorError]] = {
    Code.FENCED: errors.Fenced,
    Code.MISSING: errors.OutOfStep,
    Code.GONE: errors.RoomNotFound,
    Code.NOT_ACTIVE: errors.RoomNotActive,
    Code.OUT_OF_STEP: errors.OutOfStep,
    Code.BUSY: errors.RoomBusy,
    Code.OVERLOADED: errors.Overloaded,
    Code.IDEMPOTENCY: errors.IdempotencyMismatch,
    Code.PARTITION_UNKNOWN: errors.PartitionUnknown,
    Code.ILLEGAL: errors.IllegalTransition,
    Code.LEASE_LOST: errors.LeaseLost,
    Code.NO_MESSAGE: errors.MessageNotFound,
    Code.LIMIT: errors.LimitReached,
    Code.FOREIGN: errors.ForeignCache,
    Code.UNCOUNTED: errors.Uncounted,
    Code.QUOTA: errors.QuotaExceeded,
    Code.DECIDED: errors.AlreadyDecided,
    Code.DIGEST: errors.DigestMismatch,
    Code.CLOSED: errors.CacheUnavailable,
}

FOREIGN = "Redis belongs to another installation"
CLOSED = "Redis has failed over; what it has is being compared with the database"
OVERLOADED_RETRY_AFTER = 2.0
"""Seconds: a writer takes a batch every three at most, so a full queue has moved by then or soon after."""


def refusal(code: int) -> errors.ParlorError:
    """The typed error for a negative code."""
    kind = _REFUSALS[Code(code)]
    if kind is errors.Overloaded:
        return kind("The queue to the permanent store is full", retry_after=OVERLOADED_RETRY_AFTER)
    if kind is errors.ForeignCache:
        return kind(FOREIGN, retry_after=1.0)
    if kind is errors.CacheUnavailable:
        return kind(debug=CLOSED, retry_after=1.0)
    if kind is errors.RoomBusy:
        return kind(retry_after=1.0)
    return kind()
