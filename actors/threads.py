"""The threads of a process that serves calls: Ray's own and the event loop's take turns with one interpreter."""

from __future__ import annotations

import sys

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while another one waits for it. Python's 5 ms is longer than a whole send:
with a tenth of it, a send at one connection took 5 to 15 % less time (docs/PERFORMANCE.md)."""


def take_shorter_turns() -> None:
    """For processes in which a call passes from Ray's threads to the event loop and back."""
    sys.setswitchinterval(SWITCH_SECONDS)
