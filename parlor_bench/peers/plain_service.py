"""The chat service that one writes first: FastAPI, a lock in Redis for each room, an INSERT in the request.

    PLAIN_SERVICE='{"redis": ..., "mysql": {...}, "secret": ...}' uvicorn --factory parlor_bench.peers.plain_service:app

It keeps a room's messages in order and commits each before it answers. It has no idempotency, no queue, no replies, and
no answer when its database is away. Without the lock, messages that are sent at once get their numbers in another order
than their times.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import asyncmy
import jwt
import msgspec
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel
from redis.asyncio import Redis

VARIABLE = "PLAIN_SERVICE"
_COLUMNS = (
    "room_id VARCHAR(64) NOT NULL, message_id CHAR(36) NOT NULL UNIQUE, account_id VARCHAR(128) NOT NULL,"
    " content MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL, created_at DATETIME(3) NOT NULL"
)
TABLES = (
    f"CREATE TABLE messages (seq INT NOT NULL, {_COLUMNS}, PRIMARY KEY (room_id, seq))",
    f"CREATE TABLE unlocked (seq BIGINT AUTO_INCREMENT PRIMARY KEY, {_COLUMNS}, KEY (room_id, seq))",
)
_LAST = "SELECT COALESCE(MAX(seq), 0) FROM messages WHERE room_id = %s"
_SAVE = (
    "INSERT INTO messages (seq, room_id, message_id, account_id, content, created_at) VALUES (%s, %s, %s, %s, %s, %s)"
)
_SAVE_UNLOCKED = (
    "INSERT INTO unlocked (room_id, message_id, account_id, content, created_at) VALUES (%s, %s, %s, %s, %s)"
)
_LOCK_SECONDS = 10
_POOL = 16


class Where(msgspec.Struct, frozen=True):
    """The servers, and the secret of the tokens."""

    redis: str
    mysql: dict[str, Any]
    """Arguments of ``asyncmy.connect``."""
    secret: str
    lock: bool = True


class NewMessage(BaseModel):
    """What is sent."""

    content: str
    reply: str = "none"


def token(where: Where, account: str) -> str:
    return jwt.encode({"sub": account}, where.secret, algorithm="HS256")


def build(where: Where) -> FastAPI:
    """The application of one worker."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.redis = Redis.from_url(where.redis)
        app.state.pool = await asyncmy.create_pool(minsize=1, maxsize=_POOL, autocommit=True, **where.mysql)
        try:
            yield
        finally:
            app.state.pool.close()
            await app.state.pool.wait_closed()
            await app.state.redis.aclose()

    service = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @service.post("/v1/rooms/{room_id}/messages", status_code=201)
    async def send(room_id: str, body: NewMessage, authorization: Annotated[str, Header()]) -> dict[str, Any]:
        try:
            claims = jwt.decode(authorization.removeprefix("Bearer "), where.secret, algorithms=["HS256"])
        except jwt.PyJWTError:
            raise HTTPException(401) from None
        message_id, now = str(uuid4()), datetime.now(UTC).replace(tzinfo=None)
        row = (room_id, message_id, claims["sub"], body.content, now)
        if where.lock:
            # Under the prefix to which the servers of `parlor up` let their user.
            async with service.state.redis.lock(f"parlor:plain:{room_id}", timeout=_LOCK_SECONDS):
                seq = await _save_next(service.state.pool, row)
        else:
            async with service.state.pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute(_SAVE_UNLOCKED, row)
                seq = cursor.lastrowid
        return {"message_id": message_id, "room_id": room_id, "seq": seq, "content": body.content, "created_at": now}

    return service


async def _save_next(pool: asyncmy.Pool, row: tuple[str, str, str, str, datetime]) -> int:
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute(_LAST, (row[0],))
        seq: int = (await cursor.fetchone())[0] + 1
        await cursor.execute(_SAVE, (seq, *row))
        return seq


def app() -> FastAPI:
    """For ``uvicorn --factory``."""
    return build(msgspec.json.decode(os.environ[VARIABLE], type=Where))
