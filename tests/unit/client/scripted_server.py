"""An HTTP server on a socket that answers by script, and cuts its answers where the script says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import msgspec

from tests.tcp_proxy import Proxy

Json: TypeAlias = dict[str, Any]
ROOM = "room-1"
REPLY = "reply-1"


class Request(NamedTuple):
    method: str
    path: str
    """With its query."""
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        found: Json = json.loads(self.body)
        return found


class Answer(msgspec.Struct, frozen=True):
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    cut: int | None = None
    """The connection is reset after so many bytes of the body; None: never."""


def answer(body: Json, status: int = 200, cut: int | None = None, **headers: str) -> Answer:
    return Answer(status, json.dumps({**body, "errorCode": 0}).encode(), _named(headers), cut)


def problem(status: int, code: str, headers: dict[str, str] | None = None, **more: object) -> Answer:
    body = {"status": status, "code": code, "errorCode": 1, "detail": f"it is {code}", "request_id": "req-1", **more}
    return Answer(status, json.dumps(body).encode(), headers or {})


def stream(events: Iterable[bytes], cut: int | None = None) -> Answer:
    return Answer(200, b": open\n\n" + b"".join(events), {"Content-Type": "text/event-stream"}, cut)


def frame(number: int, kind: str, data: Json) -> bytes:
    return f"id: 1-{number}\nevent: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def message(**changed: object) -> Json:
    """A reply that has ended."""
    return {
        "message_id": REPLY,
        "room_id": ROOM,
        "seq": 2,
        "sender_type": "AI",
        "content": "",
        "timestamp": "2026-11-23T10:00:00.000Z",
        "state": "SENT",
        "durability": "cached",
        "is_streaming": False,
        "attempt": 1,
        "parent_message_id": None,
        "finish_reason": "stop",
        "usage": None,
        "metadata": {},
        "parts": [],
        **changed,
    }


def room(**changed: object) -> Json:
    return {
        "room_id": ROOM,
        "title": "Tea",
        "ai_persona": "GPT4O",
        "created_at": "2026-11-23T10:00:00.000Z",
        "last_message_at": None,
        "message_count": 0,
        "state": "ACTIVE",
        "persisted_seq": 0,
        "external_id": None,
        **changed,
    }


class ScriptedServer(Proxy):
    """``script`` answers each request; ``requests`` has them all."""

    def __init__(self, script: Callable[[Request], Answer]) -> None:
        super().__init__()
        self._script = script
        self.requests: list[Request] = []

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(method, path, headers, body)
        self.requests.append(request)
        await _write(writer, self._script(request))


async def _write(writer: asyncio.StreamWriter, given: Answer) -> None:
    headers = {
        "Content-Type": "application/json",
        **given.headers,
        "Content-Length": str(len(given.body)),
        "Connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {given.status} Told\r\n{head}\r\n".encode() + given.body[: given.cut])
    await writer.drain()
    # Without its last bytes the answer is known to be incomplete: its length was told.
    writer.close()


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
