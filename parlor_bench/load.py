"""A cheap HTTP/1.1 load generator: one keep-alive connection for each worker, raw bytes.

A client library would use as much CPU as the measured server, on the same cores.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Iterator

import msgspec

KEY = b"<key>"
"""In a request: replaced by a word of its own, for example an idempotency key."""

ANSWER_SECONDS = 30.0


class Figures(msgspec.Struct, frozen=True):
    """The figures of one run."""

    connections: int
    seconds: float
    requests: int
    errors: int
    """Number of answers other than 2xx."""
    per_second: float
    p50_ms: float
    p99_ms: float


def percentile(sorted_values: list[float], share: float) -> float:
    """The percentile by nearest rank; 0 when there are no values."""
    if not sorted_values:
        return 0.0
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def get(host: str, port: int, path: str, token: str, **headers: str) -> bytes:
    """A GET request; header names are in snake case."""
    given = {"host": f"{host}:{port}", "authorization": f"Bearer {token}", **headers}
    return _head(f"GET {path}", given)


def post(host: str, port: int, path: str, token: str, body: bytes, **headers: str) -> bytes:
    """A POST request with a JSON body; header names are in snake case."""
    given = {"host": f"{host}:{port}", "authorization": f"Bearer {token}", "content_type": "application/json"}
    return _head(f"POST {path}", {**given, "content_length": str(len(body)), **headers}) + body


def delete(host: str, port: int, path: str, token: str) -> bytes:
    """A DELETE request."""
    return _head(f"DELETE {path}", {"host": f"{host}:{port}", "authorization": f"Bearer {token}"})


def _head(line: str, headers: dict[str, str]) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"{line} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    """Sends a request on an open connection; returns the status and body of the answer."""
    writer.write(request)
    async with asyncio.timeout(ANSWER_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at < 0:
            # HAProxy's own answers end with the connection.
            return status, await reader.read()
        length = int(lower[at + 15 : lower.index(b"\r\n", at)])
        return status, await reader.readexactly(length)


class Sends(msgspec.Struct, frozen=True, tag=True):
    """A load for a process of its own (``parlor_bench.worker``)."""

    host: str
    port: int
    connections: int
    seconds: float
    requests: list[bytes]
    """For each connection one, again and again from the first; ``KEY`` in it is another word each time."""
    per_second: float = 0.0
    """Requests that fall due, whether earlier ones were answered or not; 0: as many as are answered."""

    async def run(self) -> Figures:
        latencies: list[float] = []
        due = itertools.count()
        began = time.perf_counter()
        until = began + self.seconds

        def next_due() -> float:
            return began + next(due) / self.per_second if self.per_second else time.perf_counter()

        async def worker(request: Iterator[bytes]) -> int:
            """Returns the number of errors."""
            errors = 0
            reader, writer = await asyncio.open_connection(self.host, self.port)
            try:
                while (sent := next_due()) < until:
                    if (wait := sent - time.perf_counter()) > 0:
                        await asyncio.sleep(wait)
                    try:
                        status, _ = await exchange(reader, writer, next(request))
                    except (EOFError, ConnectionError):
                        # HAProxy was reloaded and closed the idle connection, or its last answer ended with it.
                        writer.close()
                        reader, writer = await asyncio.open_connection(self.host, self.port)
                        continue
                    latencies.append(time.perf_counter() - sent)
                    errors += not 200 <= status < 300
            finally:
                writer.close()
            return errors

        each = (keyed(self.requests[number % len(self.requests)]) for number in range(self.connections))
        errors = await asyncio.gather(*(worker(requests) for requests in each))
        return figures(self.connections, time.perf_counter() - began, latencies, sum(errors))


def keyed(request: bytes) -> Iterator[bytes]:
    """The request again and again, with another word for ``KEY`` each time."""
    before, mark, after = request.partition(KEY)
    if not mark:
        return itertools.repeat(request)
    nonce = secrets.token_hex(4)
    return (f"{nonce}-{number}".encode().join((before, after)) for number in itertools.count())


def figures(connections: int, took: float, latencies: list[float], errors: int) -> Figures:
    """Times are in seconds."""
    latencies.sort()
    return Figures(
        connections=connections,
        seconds=round(took, 2),
        requests=len(latencies),
        errors=errors,
        per_second=round(len(latencies) / took, 1),
        p50_ms=round(percentile(latencies, 0.5) * 1000, 2),
        p99_ms=round(percentile(latencies, 0.99) * 1000, 2),
    )
