"""Runs a command that dies with its parent: ``python -I tether.py <parent pid> <command> [argument ...]``.

The kernel's parent-death signal is set in the child itself, between fork and exec, without Python's ``preexec_fn``
(unsafe in a process with threads). It survives exec. Standard library only, because it runs as a plain file and must
start fast.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with(parent: int, number: signal.Signals) -> None:
    """Sends this process the signal ``number`` when the thread that started it ends. Raises ``OSError``.

    When the parent has ended already, the signal would never come, so this process ends at once.
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
