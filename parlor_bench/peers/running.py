"""The peers as processes of their own, with a database of their own on a server that is there."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import IO, Any

import asyncmy
import msgspec

from parlor.store.addresses import MySqlAddress
from parlor_bench.peers import openai_relay, plain_service
from parlor_bench.peers.plain_service import TABLES, Where

WORKERS = 2
_START_SECONDS = 120.0
_STOP_SECONDS = 30.0
_PAUSE_SECONDS = 0.1


def arguments_of(address: MySqlAddress) -> dict[str, Any]:
    """How to connect to the server of a database."""
    names = ("host", "port", "unix_socket", "user", "password")
    return {name: found for name in names if (found := getattr(address, name)) is not None}


@asynccontextmanager
async def own_database(where: Where) -> AsyncIterator[Where]:
    """``where`` names no database: it gets one with the tables of the plain service, which is dropped at the end."""
    name = f"parlor_bench_{secrets.token_hex(4)}"
    await execute(where.mysql, f"CREATE DATABASE {name}")
    own = msgspec.structs.replace(where, mysql={**where.mysql, "database": name})
    try:
        await execute(own.mysql, *TABLES)
        yield own
    finally:
        await execute(where.mysql, f"DROP DATABASE {name}")


@asynccontextmanager
async def running_plain_service(where: Where) -> AsyncIterator[int]:
    """Its port on loopback, for a database with its tables."""
    variables = {plain_service.VARIABLE: msgspec.json.encode(where).decode()}
    async with _uvicorn(plain_service.__name__, WORKERS, variables) as port:
        yield port


@asynccontextmanager
async def running_openai_relay(llm_url: str) -> AsyncIterator[int]:
    """Its port on loopback."""
    async with _uvicorn(openai_relay.__name__, 1, {openai_relay.VARIABLE: llm_url}) as port:
        yield port


@asynccontextmanager
async def running_aiohttp_relay(llm_url: str) -> AsyncIterator[int]:
    """Its port on loopback."""
    port = free_port()
    command = [sys.executable, "-m", "parlor_bench.peers.aiohttp_relay", str(port), llm_url]
    async with process(command, port, os.environ):
        yield port


@asynccontextmanager
async def _uvicorn(module: str, workers: int, variables: Mapping[str, str]) -> AsyncIterator[int]:
    port = free_port()
    options = ["--port", str(port), "--workers", str(workers), "--log-level", "warning", "--no-access-log"]
    command = [sys.executable, "-m", "uvicorn", "--factory", f"{module}:app", *options]
    async with process(command, port, {**os.environ, **variables}):
        yield port


@asynccontextmanager
async def process(
    command: Sequence[str], port: int, environment: Mapping[str, str], errors: IO[bytes] | None = None
) -> AsyncIterator[None]:
    """Runs a program while it listens on a port of loopback. Raises ``RuntimeError`` when it ends instead. ``errors``:
    for what it writes to the standard error; without, that of this process."""
    running = await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
    try:
        async with asyncio.timeout(_START_SECONDS):
            await _listening(port, running)
        yield
    finally:
        if running.returncode is None:
            running.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await running.wait()
        except TimeoutError:
            running.kill()
            await running.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


async def execute(mysql: Mapping[str, Any], *statements: str) -> None:
    """``mysql`` are arguments of ``asyncmy.connect``."""
    connection = await asyncmy.connect(autocommit=True, **mysql)
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
                raise RuntimeError("the peer does not start") from None
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            writer.close()
            return
