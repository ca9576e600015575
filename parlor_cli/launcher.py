"""The launcher: the process that owns everything that `parlor up` starts.

    python -m parlor_cli.launcher       options as JSON on standard input, progress as JSON lines on standard output

It runs in a session of its own, so that Ctrl-C at a terminal does not reach its children: SIGTERM or SIGINT asks it to
drain and stop, a second one forces it. It starts all servers from its main thread, and the kernel ends them when that
thread ends, for whatever reason.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from parlor_cli import processes
from parlor_cli.installation import Installation
from parlor_cli.launcher_log import log, log_failure
from parlor_cli.options import UpOptions
from parlor_cli.progress import PipeProgress, Progress
from parlor_cli.refusal import Refusal
from parlor_cli.servers.tether import die_with
from parlor_cli.shutdown import Shutdown
from parlor_cli.signals import INTERRUPTED, Stopped, StopSignals
from parlor_cli.started import Started
from parlor_cli.startup import Startup

_WATCH_S = 0.5
"""Time between two checks of the children."""


class Launcher:
    """Starts an installation, watches it, stops it."""

    def __init__(
        self, installation: Installation, options: UpOptions, progress: Progress, signals: StopSignals
    ) -> None:
        self._progress = progress
        self.signals = signals
        self._started = Started(installation)
        self._startup = Startup(installation, options, progress, signals, self._started)
        self._shutdown = Shutdown(installation, progress, signals, self._started, self._warn)

    def start(self) -> None:
        """Raises ``Refusal``, or ``Stopped`` after a signal."""
        self._startup.run()

    def watch(self) -> int:
        """Restarts servers that die, until a signal arrives or Ray dies, which cannot be restarted.

        Returns the exit code.
        """
        started = self._started
        while not self.signals.wait(_WATCH_S):
            for managed in started.servers:
                try:
                    news = managed.check()
                except Refusal as refusal:
                    news = refusal.message
                if news is not None:
                    self._warn(news)
                    started.record()
            for name, ref in started.head.processes.items() if started.head else ():
                if not processes.is_alive(ref):
                    self._warn(f"Ray's {name} (pid {ref.pid}) ended; Parlor cannot go on without it")
                    return 1
        return 0

    def stop(self, *, drain: bool) -> None:
        """``drain``: rooms and queues first. How it goes is not shown to somebody who interrupted the start."""
        self._shutdown.run(drain=drain, silent=self.signals.interrupted)

    def _warn(self, text: str) -> None:
        self._progress.show("warn", text, step="launcher")
        log("WARNING", text)


def run(installation: Installation, options: UpOptions, progress: Progress, signals: StopSignals) -> int:
    """From start to stop; returns the exit code. The caller holds the lock, and has begun to listen to ``signals``."""
    launcher = Launcher(installation, options, progress, signals)
    failure = _failure(launcher)
    code = launcher.watch() if failure is None else _report_failure(launcher, failure, progress)
    launcher.stop(drain=failure is None and code == 0)
    return code


def _failure(launcher: Launcher) -> BaseException | None:
    """Starts; returns what ended the start, or None."""
    failure: BaseException | None = None
    try:
        try:
            launcher.start()
        except BaseException as error:  # noqa: BLE001 - shown to the user, and everything is stopped
            failure = error
        launcher.signals.end_start()
    except Stopped as error:
        # A signal that came while the start was ending.
        launcher.signals.end_start()
        failure = failure or error
    return failure


def _report_failure(launcher: Launcher, error: BaseException, progress: Progress) -> int:
    """Shows why the start failed; returns the exit code."""
    if launcher.signals.interrupted:
        # Not always a `Stopped`: a library may have wrapped it in an error of its own.
        return INTERRUPTED
    # What is shown may be gone with its terminal.
    log_failure(error)
    if isinstance(error, Refusal):
        progress.show("failed", error.message)
        return error.exit_code
    # Ray's errors contain the whole remote traceback; its last line says what happened.
    last_line = str(error).strip().splitlines()[-1:] or [""]
    progress.show("failed", f"{type(error).__name__}: {last_line[0]}")
    return 1


def main() -> None:
    """Reads the options, redirects the output to the log, and runs."""
    signals = StopSignals()
    signals.begin_start()
    signals.install()
    progress = PipeProgress(os.dup(sys.stdout.fileno()))
    code = 1
    try:
        options = UpOptions.from_json(sys.stdin.buffer.read())
        if options.tether is not None:
            die_with(options.tether, signal.SIGTERM)
        installation = Installation.found(options.data_dir)
        with installation.locked():
            _log_to(installation.logs_dir / "launcher.log")
            code = run(installation, options, progress, signals)
    except Refusal as refusal:
        signals.end_start()
        progress.show("failed", refusal.message)
        code = refusal.exit_code
    except Stopped:
        # Nothing had started yet.
        signals.end_start()
        code = INTERRUPTED
    sys.stdout.flush()
    sys.stderr.flush()
    # Not `sys.exit`: threads of a step that was cut short, or of Ray, must not delay the end.
    os._exit(code)


def _log_to(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("ab") as log, open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device, not a file
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


if __name__ == "__main__":
    main()
