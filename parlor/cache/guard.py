"""Whose Redis this is. Each new connection is asked for the installation of partition 0 (or, of a node of a cluster, of
the first that it has) before anything else: what another installation has is neither read nor changed (I21).

The scripts that open, hold, load and claim compare it for their own partition, in the same step: a connection may lead
to another server behind our back, or its data may be swapped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

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
        partitions = settings.store.partitions if settings.redis.servers.kind == "cluster" else 1
        self._probes = [Keys(settings.redis.prefix).partition(Partition(number)) for number in range(partitions)]
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
        found = await self._probed(ask)
        if found and found.decode() != self._known:
            raise ForeignServer(f"it belongs to installation {found.decode()}, and this is {self._known}")

    async def _probed(self, ask: Callable[..., Awaitable[bytes | None]]) -> bytes | None:
        """What the first partition says that the server has: a node of a cluster does not have all of them."""
        for probe in self._probes:
            with suppress(exceptions.MovedError, exceptions.AskError):
                return await ask("HGET", probe, FIELD)
        return None
