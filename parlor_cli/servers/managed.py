"""A server that is restarted when it dies."""

from __future__ import annotations

import time

from parlor_cli.servers.process import Server, ServerPlan

_BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Waits before the restarts of a server that keeps dying; the last one repeats."""
_STEADY_S = 60.0
"""A server that has run for so long begins with the first wait again."""


class ManagedServer:
    """A running server, and its restarts."""

    def __init__(self, plan: ServerPlan) -> None:
        self.plan = plan
        self.server = Server.start(plan)
        self._deaths = 0
        self._started = time.monotonic()
        self._restart_at: float | None = None

    def check(self) -> str | None:
        """Notices a death, and restarts the server when its wait is over. Returns a message when something happened."""
        now = time.monotonic()
        if self.server.is_alive():
            return None
        if self._restart_at is None:
            if now - self._started > _STEADY_S:
                self._deaths = 0
            wait = _BACKOFF_S[min(self._deaths, len(_BACKOFF_S) - 1)]
            self._deaths += 1
            self._restart_at = now + wait
            return f"{self.plan.name} ended; starting it again in {wait:g} s (its log: {self.plan.log})"
        if now < self._restart_at:
            return None
        self._restart_at = None
        self.server = Server.start(self.plan)
        self._started = time.monotonic()
        return f"{self.plan.name} is back (pid {self.server.ref.pid})"
