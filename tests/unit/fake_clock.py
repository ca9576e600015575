"""Time and randomness under a test's control, and ``settle``, which waits until no task can continue by itself."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random

NOW_MS = 1_795_403_885_042  # 2026-11-23T03:18:05.042Z


async def settle() -> None:
    """Returns when no task of this loop can continue before time passes or the test does something.

    This is exact as long as nothing waits for a thread or a socket.
    """
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(0)
        if not loop._ready:  # type: ignore[attr-defined]  # asyncio has no public word for "idle"
            return


class FakeClock:
    """A clock that stands still until ``advance`` or ``leap``."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.ms = now_ms
        self._sleepers: list[tuple[int, int, asyncio.Event]] = []
        self._order = itertools.count()

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        # Small, so that seconds are exact to the millisecond.
        return (self.ms - NOW_MS) / 1000

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        # Whole milliseconds, at least one, so that a rounding error never becomes a sleep that takes no time.
        due = self.ms + max(1, round(seconds * 1000))
        heapq.heappush(self._sleepers, (due, next(self._order), woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Moves time on, stopping whenever a sleeper is due to let all tasks run as far as they can."""
        target = self.ms + round(seconds * 1000)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, woken = heapq.heappop(self._sleepers)
            self.ms = max(self.ms, due)
            woken.set()
            await settle()
        self.ms = target

    def leap(self, seconds: float) -> None:
        """Moves time on at once. Whoever sleeps until then wakes up when the test next waits: for tests whose tasks
        also wait for sockets or threads."""
        self.ms += round(seconds * 1000)
        while self._sleepers and self._sleepers[0][0] <= self.ms:
            heapq.heappop(self._sleepers)[2].set()


class TickingClock(FakeClock):
    """Moves on by a millisecond when it is read: ids that are made one after the other sort so."""

    def now_ms(self) -> int:
        self.ms += 1
        return self.ms


class LeapingTime:
    """The clock of a running event loop, which its timeouts use: real time, until ``leap`` moves it on. So a timeout
    can be long enough for a busy machine without a test having to wait for it. For tests that talk over sockets."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._real = loop.time
        self._ahead = 0.0
        loop.time = self.monotonic  # type: ignore[method-assign]  # for the life of this loop: one test

    def monotonic(self) -> float:
        return self._real() + self._ahead

    def leap(self, seconds: float) -> None:
        """Lets every timeout of the loop that is due within ``seconds`` expire now."""
        self._ahead += seconds


class SeededEntropy:
    """Returns the same bits in each run."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def bits(self, count: int) -> int:
        return self._random.getrandbits(count)


class CountingEntropy:
    """1, 2, 3, ... instead of random bits."""

    def __init__(self) -> None:
        self._count = 0

    def bits(self, count: int) -> int:
        self._count += 1
        return self._count % (1 << count)
