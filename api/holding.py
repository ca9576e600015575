"""What is held back, so that one account or address leaves the replica to others: refusals, and sends that come fast.

A refusal costs a replica as much as many an answer, so a client with hundreds of connections that asks again whenever
it was refused would keep the replica busy with nothing else. Nor does a burst that is allowed have to come first.
"""

from __future__ import annotations

import math

from parlor.clock import Clock

PER_SECOND, BURST = 100.0, 20
"""Refusals of one account or one address that are answered without waiting for each other."""
SECONDS_MAX = 5.0
_HELD_MAX = 20_000
"""Refusals that wait at a time, each on a connection of its own. More than HAProxy has connections: if those of one
client were enough to reach it, those of the next one would not be held back."""
_TIMES = 2.0
"""How much faster than its rate an account sends while others send too."""
_AT_ONCE = 20
"""Sends that take no turns."""
_SHARED_SECONDS = 1.0
"""How long it is remembered that several accounts send."""
_TURN_SECONDS_MAX = 1.0
_KEYS_MAX = 20_000
"""Accounts and addresses that are remembered; the one that was quiet longest is forgotten first."""


class Holding:
    """Holds refusals back, each key's one after the other."""

    def __init__(self, clock: Clock, least: float) -> None:
        """``least``: seconds that a refusal of a rate waits at least; 0: nothing is held back."""
        self._clock = clock
        self._least = least
        self._next: dict[str, float] = {}
        """When each key's next refusal would be answered, if all came at the pace."""
        self.held = 0
        """How many wait now."""

    async def wait(self, key: str, *, at_least: bool = True) -> None:
        """Waits until a refusal may be answered; ``at_least`` False: not at all if there were few."""
        if not self._least:
            return
        seconds = max(self._turn_of(key), self._least if at_least else 0.0)
        if seconds <= 0 or self.held >= _HELD_MAX:
            return
        self.held += 1
        try:
            await self._clock.sleep(seconds)
        finally:
            self.held -= 1

    def _turn_of(self, key: str) -> float:
        now = self._clock.monotonic()
        turn = max(self._next.pop(key, -math.inf), now - BURST / PER_SECOND)
        seconds = turn - now
        # One that waits as long as any does not make the next one wait longer.
        self._next[key] = turn + (1 / PER_SECOND if seconds < SECONDS_MAX else 0.0)
        if len(self._next) > _KEYS_MAX:
            del self._next[next(iter(self._next))]
        return seconds


class Turns:
    """The order of sends: while several accounts send, one that sends faster than it may for long takes turns at twice
    that rate. Alone, it is as fast as it can."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}
        self._last: str | None = None
        """The account of the last send."""
        self._shared_at = -math.inf
        """When an account sent after another one."""

    async def wait(self, account: str, per_second: float | None) -> None:
        """``per_second``: what the account may send; None: any number, and it never waits."""
        now = self._clock.monotonic()
        if account != self._last:
            if self._last is not None:
                self._shared_at = now
            self._last = account
        if per_second is None:
            return
        apart = 1 / (_TIMES * per_second)
        turn = max(self._next.pop(account, -math.inf), now - _AT_ONCE * apart)
        shared = now - self._shared_at < _SHARED_SECONDS
        seconds = min(turn - now, _TURN_SECONDS_MAX) if shared else 0.0
        self._next[account] = min(turn, now + _TURN_SECONDS_MAX) + apart if shared else now
        if len(self._next) > _KEYS_MAX:
            del self._next[next(iter(self._next))]
        if seconds > 0:
            await self._clock.sleep(seconds)
