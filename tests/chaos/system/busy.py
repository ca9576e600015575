"""People who write to an installation and read it, in a thread, while a test looks at it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.history import Recorder
from tests.chaos.system.load import Account, Load
from tests.chaos.system.readers import read_events
from tests.integration.lifecycle.command import Parlor

PEOPLE, ROOMS = 8, 8
"""So many rooms each."""
RATE, USERS = 30.0, 20
"""Things done a second, by so many who wait for their answers."""
END_SECONDS = 120.0


@contextlib.contextmanager
def people_at(parlor: Parlor) -> Iterator[None]:
    """They begin, and have ended. Raises what went wrong with them."""
    stop = threading.Event()
    with ThreadPoolExecutor(1, "people") as pool:
        working = pool.submit(asyncio.run, _people(parlor, stop))
        try:
            yield
        finally:
            stop.set()
            working.result(END_SECONDS)


async def _people(parlor: Parlor, stop: threading.Event) -> None:
    accounts = [Account(name, parlor.token(name)) for name in (f"person-{number}" for number in range(PEOPLE))]
    recorder = Recorder(None, time.monotonic, "people")
    load = Load((parlor.host, parlor.port), recorder, accounts, seed=1)
    await load.furnish(accounts, ROOMS)
    left = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number, account in enumerate(accounts):
            url = f"http://{parlor.host}:{parlor.port}"
            group.create_task(read_events(url, recorder, account, left, number))
        group.create_task(load.run(RATE, USERS))
        await asyncio.to_thread(stop.wait)
        load.stop()
        left.set()
