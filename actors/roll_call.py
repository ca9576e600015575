"""Who answers. Each actor is asked again and again by a task of its own, so one that waits for a node, or whose node
has just died, holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from actors.contracts import ActorStatus
from parlor.clock import Clock

_log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
"""Between an answer and the next question."""
SILENT_SECONDS = 5.0
"""From a question without an answer on an actor counts as silent; answers take milliseconds."""
ASK_SECONDS = 60.0
"""Longest wait for one answer. Calls to an actor that is not there yet wait in Ray, so they are few."""

Ask = Callable[[], Awaitable[ActorStatus | None]]
"""Asks an actor for its status; None when it is dead or being restarted."""


class _Entry:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.last: ActorStatus | None = None
        self.answers = False
        self.asked_at: float | None = None
        """Of the question that is open now."""
        self.task: asyncio.Task[None] | None = None


class RollCall:
    """``on_answer`` hears each answer as it comes."""

    def __init__(self, clock: Clock, on_answer: Callable[[ActorStatus], None]) -> None:
        self._clock = clock
        self._on_answer = on_answer
        self._entries: dict[str, _Entry] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    def enrol(self, name: str, kind: str, ask: Ask) -> None:
        """Begins to ask; once for each name."""
        if name not in self._entries:
            entry = self._entries[name] = _Entry(kind)
            entry.task = asyncio.create_task(self._follow(name, entry, ask))

    def strike(self, name: str) -> None:
        """Asks no more."""
        entry = self._entries.pop(name, None)
        if entry is not None and entry.task is not None:
            entry.task.cancel()
            self._ending.add(entry.task)
            entry.task.add_done_callback(self._ending.discard)

    def answers(self, name: str) -> bool:
        """Whether its last question was answered, or the open one is not old yet."""
        entry = self._entries.get(name)
        if entry is None or not entry.answers:
            return False
        return entry.asked_at is None or self._clock.monotonic() - entry.asked_at < SILENT_SECONDS

    def has_answered(self, name: str) -> bool:
        """Whether it ever did."""
        entry = self._entries.get(name)
        return entry is not None and entry.last is not None

    def statuses(self) -> list[ActorStatus]:
        """Of all, as last heard; ``alive`` is whether it answers now. Process id 0: it has not started yet."""
        return [self._status(name, entry) for name, entry in self._entries.items()]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits for answers until it holds; the caller sets the time limit."""
        while not holds():
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        for name in list(self._entries):
            self.strike(name)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _status(self, name: str, entry: _Entry) -> ActorStatus:
        last, alive = entry.last, self.answers(name)
        if last is None:
            return ActorStatus(name, entry.kind, 0, "", alive=False)
        if alive:
            return last
        return ActorStatus(name, entry.kind, last.pid, last.node, alive=False)

    async def _follow(self, name: str, entry: _Entry, ask: Ask) -> None:
        while True:
            entry.asked_at = self._clock.monotonic()
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    found = await ask()
            except TimeoutError:
                found = None
            except Exception:  # noqa: BLE001 - whatever is wrong with one actor, it is asked again
                _log.exception("status_failed", name=name)
                found = None
            entry.asked_at = None
            entry.answers = found is not None
            if found is not None:
                entry.last = found
                self._on_answer(found)
            self._news.set()
            await self._clock.sleep(PAUSE_SECONDS)
