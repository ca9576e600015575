"""An event loop in virtual time, on which *processes* can be stopped, continued and killed.

Time passes only when nothing can run, and then jumps to the next timer: a run takes no real time to wait, and one seed
is one run, always the same. A process is whatever was started in its context; a stopped one runs nothing (its timers
come due, and wait with everything else until it is continued), a killed one never again.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class Process:
    """A name, and whether it runs. ``context`` is where its tasks begin."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopped = False
        self.killed = False
        self.held: list[tuple[asyncio.Handle, Callable[[], object]]] = []
        """What came due while it was stopped, or since it was killed."""
        self.context = contextvars.copy_context()
        self.context.run(_PROCESS.set, self)

    def spawn(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        return asyncio.get_running_loop().create_task(work, context=self.context)

    def stop(self) -> None:
        self.stopped = True

    def resume(self) -> None:
        self.stopped = False
        if self.killed:
            return
        held, self.held = self.held, []
        loop = asyncio.get_running_loop()
        for handle, run in held:
            loop.call_soon(_late, handle, run, context=self.context)

    def kill(self) -> None:
        """Nothing is released, nothing is ended."""
        self.killed = True

    def bury(self) -> None:
        """At the end of a run: lets it go on, for its tasks to be cancelled."""
        self.killed = False
        self.resume()


_PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


def current_process() -> Process | None:
    return _PROCESS.get()


def _late(handle: asyncio.Handle, run: Callable[[], object]) -> None:
    # Looked at as late as the loop does it: what ran before may have cancelled it.
    if not handle.cancelled():
        run()


class Stalled(Exception):
    """Nothing can run and no timer is set: the simulation waits for something that cannot come."""


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now = 0.0
        self._selector_of_time = _TimeSelector(self)
        super().__init__(self._selector_of_time)

    def time(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        self._now += seconds

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        process = (context or contextvars.copy_context()).get(_PROCESS)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        gate = _Gate(process, callback, args)
        gate.handle = super().call_soon(gate, context=context)
        return gate.handle

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        process = (context or contextvars.copy_context()).get(_PROCESS)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        gate = _Gate(process, callback, args)
        handle = super().call_at(when, gate, context=context)
        gate.handle = handle
        return handle


class _Gate:
    """A callback of a process, which runs only while the process does."""

    __slots__ = ("args", "callback", "handle", "process")

    def __init__(self, process: Process, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.process = process
        self.callback = callback
        self.args = args
        self.handle: asyncio.Handle | None = None

    def __call__(self) -> None:
        if self.process.stopped or self.process.killed:
            assert self.handle is not None
            self.process.held.append((self.handle, self))
            return
        self.callback(*self.args)


class _TimeSelector(selectors.SelectSelector):
    """Where the loop would wait for a socket, time passes."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        if timeout is None:
            raise Stalled
        self._loop.pass_time(timeout)
        return found
