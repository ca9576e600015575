"""Work that is done once in an actor, by whichever call comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Once(Generic[Result]):
    """Call it and await the result. The work runs in a task of its own, so a caller that is cancelled does not end it;
    after a failure the next caller begins anew."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> None:
        self._work = work
        self._task: asyncio.Task[Result] | None = None

    @property
    def result(self) -> Result | None:
        """None until it has been done."""
        task = self._task
        done = task is not None and task.done() and not task.cancelled() and task.exception() is None
        return task.result() if task is not None and done else None

    async def __call__(self) -> Result:
        task = self._task
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._task = asyncio.create_task(self._work())
        return await asyncio.shield(task)
