"""Rooms with unfinished replies whose owner has not been heard of in time, as commands that give them an owner.

A partition or a room that cannot be read now is left to the next sweep: it must not keep the others waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TypeVar

import structlog

from parlor.cache.reads import CacheReader
from parlor.errors import ParlorError
from parlor.model.ids import Partition
from parlor.rooms.commands import Wake

_log = structlog.get_logger(__name__)

_Key = TypeVar("_Key")
_Answer = TypeVar("_Answer")

AT_ONCE = 100
"""Rooms of one partition that one sweep wakes."""


async def overdue_wakes(reader: CacheReader, partitions: Sequence[Partition]) -> list[Wake]:
    """A wake for each overdue room that could be read."""
    found = await asyncio.gather(*(reader.overdue_rooms(p, AT_ONCE) for p in partitions), return_exceptions=True)
    rooms = [room for _, overdue in _read("partitions", partitions, found) for room in overdue]
    tickets = await asyncio.gather(*map(reader.claims, rooms), return_exceptions=True)
    return [Wake(None, room, "", ticket=ticket) for room, ticket in _read("rooms", rooms, tickets)]


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
