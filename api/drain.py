"""What a replica does when Serve begins to stop it: it tells the readers of its streams to go on elsewhere.

Serve waits for open requests and has no hook for this moment (Ray 2.60, ``serve/_private/replica.py``). It comes when
new requests go to other replicas already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.serve._private.replica import Replica

WAITS = "_drain_ongoing_requests"
_wait = getattr(Replica, WAITS)


def install(leave: Callable[[], None]) -> None:
    """Has Serve call ``leave`` before it waits for the end of open requests."""

    async def wait(replica: Replica, *arguments: Any, **options: Any) -> None:
        leave()
        await _wait(replica, *arguments, **options)

    setattr(Replica, WAITS, wait)
