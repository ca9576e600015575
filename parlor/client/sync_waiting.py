"""What waits for each other, with threads. ``async_waiting.py`` is the same for asyncio."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

_T = TypeVar("_T")
Running: TypeAlias = "Future[_T]"
"""What was started in a pool."""


class Promise(Generic[_T]):
    """A value that comes later, for one who waits."""

    def __init__(self) -> None:
        self._future: Future[_T] = Future()

    def give(self, value: _T) -> None:
        """Harmless again, and when nobody waits any more."""
        with suppress(InvalidStateError):
            self._future.set_result(value)

    def wait(self, seconds: float | None = None) -> _T:
        """None: until it is given. Raises ``TimeoutError``."""
        return self._future.result(seconds)


class Task:
    """Runs beside its caller."""

    def __init__(self, run: Callable[[], None]) -> None:
        self._ended: Future[None] = Future()
        self._run = run
        # A program that forgets to close its connection ends all the same.
        threading.Thread(target=self._main, name="parlor-client", daemon=True).start()

    def join(self, seconds: float) -> None:
        """Waits for its end. Raises what it raised, and ``TimeoutError``."""
        self._ended.result(seconds)

    def _main(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - raised by `join`
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)


class Pool:
    """Runs several things at once. When it is left, what was not begun is given up; what is under way sees ``is_left``,
    and is waited for."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.is_left = False
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="parlor-client")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_left = True
        self._threads.shutdown(cancel_futures=True)

    def start(self, run: Callable[..., _T], *given: Any) -> Running[_T]:
        return self._threads.submit(run, *given)

    def result(self, running: Running[_T]) -> _T:
        """What it returns, when it has ended. Raises what it raised."""
        return running.result()
