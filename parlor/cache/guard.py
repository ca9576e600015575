"""Whose Redis this is. Each new connection is asked for the installation of partition 0 before anything else: what
another installation has is neither read nor changed (I21).

The scripts that open, hold, load and claim compare it for their own partition, in the same step: a connection may lead
to another server behind our back, or its data may be swapped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from redis import exceptions

from parlor.cache.keys import Keys
from parlor.errors import StoreUnavailable
from parlor.model.ids import InstallationId, Partition
from parlor.settings import Settings

FIELD = "installation"
"""Of a partition's hash."""
PROBE = Partition(0)
"""Every installation has it."""


class ForeignServer(exceptions.ConnectionError):
    """The server at the other end is another installation's."""


class Guard:
    """Knows the installation's id: from the settings, else from ``ask`` when it is first needed."""

    def __init__(self, settings: Settings, ask: Callable[[], Awaitable[InstallationId]] | None = None) -> None:
        self._known = InstallationId(settings.store.installation)
        self._probe = Keys(settings.redis.prefix).partition(PROBE)
        self._ask = ask

    async def installation(self) -> InstallationId:
        """Raises ``StoreUnavailable`` while nobody can tell."""
        if not self._known:
            if self._ask is None:
                raise StoreUnavailable(debug="store.installation is not set")
            self._known = await self._ask()
        return self._known

    async def check(self, ask: Callable[..., Awaitable[bytes | None]]) -> None:
        """Raises ``ForeignServer`` when the server that ``ask`` sends a command to is another installation's. A Redis
        that nobody has used, or whose id is not known here yet, is let in: the scripts decide."""
        if not self._known:
            return
        found = await ask("HGET", self._probe, FIELD)
        if found and found.decode() != self._known:
            raise ForeignServer(f"it belongs to installation {found.decode()}, and this is {self._known}")
