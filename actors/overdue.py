"""Rooms with unfinished replies whose owner has not been heard of in time, as commands that give them an owner.

A partition or a room that cannot be read now is left to the next sweep: it must not keep the others waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

import structlog

from parlor.cache.reads import CacheReader
from parlor.errors import Overloaded, ParlorError
from parlor.model.ids import ClusterId, Partition, RoomId
from parlor.rooms.commands import Command, Wake

_log = structlog.get_logger(__name__)

_Key = TypeVar("_Key")
_Answer = TypeVar("_Answer")

AT_ONCE = 100
"""Rooms of one partition that one sweep wakes."""

Elsewhere: TypeAlias = Callable[[set[ClusterId]], Awaitable[set[ClusterId]]]
"""Which of the clusters are others, and live: those wake their rooms themselves."""


async def overdue_wakes(reader: CacheReader, partitions: Sequence[Partition], elsewhere: Elsewhere) -> list[Wake]:
    """A wake for each overdue room that could be read, and that no other cluster has."""
    found = await asyncio.gather(*(reader.overdue_rooms(p, AT_ONCE) for p in partitions), return_exceptions=True)
    rooms = [room for _, overdue in _read("partitions", partitions, found) for room in overdue]
    holders = _read("rooms", rooms, await asyncio.gather(*map(reader.holder, rooms), return_exceptions=True))
    others = await elsewhere({holder.cluster for _, holder in holders})
    return [Wake(None, room, "", ticket=found.ticket) for room, found in holders if found.cluster not in others]


def by_actor(wakes: Iterable[Wake], place: Callable[[RoomId], str]) -> dict[str, list[Command]]:
    """The wakes for each actor. A room that no actor has space for is left to the next sweep."""
    batches: dict[str, list[Command]] = {}
    left: list[RoomId] = []
    for wake in wakes:
        try:
            batches.setdefault(place(wake.room_id), []).append(wake)
        except Overloaded:
            left.append(wake.room_id)
    if left:
        _log.warning("rooms_not_woken", count=len(left), rooms=left[:10])
    return batches


def _read(what: str, keys: Sequence[_Key], answers: Iterable[_Answer | BaseException]) -> list[tuple[_Key, _Answer]]:
    """The keys that were answered. What failed is logged in one line, because an outage makes it all of them; a fault
    of ours is raised."""
    answered: list[tuple[_Key, _Answer]] = []
    failed: list[_Key] = []
    error: ParlorError | None = None
    for key, answer in zip(keys, answers, strict=True):
        if isinstance(answer, ParlorError):
            failed.append(key)
            error = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            answered.append((key, answer))
    if error is not None:
        _log.warning("sweep_incomplete", what=what, failed=failed, code=error.code, debug=error.debug)
    return answered
