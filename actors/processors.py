"""Whether this machine's processors have time for what can wait."""

from __future__ import annotations

from pathlib import Path

BUSY = 0.75
"""Share of the processors' time in use, from which they are busy."""
_IDLE = slice(3, 5)
"""Of the numbers in ``/proc/stat``: idle, and idle while waiting for a disk (proc(5))."""


class Processors:
    """``are_busy`` looks back to when it was called last."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._before = self._times()

    def are_busy(self) -> bool:
        """Not where nobody knows: on another system than Linux."""
        (all_before, idle_before), self._before = self._before, self._times()
        total, idle = self._before[0] - all_before, self._before[1] - idle_before
        return total > 0 and (total - idle) / total >= BUSY

    def _times(self) -> tuple[int, int]:
        """All of the processors' time since the machine started, and the idle part, in ticks."""
        try:
            name, *words = self._stat.read_text(encoding="ascii").partition("\n")[0].split()
            ticks = [int(word) for word in words[:8]]
        except (OSError, ValueError):
            return 0, 0
        return (sum(ticks), sum(ticks[_IDLE])) if name == "cpu" else (0, 0)
