"""A small HTTP server that answers as a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from demo_model.http import Connection, HttpServer, Request


@asynccontextmanager
async def serving(answer: Callable[[Request, Connection], Awaitable[None]]) -> AsyncIterator[int]:
    """Its port on loopback."""
    server = HttpServer(answer)
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.close()
