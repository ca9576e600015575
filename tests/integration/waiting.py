"""Waiting for something in other processes: asked again and again until it holds, for a bounded time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

_T = TypeVar("_T")
PAUSE = 0.05


def patience(seconds: float) -> float:
    """So many seconds of a machine that does nothing else: longer while several processes wait for each processor."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


async def eventually(look: Callable[[], Awaitable[_T]], holds: Callable[[_T], object], seconds: float = 15.0) -> _T:
    """What ``look`` gave when ``holds`` said yes. Fails with the last one after ``seconds`` of an idle machine."""
    seconds = patience(seconds)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        async with asyncio.timeout(seconds):
            found = await look()
        if holds(found):
            return found
        assert loop.time() < deadline, f"not within {seconds:g} s: {found!r}"
        await asyncio.sleep(PAUSE)
