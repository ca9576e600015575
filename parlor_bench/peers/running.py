"""The plain service as a process of its own, with a database of its own on a server that is there."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncmy
import msgspec

from parlor.store.addresses import MySqlAddress
from parlor_bench.peers.plain_service import TABLE, VARIABLE, Where

DATABASE = "parlor_bench_plain"
WORKERS = 2
_START_SECONDS = 30.0
_PAUSE_SECONDS = 0.1


def arguments_of(address: MySqlAddress) -> dict[str, Any]:
    """How to connect to the server of a database."""
    names = ("host", "port", "unix_socket", "user", "password")
    return {name: found for name in names if (found := getattr(address, name)) is not None}


@asynccontextmanager
async def plain_service(where: Where) -> AsyncIterator[int]:
    """Its port on loopback. ``where`` names no database: the service gets one, which is dropped at the end."""
    await _execute(where, f"DROP DATABASE IF EXISTS {DATABASE}", f"CREATE DATABASE {DATABASE}")
    own = msgspec.structs.replace(where, mysql={**where.mysql, "database": DATABASE})
    await _execute(own, TABLE)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "parlor_bench.peers.plain_service:app"]
    command += ["--port", str(port), "--workers", str(WORKERS), "--log-level", "warning", "--no-access-log"]
    environment = {**os.environ, VARIABLE: msgspec.json.encode(own).decode()}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(_START_SECONDS):
            await _listening(port, process)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await _execute(where, f"DROP DATABASE {DATABASE}")


async def _execute(where: Where, *statements: str) -> None:
    connection = await asyncmy.connect(autocommit=True, **where.mysql)
    try:
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
    finally:
        connection.close()


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    """Raises ``RuntimeError`` when it has ended instead."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if process.returncode is not None:
                raise RuntimeError("the plain service does not start") from None
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            writer.close()
            return
