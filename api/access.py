"""Follows what changes about credentials, in every replica: keys that come and go, accounts that were revoked.

A replica keeps what it has read, so that a request costs no round trip. Every two seconds it asks the global database
what has changed since, and forgets that. While the database does not answer it goes on with what it knows: nobody can
be revoked then either.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from api.api_keys import PREFIX as API_KEY
from api.api_keys import ApiKeys
from api.callers import Caller, OpenStreams
from api.key_ring import KeyRing
from api.provider import PREFIX as PROVIDER
from api.sessions import Sessions
from parlor.clock import Clock
from parlor.errors import ParlorError
from parlor.store.access import BEFORE_ANY, Access, AccessChange, ChangeKind

INTERVAL = 2.0
"""Seconds between two questions: with the time of the question itself, a change is everywhere within five."""
LOOK_INTERVAL = 1.0
"""Seconds after which an unknown key is worth another question."""
REVOKED = "token-revoked"
"""The reason in ``stream.reconnect``."""
_log = structlog.get_logger(__name__)


class AccessFollower:
    """What a replica knows of credentials, kept up to date by ``run``."""

    def __init__(self, ring: KeyRing, keys: ApiKeys, sessions: Sessions, streams: OpenStreams, clock: Clock) -> None:
        self._ring = ring
        self._keys = keys
        self._sessions = sessions
        self._streams = streams
        self._clock = clock
        self._lock = asyncio.Lock()
        self._revision: int | None = None
        """The last change that was followed; None: nothing has been read."""
        self._looked_at = -LOOK_INTERVAL
        self._failing = False
        self._shut_out: set[str] = set()
        """Accounts that were disabled or deleted since this replica began."""

    async def run(self, access: Access) -> None:
        """Follows until it is cancelled."""
        while True:
            try:
                await self._follow(access)
                await self._keys.write_uses(access)
                self._failing = False
            except ParlorError as error:
                if not self._failing:
                    _log.warning("access_not_followed", code=error.code, debug=error.debug)
                self._failing = True
            await self._clock.sleep(INTERVAL)

    async def ready(self, access: Access) -> None:
        """Returns when the keys are known. Raises ``StoreUnavailable``."""
        if self._revision is None:
            await self._follow(access)

    async def look_again(self, access: Access) -> None:
        """Follows now, for a key that may be new; but not more often than ``LOOK_INTERVAL``."""
        now = self._clock.monotonic()
        if now - self._looked_at < LOOK_INTERVAL:
            async with self._lock:  # whoever is looking has not found it yet
                return
        self._looked_at = now
        await self._follow(access)

    async def _follow(self, access: Access) -> None:
        async with self._lock:
            if self._revision is None:
                await self._begin(access)
                return
            while True:
                told = await access.changes(self._revision)
                first = told.changes[0].revision if told.changes else told.head + 1
                if first > self._revision + 1 or told.head < self._revision:
                    # Changes are gone, or the database was put back to an earlier state: any credential may have ended.
                    _log.warning("access_changes_missed", known=self._revision, head=told.head)
                    self._sessions.forget_all()
                    self._keys.forget_all()
                    self._streams.end(lambda _: True, REVOKED)
                    await self._begin(access)
                    return
                if not told.changes:
                    return
                await self._apply(access, told.changes)
                self._revision = told.changes[-1].revision

    async def _begin(self, access: Access) -> None:
        # The revision is read first: what changes in between is told again.
        revision = (await access.changes(BEFORE_ANY)).head
        self._ring.load(await access.signing_keys())
        self._revision = revision

    async def _apply(self, access: Access, changes: list[AccessChange]) -> None:
        for change in changes:
            if change.kind == ChangeKind.ACCOUNT_REVOKED:
                self._sessions.forget(change.subject)
                self._streams.end(partial(_is_revoked, change), REVOKED)
            elif change.kind in (ChangeKind.ACCOUNT_DISABLED, ChangeKind.ACCOUNT_DELETED):
                self._sessions.forget(change.subject)
                self._shut_out.add(change.subject)
                self._streams.end(self._is_shut_out, REVOKED)
            elif change.kind == ChangeKind.ACCOUNT_ACTIVE:
                self._sessions.forget(change.subject)
                self._shut_out.discard(change.subject)
            elif change.kind == ChangeKind.API_KEY_ENDED:
                self._keys.forget(change.subject)
                self._streams.end(partial(_is_of_key, API_KEY + change.subject), REVOKED)
        kinds = {change.kind for change in changes}
        if ChangeKind.SIGNING_KEYS in kinds:
            self._ring.load(await access.signing_keys())
            self._streams.end(self._is_of_retired_key, REVOKED)

    def _is_shut_out(self, caller: Caller) -> bool:
        # Asked again about streams that are opened a little later: the account may have been let in meanwhile.
        return caller.session.account_id in self._shut_out

    def _is_of_retired_key(self, caller: Caller) -> bool:
        key = caller.credential.key
        return not key.startswith((API_KEY, PROVIDER)) and key not in self._ring


def _is_revoked(change: AccessChange, caller: Caller) -> bool:
    return caller.session.account_id == change.subject and caller.credential.issued_at < change.changed_at


def _is_of_key(key: str, caller: Caller) -> bool:
    return caller.credential.key == key
