"""The signals of the launcher: the first one asks it to stop, a second one forces it."""

from __future__ import annotations

import signal
import threading
from types import FrameType

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C has ended."""
_AGAIN_S = 1.0
"""Time between two attempts to interrupt the start: more than it takes to leave a step, as a rule."""


class Stopped(KeyboardInterrupt):
    """A signal arrived during the start. A `KeyboardInterrupt`, because libraries let that one through, Ray's C code
    among them.

    It may be lost all the same: Python drops what is raised in a destructor or a callback of C code, and one of these
    may be the first to run when a long call of C code returns. So it is raised again until the start has ended."""


class StopSignals:
    """SIGTERM and SIGINT of this process."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._forced = threading.Event()
        self._starting = False
        self._interrupted = False
        self._insists = False

    @property
    def interrupted(self) -> bool:
        """Whether a signal interrupted the start."""
        return self._interrupted

    @property
    def forced(self) -> bool:
        """Whether a second signal arrived."""
        return self._forced.is_set()

    def install(self) -> None:
        """Installs the handler. Called again when Ray has started: its core installs one for SIGTERM that ends the
        process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle)
        signal.signal(signal.SIGALRM, self._insist)

    def begin_start(self) -> None:
        """From here to ``end_start`` a signal raises ``Stopped`` in the main thread."""
        self._starting = True

    def end_start(self) -> None:
        self._starting = self._insists = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked.is_set():
            self._forced.set()
        self._asked.set()
        if self._starting:
            self._starting = False
            self._interrupted = True
            if signal.getsignal(signal.SIGALRM) == self._insist:
                self._insists = True
                signal.setitimer(signal.ITIMER_REAL, _AGAIN_S, _AGAIN_S)
            raise Stopped

    def _insist(self, _number: int, _frame: FrameType | None) -> None:
        if self._insists:
            raise Stopped

    def begin_stop(self) -> None:
        """The next signal forces the stop."""
        self.end_start()
        self._asked.set()

    def check(self) -> None:
        """Raises ``Stopped`` when a signal has arrived."""
        if self._asked.is_set():
            raise Stopped

    def wait(self, seconds: float) -> bool:
        """Waits for a signal; whether one has arrived."""
        return self._asked.wait(seconds)
