"""A load generator as a process of its own: `python -m parlor_bench.worker` reads a job and writes what it measured.

Whoever drives a benchmark waits meanwhile: what it would do on the side would be in the figures.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Protocol, TypeVar, get_type_hints

import msgspec
import uvloop

from parlor_bench.load import Sends
from parlor_bench.readers import READY, Readers
from parlor_bench.replies import Replies
from parlor_bench.room_load import RoomSends
from parlor_bench.socket_load import SocketSends

T_co = TypeVar("T_co", covariant=True)
AnyJob = Sends | SocketSends | RoomSends | Replies | Readers
STREAM_LIMIT = 64 * 1024 * 1024
"""Bytes of what a job measured."""


class Job(Protocol[T_co]):
    """One of ``AnyJob``."""

    async def run(self) -> T_co: ...


async def in_process(job: Job[T_co], ready: asyncio.Event | None = None) -> T_co:
    """Runs the job in another process. Raises ``RuntimeError`` when that fails; ``ready`` is set in any case."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "parlor_bench.worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=STREAM_LIMIT,
    )
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise RuntimeError("the load generator has no pipes")
    try:
        process.stdin.write(msgspec.json.encode(job))
        process.stdin.close()
        line = await process.stdout.readline()
        if line == READY:
            if ready is not None:
                ready.set()
            line = await process.stdout.readline()
        complaints = (await process.stderr.read()).decode(errors="replace").strip()
        if await process.wait() != 0:
            raise RuntimeError(f"the load generator failed: {complaints[-2000:]}")
    finally:
        if ready is not None:
            ready.set()
        if process.returncode is None:
            process.kill()
            await process.wait()
    kind: type[T_co] = get_type_hints(type(job).run)["return"]
    return msgspec.json.decode(line, type=kind)


def main() -> None:
    job: AnyJob = msgspec.json.decode(sys.stdin.buffer.read(), type=AnyJob)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(job.run())
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")


if __name__ == "__main__":
    main()
