"""`parlor up`: starts the launcher, shows its progress and, unless detached, waits for its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import IO

import msgspec

from parlor_cli.checks import check
from parlor_cli.installation import Installation
from parlor_cli.options import UpOptions
from parlor_cli.progress import Progress, decode
from parlor_cli.refusal import Refusal
from parlor_cli.signals import INTERRUPTED

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(options: UpOptions, progress: Progress, *, detach: bool) -> int:
    """Returns the exit code: when `/readyz` answers 200 for a detached start, otherwise at the end of the run. Raises
    ``Refusal`` for a configuration that cannot be used, before anything starts."""
    check(options)
    if not detach:
        options = msgspec.structs.replace(options, tether=os.getpid())
    signals = _Signals()
    before = {number: signal.signal(number, signals.forward) for number in _SIGNALS}
    ready = failed = False
    try:
        launcher, lines = _start(options)
        signals.to(launcher)
        with lines:
            for line in filter(None, map(decode, lines)):
                progress.show(line.kind, line.text, line.step)
                failed = failed or line.kind == "failed"
                ready = ready or line.kind == "ready"
                if ready and detach:
                    return 0
        code = launcher.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if signals.received and not ready and not failed:
        progress.show("failed", "interrupted; what had started is stopped")
        return INTERRUPTED
    if code < 0:
        raise Refusal(f"the launcher was killed by {signal.Signals(-code).name}; {_log_hint(options.data_dir)}")
    if failed:
        progress.show("note", _log_hint(options.data_dir), step="log")
    return code


class _Signals:
    """Passes the signals of this process on to the launcher: the first one asks it to stop, a second one forces it."""

    def __init__(self) -> None:
        self.received = False
        self._launcher: subprocess.Popen[bytes] | None = None

    def to(self, launcher: subprocess.Popen[bytes]) -> None:
        """Names the launcher, which also gets a signal that came before."""
        self._launcher = launcher
        if self.received:
            self._send()

    def forward(self, _number: int, _frame: FrameType | None) -> None:
        self.received = True
        self._send()

    def _send(self) -> None:
        if self._launcher is not None and self._launcher.poll() is None:
            self._launcher.send_signal(signal.SIGTERM)


def _start(options: UpOptions) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Starts the launcher; returns it and its lines of progress."""
    # -P: keeps the current directory from shadowing installed packages.
    launcher = subprocess.Popen(
        [sys.executable, "-P", "-m", "parlor_cli.launcher"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    if launcher.stdin is None or launcher.stdout is None:
        raise RuntimeError("the launcher has no pipes")
    # It may have ended already, by a signal.
    with contextlib.suppress(BrokenPipeError), launcher.stdin as pipe:
        pipe.write(options.to_json())
    return launcher, launcher.stdout


def _log_hint(data_dir: Path) -> str:
    installation = Installation.find(data_dir)
    return f"the logs are in {installation.logs_dir}" if installation else "there are no logs yet"
