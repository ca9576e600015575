"""How the interpreter of a process that serves calls divides its time: between Ray's threads and the event loop, and
between work and looking for garbage."""

from __future__ import annotations

import gc
import sys

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while another one waits for it. Python's 5 ms is longer than a whole send:
with a tenth of it, a send at one connection took 5 to 15 % less time (docs/PERFORMANCE.md)."""

YOUNG_OBJECTS = 10_000
"""New objects after which Python looks among them for cycles. A request makes hundreds that end with it, without any
cycle: at Python's 700, looking was 7 % of the time in which a replica worked (docs/PERFORMANCE.md)."""


def serve_calls() -> None:
    """For a process in which a call passes from Ray's threads to the event loop and back. What was imported by now is
    never looked through again."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
