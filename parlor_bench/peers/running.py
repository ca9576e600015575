"""The peers as processes of their own, with a database of their own on a server that is there."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncmy
import msgspec

from parlor.store.addresses import MySqlAddress
from parlor_bench.peers import openai_relay, plain_service
from parlor_bench.peers.plain_service import TABLES, Where

WORKERS = 2
_START_SECONDS = 120.0
_PAUSE_SECONDS = 0.1


def arguments_of(address: MySqlAddress) -> dict[str, Any]:
    """How to connect to the server of a database."""
    names = ("host", "port", "unix_socket", "user", "password")
    return {name: found for name in names if (found := getattr(address, name)) is not None}


@asynccontextmanager
async def own_database(where: Where) -> AsyncIterator[Where]:
    """``where`` names no database: it gets one with the tables of the plain service, which is dropped at the end."""
    name = f"parlor_bench_{secrets.token_hex(4)}"
    await _execute(where, f"CREATE DATABASE {name}")
    own = msgspec.structs.replace(where, mysql={**where.mysql, "database": name})
    try:
        await _execute(own, *TABLES)
        yield own
    finally:
        await _execute(where, f"DROP DATABASE {name}")


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
    port = _free_port()
    async with _process("parlor_bench.peers.aiohttp_relay", str(port), llm_url, port=port, variables={}):
        yield port


@asynccontextmanager
async def _uvicorn(module: str, workers: int, variables: Mapping[str, str]) -> AsyncIterator[int]:
    port = _free_port()
    options = ("--port", str(port), "--workers", str(workers), "--log-level", "warning", "--no-access-log")
    async with _process("uvicorn", "--factory", f"{module}:app", *options, port=port, variables=variables):
        yield port


@asynccontextmanager
async def _process(*arguments: str, port: int, variables: Mapping[str, str]) -> AsyncIterator[None]:
    command = [sys.executable, "-m", *arguments]
    environment = {**os.environ, **variables}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(_START_SECONDS):
            await _listening(port, process)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


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
                raise RuntimeError("the peer does not start") from None
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            writer.close()
            return
