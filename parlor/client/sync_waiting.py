"""What waits for each other, with threads. ``async_waiting.py`` is the same for asyncio."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from parlor.client.errors import NoAnswer

_T = TypeVar("_T")
_here = threading.local()
"""``task``: which one this thread is."""


class Promise(Generic[_T]):
    """A value that comes later, for one who waits."""

    def __init__(self) -> None:
        self._future: Future[_T] = Future()

    def give(self, value: _T) -> None:
        """Harmless again, and when nobody waits any more."""
        with suppress(InvalidStateError):
            self._future.set_result(value)

    def cancel(self) -> None:
        """Whoever waits does no longer, unless it was given."""
        self._future.cancel()

    def wait(self, seconds: float | None = None) -> _T:
        """None: until it is given. Raises ``TimeoutError``, and ``CancelledError`` in a task that is cancelled."""
        if sys.is_finalizing():
            # An iterator that was never closed is closed now. No other thread runs any more.
            raise NoAnswer("the program ends")
        if (task := getattr(_here, "task", None)) is not None:
            task.waits_for(self)
        return self._future.result(seconds)


class Running(Generic[_T]):
    """What runs in another thread."""

    def __init__(self, run: Callable[..., _T], *given: Any) -> None:
        self._ended: Future[_T] = Future()
        self._run = run
        self._given = given
        self._promise: Promise[Any] | None = None
        self._is_cancelled = False

    def __call__(self) -> None:
        """Runs it, in this thread."""
        _here.task = self
        try:
            found = self._run(*self._given)
        except BaseException as error:  # noqa: BLE001 - raised by `join`
            self._ended.set_exception(error)
        else:
            self._ended.set_result(found)

    def done(self) -> bool:
        return self._ended.done()

    def join(self, seconds: float | None = None) -> _T:
        """Waits for its end; returns what it returned. Raises what it raised, and ``TimeoutError``."""
        return self._ended.result(seconds)

    def cancel(self) -> None:
        """It waits for nothing any more."""
        self._is_cancelled = True
        if (promise := self._promise) is not None:
            promise.cancel()

    def waits_for(self, promise: Promise[Any]) -> None:
        """Told by what runs, before it waits."""
        self._promise = promise
        if self._is_cancelled:  # looked at after the line above: `cancel` does it the other way round
            promise.cancel()


class Task(Running[None]):
    """Runs beside its caller."""

    def __init__(self, run: Callable[[], None]) -> None:
        super().__init__(run)
        _start(self)

    def waits_for(self, promise: Promise[Any]) -> None:
        # It reads what others wait for. An iterator that the garbage collector closes in its thread would wait here.
        raise NoAnswer("whoever reads waits for no answer")


class Pool:
    """Runs several things at once, each in a thread; what has not ended when it is left is given up."""

    def __init__(self) -> None:
        self._running: set[Running[Any]] = set()
        self._work: SimpleQueue[Running[Any] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for running in self._running:
            running.cancel()
        self._work.put(None)
        for thread in () if sys.is_finalizing() else self._threads:
            thread.join()

    def start(self, run: Callable[..., _T], *given: Any) -> Running[_T]:
        running = Running(run, *given)
        self._running.add(running)
        self._work.put(running)
        if not self._idle.acquire(blocking=False):
            self._threads.append(_start(self._serve))
        return running

    def result(self, running: Running[_T]) -> _T:
        """What it returns, when it has ended. Raises what it raised."""
        found = running.join()
        self._running.discard(running)  # not when the wait is interrupted: it still runs
        return found

    def _serve(self) -> None:
        while (running := self._work.get()) is not None:
            running()
            self._idle.release()
        self._work.put(None)  # for the next one; an interrupt may have come before `start` noted it


def _start(run: Callable[[], None]) -> threading.Thread:
    # A program that forgets to close its connection ends all the same.
    thread = threading.Thread(target=run, name="parlor-client", daemon=True)
    thread.start()
    return thread
