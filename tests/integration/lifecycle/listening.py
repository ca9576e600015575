"""Where processes listen for TCP connections, as the kernel has it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

_LISTENS = "0A"
"""A state in ``/proc/net/tcp``."""


def addresses(pids: Iterable[int]) -> set[tuple[str, int]]:
    """Host and port of every listening socket of these processes."""
    own = {inode for pid in pids for inode in _sockets(pid)}
    return {address for inode, address in _listening() if inode in own}


def _sockets(pid: int) -> Iterator[str]:
    # A process may end while its files are read.
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    yield target[len("socket:[") : -1]


def _listening() -> Iterator[tuple[str, tuple[str, int]]]:
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[3] == _LISTENS:
                host, port = words[1].split(":")
                yield words[9], (_host(host), int(port, 16))


def _host(written: str) -> str:
    """An address, which the kernel writes as words of 32 bits in the machine's order."""
    words = [int(written[start : start + 8], 16) for start in range(0, len(written), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    found = ipaddress.IPv6Address(packed)
    return str(found.ipv4_mapped or found)
