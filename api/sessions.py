"""The sessions that a replica has resolved."""

from __future__ import annotations

from parlor.gateway import Gateway
from parlor.model.access import Session

_SESSIONS_MAX = 10_000


class Sessions:
    """A cache. An account keeps its partition; what else changes about it is forgotten by ``api.access``."""

    def __init__(self) -> None:
        self._known: dict[str, Session] = {}
        self._forgotten = 0
        """How often something was forgotten."""

    async def resolve(self, gateway: Gateway, account_id: str) -> Session:
        """Raises ``StoreUnavailable`` when the account is not cached and the store does not answer."""
        forgotten = self._forgotten
        session = self._known.pop(account_id, None) or await gateway.session(account_id)
        if forgotten != self._forgotten:
            return session  # it may have been read before the change
        self._known[account_id] = session
        if len(self._known) > _SESSIONS_MAX:
            del self._known[next(iter(self._known))]
        return session

    def forget(self, account_id: str) -> None:
        self._known.pop(account_id, None)
        self._forgotten += 1

    def forget_all(self) -> None:
        self._known.clear()
        self._forgotten += 1
