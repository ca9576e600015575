"""The end of an installation: everything stops in reverse order, each step within a limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from parlor_cli import leftovers, ray_cluster
from parlor_cli.installation import Installation
from parlor_cli.launcher_log import log
from parlor_cli.progress import Kind, Progress
from parlor_cli.signals import StopSignals
from parlor_cli.started import Started

_DRAIN_MARGIN_S = 30.0
"""Time for the drain beyond the timeouts of its parts."""
_SERVE_STOP_S = 20.0
_RAY_STOP_S = 15.0


class Shutdown:
    """Stops what was started."""

    def __init__(
        self,
        installation: Installation,
        progress: Progress,
        signals: StopSignals,
        started: Started,
        warn: Callable[[str], None],
    ) -> None:
        self._installation = installation
        self._progress = progress
        self._signals = signals
        self._started = started
        self._warn = warn
        self._silent = False

    def run(self, *, drain: bool, silent: bool = False) -> None:
        """``drain``: rooms and queues first. A signal meanwhile cuts the current step short. ``silent``: only what
        cannot be stopped is shown."""
        self._signals.begin_stop()
        self._silent = silent
        started, settings = self._started, self._started.settings
        if settings is not None and started.actors and drain:
            from actors import bootstrap

            seconds = settings.rooms.drain_timeout.total_seconds()
            # Rooms, queues and actors, one after the other, may each take that long.
            bound = 3 * seconds + _DRAIN_MARGIN_S
            self._bounded("drain", lambda: bootstrap.shut_down(settings, seconds), bound)
        if started.ingress is not None and drain:
            self._bounded("http", started.ingress.stop, _SERVE_STOP_S)
        if started.head is not None:
            self._bounded("ray", ray_cluster.leave, _RAY_STOP_S)
        for managed in reversed(started.servers):
            managed.server.stop()
        leftovers.end(self._installation, grace_s=1.0)
        self._installation.clear_run()
        self._installation.remove_runtime_dir()
        self._show("note", "stopped", step="down")
        log("INFO", "stopped")

    def _bounded(self, name: str, act: Callable[[], None], seconds: float) -> None:
        """Runs a step in a thread, so that the main thread can keep the time and receive signals."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                act()
            except Exception as error:  # noqa: BLE001 - shown below; the stop goes on whatever a step does
                failures.append(error)

        self._show("begin", f"at most {seconds:g} s", step=name)
        began = time.monotonic()
        thread = threading.Thread(target=run, name=f"stop-{name}", daemon=True)
        thread.start()
        while thread.is_alive() and time.monotonic() - began < seconds and not self._signals.forced:
            thread.join(0.1)
        if failures:
            self._warn(f"{name} failed: {failures[0]!r}")
        elif thread.is_alive():
            self._warn(f"{name} {'was cut short' if self._signals.forced else f'took longer than {seconds:g} s'}")
        else:
            self._show("done", f"{time.monotonic() - began:.1f} s", step=name)

    def _show(self, kind: Kind, text: str, step: str) -> None:
        if not self._silent:
            self._progress.show(kind, text, step=step)
