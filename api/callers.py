"""Who calls, with which credential, and the streams that end when the credential does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from parlor.clock import Clock
from parlor.model.access import Credential, Session

DRAIN = "drain"
"""The reason in ``stream.reconnect`` when the replica is being stopped."""
_OPENING = 60.0
"""Seconds within which a stream begins after its caller was checked."""


class Caller(msgspec.Struct, frozen=True):
    """The session of a request, and the credential that it came with."""

    session: Session
    credential: Credential
    scopes: frozenset[str] = frozenset({"read", "write"})
    """What it allows."""


class OpenStreams:
    """The callers of a replica's open streams."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._callers: dict[asyncio.Future[str], Caller] = {}
        self._recent: deque[tuple[float, Callable[[Caller], bool], str]] = deque()
        self._resumable: set[asyncio.Future[str]] = set()
        self._leaving = False

    @contextmanager
    def watch(self, caller: Caller, *, resumable: bool = True) -> Iterator[asyncio.Future[str]]:
        """Yields a future that is done when the caller's stream has to end before its time; its result says why.
        ``resumable``: its reader can go on at another replica."""
        ended = asyncio.get_running_loop().create_future()
        # What ended while the stream was opened: the caller had passed its check by then.
        for _, which, reason in self._recent:
            if which(caller) and not ended.done():
                ended.set_result(reason)
        self._callers[ended] = caller
        if resumable:
            self._resumable.add(ended)
            if self._leaving and not ended.done():
                ended.set_result(DRAIN)
        try:
            yield ended
        finally:
            del self._callers[ended]
            self._resumable.discard(ended)

    def leave(self) -> None:
        """Has the streams end whose readers can go on elsewhere, and those that begin from now on."""
        self._leaving = True
        for ended in self._resumable:
            if not ended.done():
                ended.set_result(DRAIN)

    def end(self, which: Callable[[Caller], bool], reason: str) -> None:
        """Has the streams of these callers end."""
        now = self._clock.monotonic()
        while self._recent and self._recent[0][0] < now - _OPENING:
            self._recent.popleft()
        self._recent.append((now, which, reason))
        for ended, caller in self._callers.items():
            if which(caller) and not ended.done():
                ended.set_result(reason)
