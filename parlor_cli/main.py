"""The entry of the `parlor` command.

It imports next to nothing, so that Ctrl-C has its meaning before the rest is imported: exit code 130 and one line.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from parlor_cli.signals import INTERRUPTED


class Interrupted(BaseException):
    """Ctrl-C. No `Exception`, because no command and no library may take it for a failure that it can handle."""


def main() -> None:
    """Entry point."""
    signal.signal(signal.SIGINT, _leave)
    from parlor_cli.commands import run

    # From here on a command may have something to put away first.
    signal.signal(signal.SIGINT, _interrupt)
    try:
        run()
    except Interrupted:
        _leave(signal.SIGINT, None)


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.stdout.flush()
    os.write(sys.stderr.fileno(), b"parlor: interrupted\n")
    os._exit(INTERRUPTED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted
