"""Time and randomness as ports, so that nothing in the domain reads a clock or sleeps on its own."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Protocol


class Clock(Protocol):
    """What the domain may ask of time."""

    def now_ms(self) -> int:
        """Wall clock: unix time in milliseconds. It may jump; never used for safety, only for display and TTLs."""

    def monotonic(self) -> float:
        """Seconds that never go back; for intervals and deadlines."""

    async def sleep(self, seconds: float) -> None:
        """Wait; a test's clock decides when that is over."""


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Entropy(Protocol):
    """Where ids and tokens get their random bits."""

    def bits(self, count: int) -> int:
        """A uniformly random integer of ``count`` bits."""


class SystemEntropy:
    """The operating system's generator, read in blocks: a system call for each id would cost more than the id."""

    _BLOCK = 4096

    def __init__(self) -> None:
        self._pool = b""
        self._used = 0

    def bits(self, count: int) -> int:
        size = (count + 7) // 8
        if self._used + size > len(self._pool):
            self._pool, self._used = secrets.token_bytes(max(self._BLOCK, size)), 0
        taken = self._pool[self._used : self._used + size]
        self._used += size
        return int.from_bytes(taken, "big") >> (8 * size - count)
