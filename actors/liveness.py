"""The liveness check: which actors answer. A task for each actor asks for its status again and again, so that an actor
that waits for a node, or whose node has just died, delays no other.

The time that a question has been open is counted in steps, not read from a clock: a Supervisor that was paused itself
must not take every other actor for silent when it resumes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from actors.contracts import ActorStatus
from parlor.clock import Clock

_log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
"""Seconds between an answer and the next question."""
AGAIN_SECONDS = 0.25
"""Seconds before the next question when there was no answer: a restarted actor should be noticed soon, and a call to a
dead one fails at once."""
STEP_SECONDS = 1.0
SILENT_SECONDS = 5.0
"""An actor is silent when a question has been open for this long; answers take milliseconds."""
HUNG_SECONDS = 10.0
"""An actor hangs, and is restarted, when a question has been open for this long: a busy machine answers sooner."""
ASK_SECONDS = 60.0
"""Longest wait for one answer. Calls to an actor that does not exist yet wait inside Ray, so there should be few."""


class NotStarted(Exception):
    """An actor cannot start, for the reason that is the message."""

    def __init__(self, reason: str, tries: float) -> None:
        """``tries``: the number of failures in a row after which another try is in vain."""
        super().__init__(reason)
        self.tries = tries


Ask = Callable[[], Awaitable[ActorStatus | None]]
"""Asks an actor for its status; None when it is dead or being restarted. Raises ``NotStarted``."""


class _Entry:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.last: ActorStatus | None = None
        self.answers = False
        self.open = False
        """Whether a question is open."""
        self.waited = 0.0
        """Seconds that the open question has been open for."""
        self.hung = False
        self.may_hang = False
        """Whether it has answered since it was started: an actor that starts slowly must not be restarted."""
        self.failure: NotStarted | None = None
        """Why it could not start when it was last asked."""
        self.failures = 0
        """How often in a row."""
        self.task: asyncio.Task[None] | None = None


class LivenessCheck:
    """Calls ``on_answer`` with each answer, and ``on_silence`` with the name of an actor that has died or stopped
    answering."""

    def __init__(
        self, clock: Clock, on_answer: Callable[[ActorStatus], None], on_silence: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._on_answer = on_answer
        self._on_silence = on_silence
        self._entries: dict[str, _Entry] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._counting: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def watch(self, name: str, kind: str, ask: Ask) -> None:
        """Starts asking an actor; does nothing if it is watched already."""
        if self._counting is None:
            self._counting = asyncio.create_task(self._count())
        if name not in self._entries:
            entry = self._entries[name] = _Entry(kind)
            entry.task = asyncio.create_task(self._follow(name, entry, ask))

    def forget(self, name: str) -> None:
        """Stops asking an actor."""
        entry = self._entries.pop(name, None)
        if entry is not None and entry.task is not None:
            entry.task.cancel()
            self._ending.add(entry.task)
            entry.task.add_done_callback(self._ending.discard)

    def answers(self, name: str) -> bool:
        """Returns whether its last question was answered, or the open one is younger than ``SILENT_SECONDS``."""
        entry = self._entries.get(name)
        return entry is not None and entry.answers

    def has_answered(self, name: str) -> bool:
        """Returns whether it has ever answered."""
        entry = self._entries.get(name)
        return entry is not None and entry.last is not None

    def failure(self, name: str) -> str | None:
        """Why an actor cannot start; None when it has not failed."""
        entry = self._entries.get(name)
        return str(entry.failure) if entry is not None and entry.failure is not None else None

    def hopeless(self) -> list[str]:
        """The actors that will not start however often they are asked, each with the reason."""
        found = [(name, entry.failures, entry.failure) for name, entry in self._entries.items()]
        return [f"{name}: {failure}" for name, failures, failure in found if failure and failures >= failure.tries]

    def take_hung(self) -> list[str]:
        """Returns the actors that hang; each once, until it has answered again."""
        found = [name for name, entry in self._entries.items() if entry.hung]
        for name in found:
            self._entries[name].hung = False
        return found

    def statuses(self) -> list[ActorStatus]:
        """Returns each actor's last known status; ``alive`` says whether it answers now, and the pid is 0 until it has
        started."""
        return [self._status(name, entry) for name, entry in self._entries.items()]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits, answer by answer, until a condition holds; the caller sets the time limit."""
        while not holds():
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        for name in list(self._entries):
            self.forget(name)
        if self._counting is not None:
            self._counting.cancel()
            self._ending.add(self._counting)
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
            entry.open = True
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    found = await ask()
            except TimeoutError:
                found = None
            except NotStarted as error:
                found, entry.failure = None, error
                entry.failures += 1
            except Exception:  # noqa: BLE001 - one actor's failure must not end the check
                _log.exception("status_failed", name=name)
                found = None
            entry.open, entry.waited = False, 0.0
            entry.hung, entry.may_hang = False, found is not None
            if found is None:
                self._fall_silent(name, entry)
            else:
                entry.answers, entry.last = True, found
                entry.failure, entry.failures = None, 0
                self._on_answer(found)
            self._news.set()
            await self._clock.sleep(AGAIN_SECONDS if found is None else PAUSE_SECONDS)

    async def _count(self) -> None:
        while True:
            await self._clock.sleep(STEP_SECONDS)
            for name, entry in list(self._entries.items()):
                if not entry.open:
                    continue
                entry.waited += STEP_SECONDS
                if entry.waited >= SILENT_SECONDS:
                    self._fall_silent(name, entry)
                if entry.waited >= HUNG_SECONDS and entry.may_hang:
                    entry.hung, entry.may_hang = True, False

    def _fall_silent(self, name: str, entry: _Entry) -> None:
        if entry.answers:
            entry.answers = False
            self._on_silence(name)
