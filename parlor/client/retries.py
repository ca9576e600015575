"""When a call is tried again, and after how long."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from parlor.client.errors import ClientError, NoAnswer, RateLimited, Refused, Unavailable


class Retries(msgspec.Struct, frozen=True):
    """How patient a client is. Times are seconds."""

    tries: int = 8
    """How often one thing is tried; for a stream, how often in a row without an event."""
    first_pause: float = 0.25
    """Doubled with each try. Pauses are shortened by up to half at random, so that clients come back apart."""
    longest_pause: float = 8.0
    longest_wait: float = 60.0
    """When the server asks for a longer wait (``Retry-After``), its refusal is raised."""


class Pauses:
    """Counts the tries of one thing."""

    def __init__(self, retries: Retries, jitter: Callable[[], float]) -> None:
        self._retries = retries
        self._jitter = jitter
        self._failures = 0

    def progress(self) -> None:
        """Begins to count anew: something came."""
        self._failures = 0

    def again(self, failure: ClientError) -> None:
        """Counts a try that is made again at once. Raises ``failure`` when there were enough."""
        self._failures += 1
        if self._failures >= self._retries.tries:
            raise failure

    def after(self, failure: ClientError) -> float:
        """Seconds until the next try. Raises ``failure`` when there is none."""
        self.again(failure)
        if not is_passing(failure):
            raise failure
        asked = failure.retry_after if isinstance(failure, Refused) else None
        if asked is not None and asked > self._retries.longest_wait:
            raise failure
        pause = min(self._retries.longest_pause, self._retries.first_pause * 2.0 ** (self._failures - 1))
        return max(asked or 0.0, pause * (1 - self._jitter() / 2))


def is_passing(failure: ClientError) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(failure, NoAnswer | RateLimited | Unavailable)
