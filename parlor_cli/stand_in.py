"""A stand-in for an HAProxy that was killed: clients are served again at once, while Serve takes
seconds to notice, and to start another manager with another HAProxy.

Serve checks that the process which it started is HAProxy itself, so nothing can stand in between. A small process
beside it waits for its end, and then starts another HAProxy with the same configuration but for the admin socket. So
Serve finds its own HAProxy missing, and replaces it; when the new one answers there, the stand-in closes its listeners
and ends with its last connection. It also ends with Ray, and when nobody replaces it.

It uses the standard library only, because it runs beside a plain file (``haproxy.py``).
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

STARTS_WITHIN_S = 60.0
REPLACED_WITHIN_S = 30.0
"""Serve has started another HAProxy by then, or does not want one any more."""
_POLL_S = 0.1
_ASK_S = 1.0


def watch(binary: str, config: Path) -> None:
    """Has a process of its own watch this one, which is about to become HAProxy: Serve's manager is its parent, and the
    manager's parent is Ray. Does nothing where the kernel cannot (Linux before 5.3)."""
    try:
        _watch(binary, config)
    except OSError as error:
        print(f"no stand-in for HAProxy: {error}", file=sys.stderr, flush=True)


def _watch(binary: str, config: Path) -> None:
    haproxy, manager = _Process(os.getpid()), _Process(os.getppid())
    ray = _Process(_parent_of(manager.pid))
    # A grandchild: HAProxy must not have a child that it does not know.
    if (child := os.fork()) != 0:
        os.waitpid(child, 0)
        for process in (haproxy, manager, ray):
            process.close()
        return
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    _stay(haproxy, ray, binary, config)


def _stay(haproxy: _Process, ray: _Process, binary: str, config: Path) -> NoReturn:
    """The watching process: ends when it is not needed any more."""
    try:
        path = admin_socket(config)
        # One that does not start is Serve's to report.
        if _until(lambda: answers(path), STARTS_WITHIN_S, haproxy, ray):
            print(f"stand-in: HAProxy {haproxy.pid} answers and is watched", file=sys.stderr, flush=True)
            haproxy.ended(None, ray)
            if not ray.ended(0) and not answers(path):
                _stand_in(ray, binary, config)
    except BaseException as error:  # noqa: BLE001 - the end of the process; its parent is gone
        print(f"stand-in: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def _stand_in(ray: _Process, binary: str, config: Path) -> None:
    own = config.with_name(f"{config.name}.stand-in")
    own.write_text(without_admin_socket(config.read_text(encoding="utf-8")), encoding="utf-8")
    pid = os.fork()
    if pid == 0:
        os.execv(binary, [binary, "-db", "-f", str(own)])  # noqa: S606 - HAProxy, as Serve starts it
    process = _Process(pid)
    replaced = _until(lambda: answers(admin_socket(config)), REPLACED_WITHIN_S, process, ray)
    # USR1: no new connections, and the end with the last of the old ones.
    process.send(signal.SIGUSR1 if replaced else signal.SIGTERM)
    # HAProxy itself gives its connections no more time than `hard-stop-after`.
    process.ended(None, ray)
    process.send(signal.SIGKILL)
    os.waitpid(pid, 0)


def _until(condition: Callable[[], bool], seconds: float, *ends: _Process) -> bool:
    """Whether the condition holds in time, and before one of these processes has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ends[0].ended(_POLL_S, *ends[1:]):
            return False
        if condition():
            return True
    return False


def admin_socket(config: Path) -> str:
    """Where HAProxy with this configuration takes commands; empty: nowhere."""
    for line in config.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:2] == ["stats", "socket"]:
            return words[2]
    return ""


def without_admin_socket(config: str) -> str:
    return "".join(line for line in config.splitlines(keepends=True) if line.split()[:2] != ["stats", "socket"])


def answers(path: str) -> bool:
    """Whether an HAProxy is behind the admin socket."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ASK_S)
            connection.connect(path)
            connection.sendall(b"show info\n")
            return bool(connection.recv(1))
    except OSError:
        return False


class _Process:
    """Another process, known by a descriptor: its number may be somebody else's later."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.descriptor = os.pidfd_open(pid)

    def ended(self, seconds: float | None, *others: _Process) -> bool:
        """Whether it, or one of the others, has ended; waits so long for it, None: for ever."""
        poll = select.poll()
        for process in (self, *others):
            poll.register(process.descriptor, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def send(self, number: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(self.descriptor, number)
        except ProcessLookupError:
            # It has ended, and nobody has to be told.
            return

    def close(self) -> None:
        os.close(self.descriptor)


def _parent_of(pid: int) -> int:
    # After the command's name, which may have blanks and brackets in it.
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1])
