"""What waits for each other, for asyncio. ``sync_waiting.py`` is the same with threads: written, not made from this."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

_T = TypeVar("_T")
Running: TypeAlias = "asyncio.Task[_T]"
"""What was started in a pool."""


class AsyncPromise(Generic[_T]):
    """A value that comes later, for one who waits."""

    def __init__(self) -> None:
        self._future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

    def give(self, value: _T) -> None:
        """Harmless again, and when nobody waits any more."""
        if not self._future.done():
            self._future.set_result(value)

    async def wait(self, seconds: float | None = None) -> _T:
        """None: until it is given. Raises ``TimeoutError``."""
        async with asyncio.timeout(seconds):
            return await self._future


class AsyncTask:
    """Runs beside its caller."""

    def __init__(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._task = asyncio.create_task(run())

    async def join(self, seconds: float) -> None:
        """Waits for its end. Raises what it raised, and ``TimeoutError``."""
        async with asyncio.timeout(seconds):
            await self._task


class AsyncPool:
    """Runs several things at once; what has not ended when it is left is given up."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, run: Callable[..., Coroutine[Any, Any, _T]], *given: Any) -> Running[_T]:
        task = asyncio.create_task(run(*given))
        self._tasks.add(task)
        return task

    async def result(self, running: Running[_T]) -> _T:
        """What it returns, when it has ended. Raises what it raised."""
        try:
            return await running
        finally:
            self._tasks.discard(running)
