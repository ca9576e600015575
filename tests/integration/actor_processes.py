"""The processes behind an installation's actors, as the kernel knows them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.installation import Installation


def processes_of(installation: Installation, actor: str) -> list[int]:
    """The ids of the processes that run this class of actor. `parlor status` tells them too, in seconds."""
    ours = f"PARLOR_RUNTIME_DIR={installation.runtime_dir}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes().rstrip(b"\0 ").partition(b".")[0]
            if title == b"ray::%s" % actor.encode() and ours in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or another user's
    assert found, f"no process runs {actor}"
    return sorted(found)


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Meanwhile they do nothing, and do not know that time passes; they may be killed."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
