"""Ray starts one at a time, whichever worker of pytest starts it.

Ray gives a new node 30 seconds, and uses every core until it is there: four that start at once would miss the limit.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def one_start_at_a_time() -> Iterator[None]:
    """Waits until nothing else starts in this checkout. The lock is this file's own, and ends with the process.

    Every start has a time limit; a test's limit does not count the wait in its fixtures (``func_only``).
    """
    with Path(__file__).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
