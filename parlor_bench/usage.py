"""What processes of this machine use, from /proc."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def resident_bytes(pids: Sequence[int]) -> int:
    """The resident memory of the processes; those that have ended are left out."""
    return sum(_resident(pid) for pid in pids)


def processor_seconds(pids: Sequence[int]) -> float:
    """The processor time that the processes have used so far; those that have ended are left out."""
    return sum(_ticks(pid) for pid in pids) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    status = _read(pid, "status")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 if "VmRSS:" in status else 0


def _ticks(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]) if fields else 0


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
