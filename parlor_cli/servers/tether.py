"""Runs a command that dies with its parent: ``python -I tether.py <parent pid> <command> [argument ...]``.

The kernel's parent-death signal is set in the child itself, between fork and exec, without Python's ``preexec_fn``
(unsafe in a process with threads). It survives exec. Standard library only: it is started as a plain file, and fast.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with(parent: int, number: signal.Signals) -> None:
    """From now on ``number`` comes when the thread that started this process ends. Raises ``OSError``.

    When the parent is gone already (the signal would never come) this process ends at once.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    if os.getppid() != parent:
        os._exit(1)


def main(arguments: list[str]) -> NoReturn:
    parent, command = int(arguments[0]), arguments[1:]
    die_with(parent, signal.SIGTERM)
    os.execvp(command[0], command)  # noqa: S606 - the command is the caller's own


if __name__ == "__main__":
    main(sys.argv[1:])
