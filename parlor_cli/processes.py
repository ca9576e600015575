"""Operating-system processes, identified by pid and start time, because the kernel reuses pids.

Linux only: it reads ``/proc``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

PROC = Path("/proc")
_POLL_S = 0.02


class ProcessRef(msgspec.Struct, frozen=True):
    """A process; a later one with the same pid has another start time."""

    pid: int
    started: int
    """Clock ticks between boot and its start (field 22 of ``/proc/<pid>/stat``)."""


class ProcessStat(msgspec.Struct, frozen=True):
    """Some fields of ``/proc/<pid>/stat``."""

    state: str
    parent: int
    threads: int
    started: int


def read_stat(pid: int) -> ProcessStat | None:
    """None when there is no such process."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name is in parentheses and may contain any character, so the fields are counted from the last parenthesis.
    fields = text[text.rindex(")") + 2 :].split()
    return ProcessStat(state=fields[0], parent=int(fields[1]), threads=int(fields[17]), started=int(fields[19]))


def reference(pid: int) -> ProcessRef:
    """The reference of a process; when it is gone, a reference that is never alive."""
    stat = read_stat(pid)
    return ProcessRef(pid=pid, started=stat.started if stat else -1)


def is_alive(ref: ProcessRef) -> bool:
    """Whether exactly this process still runs.

    A zombie counts as alive until its last thread has ended, because its files, sockets and locks are open until then.
    """
    stat = read_stat(ref.pid)
    if stat is None or stat.started != ref.started or stat.state == "X":
        return False
    return stat.state != "Z" or stat.threads > 1


def boot_id() -> str:
    """The id of the current boot; start times are comparable only within one boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def own_pids() -> Iterator[int]:
    """All processes of this user except this one and its ancestors."""
    spared = {os.getpid(), *_ancestors(os.getpid())}
    uid = os.geteuid()
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) in spared:
            continue
        try:
            owner = entry.stat().st_uid
        except OSError:
            continue
        if owner == uid:
            yield int(entry.name)


def command_line(pid: int) -> list[str]:
    """The words of the command line; empty when the process is gone or may not be read."""
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [part for part in raw.decode("utf-8", errors="replace").split("\0") if part]


def environment(pid: int) -> list[str]:
    """``NAME=value`` of the initial environment; a process that sets its title may overwrite it."""
    try:
        raw = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return []
    return raw.decode("utf-8", errors="replace").split("\0")


def output_files(pid: int) -> list[str]:
    """The targets of its standard output and standard error."""
    found = []
    for descriptor in ("1", "2"):
        try:
            found.append(str((PROC / str(pid) / "fd" / descriptor).readlink()))
        except OSError:
            continue
    return found


def children(parent: int) -> list[int]:
    """The direct children of a process."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            stat = read_stat(int(entry.name))
            if stat is not None and stat.parent == parent:
                found.append(int(entry.name))
    return found


def send(ref: ProcessRef, number: signal.Signals) -> None:
    """Sends a signal to exactly this process; does nothing when it is gone."""
    if not is_alive(ref):
        return
    try:
        os.kill(ref.pid, number)
    except ProcessLookupError:
        return


def wait_until_gone(refs: Iterable[ProcessRef], timeout_s: float) -> list[ProcessRef]:
    """Waits until all have ended; returns those that still run after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    left = [ref for ref in refs if is_alive(ref)]
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        left = [ref for ref in left if is_alive(ref)]
    return left


def end(refs: Iterable[ProcessRef], *, grace_s: float) -> list[ProcessRef]:
    """Sends SIGTERM, waits ``grace_s``, then sends SIGKILL; returns those that still run."""
    wanted = list(refs)
    for ref in wanted:
        send(ref, signal.SIGTERM)
    stubborn = wait_until_gone(wanted, grace_s)
    for ref in stubborn:
        send(ref, signal.SIGKILL)
    return wait_until_gone(stubborn, 5.0)


def _ancestors(pid: int) -> Iterator[int]:
    stat = read_stat(pid)
    while stat is not None and stat.parent > 1:
        yield stat.parent
        stat = read_stat(stat.parent)
