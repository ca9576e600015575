"""TCP ports: whether one is free, and the block of ports that an installation uses.

A block is below the kernel's ephemeral ports (32768 and up), which Ray's processes use, so they do not collide. A port
is free when it can be bound now; when another program takes it before it is used, the start fails with the reason.
"""

from __future__ import annotations

import errno
import random
import socket

import msgspec

from parlor_cli.refusal import Refusal

BLOCK = 100
_BLOCKS = range(20_000, 30_000, BLOCK)
_REPLICAS_FROM = 20
_GRPC_FROM = 80


class PortPlan(msgspec.Struct, frozen=True):
    """The ports for Ray and Serve; Ray's workers use ephemeral ports besides."""

    first: int
    """The first of ``BLOCK`` consecutive ports."""
    http: int
    dashboard: int

    @property
    def metrics_export(self) -> int:
        return self.first + 2

    @property
    def haproxy_stats(self) -> int:
        return self.first + 3

    @property
    def haproxy_metrics(self) -> int:
        return self.first + 4

    @property
    def fallback_http(self) -> int:
        return self.first + 5

    @property
    def fallback_grpc(self) -> int:
        return self.first + 6

    @property
    def dashboard_agent(self) -> int:
        return self.first + 7

    @property
    def monitor_metrics(self) -> int:
        return self.first + 8

    @property
    def dashboard_metrics(self) -> int:
        return self.first + 9

    @property
    def health(self) -> int:
        return self.first + 10

    @property
    def replicas(self) -> range:
        """HTTP ports of replicas; Serve reuses a port only some time after it was freed."""
        return range(self.first + _REPLICAS_FROM, self.first + _GRPC_FROM)

    @property
    def replicas_grpc(self) -> range:
        return range(self.first + _GRPC_FROM, self.first + BLOCK)


def is_free(port: int, host: str = "0.0.0.0") -> bool:  # noqa: S104 - every interface is what has to be free
    """Whether a server could listen on the port now."""
    try:
        require(host, port)
    except Refusal:
        return False
    return True


def require(host: str, port: int) -> None:
    """Raises ``Refusal`` with the reason unless ``host:port`` can be listened on."""
    if reason := why_not(host, port):
        raise Refusal(f"cannot listen on {host}:{port}: {reason}. Give another --host or --port.")


def why_not(host: str, port: int) -> str:
    """Why ``host:port`` cannot be listened on; empty if it can. With port 0, what is wrong with the host."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: then a port in TIME_WAIT counts as free, one with a listener does not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "another program listens there",
            errno.EACCES: "this user may not",
            errno.EADDRNOTAVAIL: "that address is not one of this machine",
        }
        return reasons.get(error.errno or 0, error.strerror or str(error))
    return ""


def choose(*, http: int, dashboard: int, seed: str) -> PortPlan:
    """A plan with a block of free ports; ``http`` and ``dashboard`` are used unless they are 0.

    The search begins at a block that depends on ``seed`` (the installation's id), so that two installations that start
    at once use different blocks. Raises ``Refusal`` when no block is free.
    """
    firsts = list(_BLOCKS)
    random.Random(seed).shuffle(firsts)  # noqa: S311 - spreading, not secrecy
    for first in firsts:
        if all(is_free(port) for port in range(first, first + BLOCK)):
            return PortPlan(first=first, http=http or first, dashboard=dashboard or first + 1)
    raise Refusal(f"no {BLOCK} free ports in a row between {_BLOCKS.start} and {_BLOCKS.stop}")


def one() -> int:
    """A free ephemeral port on the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
