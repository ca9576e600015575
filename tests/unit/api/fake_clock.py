"""Time and randomness that stand still until a test moves them."""

from __future__ import annotations

import asyncio

NOW_MS = 1_795_403_885_042  # 2026-11-23T03:18:05.042Z


class FakeClock:
    """Time stands still until ``advance``."""

    def __init__(self) -> None:
        self.ms = NOW_MS
        self._sleepers: list[tuple[int, asyncio.Event]] = []

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        due = self.ms + round(seconds * 1000)
        if due <= self.ms:
            return
        woken = asyncio.Event()
        self._sleepers.append((due, woken))
        await woken.wait()

    def advance(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)
        for due, woken in self._sleepers:
            if due <= self.ms:
                woken.set()


class CountingEntropy:
    """1, 2, 3, ... instead of random bits."""

    def __init__(self) -> None:
        self._count = 0

    def bits(self, count: int) -> int:
        self._count += 1
        return self._count % (1 << count)
