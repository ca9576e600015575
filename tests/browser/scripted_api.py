"""The page's files and an API that answers by script, inside the browser's own network layer: no server at all.

It stands at an address that is not a secure context, as an installation in a home network is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, Request, Route

from api.web_files import WEB, asset_path

ORIGIN = "http://parlor.test"
ROOM_ID = "0199d2a4-8f00-8abc-9def-000000000001"
_TYPES = {
    ".html": "text/html",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
}
_PAGES = {"/": "index.html", "": "index.html", "/admin": "admin.html"}
Json = dict[str, Any]
Answer = tuple[int, Json | str]
"""A status, and JSON or the text of an event stream (which then ends: a cut)."""


SESSION: Json = {"account_id": "ada", "scopes": ["read", "write"], "expires_at": "2026-12-23T10:00:00Z"}
PERSONA = {"name": "GPT4O", "title": "Assistant", "description": "Helps", "model": "llama3.2:3b"}


def message(seq: int, content: str, **changed: object) -> Json:
    """A message as the API shows it; replies have even numbers."""
    made: Json = {
        "message_id": f"0199d2a4-8f00-8abc-9def-1{seq:011d}",
        "room_id": ROOM_ID,
        "seq": seq,
        "sender_type": "USER" if seq % 2 else "AI",
        "content": content,
        "timestamp": "2026-11-23T10:00:00Z",
        "state": "SENT",
        "durability": "persisted",
        "is_streaming": False,
        "attempt": 0 if seq % 2 else 1,
        "parent_message_id": None,
        "finish_reason": None,
        "usage": None,
        "metadata": {},
    }
    return made | changed


def composing(seq: int) -> Json:
    """A reply that has yet to begin."""
    return message(seq, "", state="COMPOSING", durability="cached", is_streaming=True, attempt=0)


def tool_call(**changed: object) -> Json:
    """A call of a tool that waits for a decision."""
    made: Json = {
        "type": "tool_call",
        "tool_call_id": "c1",
        "name": "send_mail",
        "title": "Mail",
        "arguments": {"to": "ada", "text": "a\u202eb"},
        "digest": "sha256:" + "a" * 64,
        "state": "waiting",
        "approval": "required",
        "decided_by": None,
        "decided_at": None,
        "result": None,
        "attempts": 0,
        "expires_at": "2026-11-30T10:00:00Z",
        "editable": False,
        "client": False,
    }
    return made | changed


def page_of(messages: list[Json], cursor: str = "1-0") -> Json:
    return {"messages": messages, "has_more": False, "next_before": None, "persisted_seq": 0, "cursor": cursor}


def frame(cursor: str, kind: str, data: Json) -> str:
    """One server-sent event."""
    return f"id: {cursor}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"


class ScriptedApi:
    """Answers of one account with one room. A test replaces what it is about in ``answers``."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        room: Json = {
            "room_id": ROOM_ID,
            "title": "Scripted",
            "ai_persona": "GPT4O",
            "created_at": "2026-11-23T10:00:00Z",
            "last_message_at": None,
            "message_count": 0,
            "state": "ACTIVE",
            "persisted_seq": 0,
        }
        rooms: Json = {"rooms": [room], "total_count": 1, "next_cursor": None, "events_cursor": "1-0"}
        self.answers: dict[str, Callable[[Request], Answer]] = {
            r"GET session": lambda _: (200, SESSION),
            r"GET session/methods": lambda _: (200, {"code": True, "openid": None, "name": False}),
            r"GET personas": lambda _: (200, {"personas": [PERSONA]}),
            r"GET approvals": lambda _: (200, {"approvals": [], "next_cursor": None}),
            r"GET rooms": lambda _: (200, rooms),
            r"GET rooms/[^/]+": lambda _: (200, room),
            r"GET rooms/[^/]+/messages": lambda _: (200, page_of([])),
            # An account's stream that was refused for a minute: quiet.
            r"GET events": lambda _: (503, {"code": "overloaded", "retry_after_seconds": 60}),
            r"GET rooms/[^/]+/events": lambda _: (503, {"code": "overloaded", "retry_after_seconds": 60}),
        }

    async def attach(self, page: Page) -> None:
        await page.route(f"{ORIGIN}/**", self._handle)
        # Events are scripted as streams.
        await page.route_web_socket("**/v1/socket", lambda socket: socket.close())

    async def open_room(self, page: Page) -> None:
        """Signed in, in the room."""
        await page.goto(ORIGIN)
        await page.click("#rooms a")

    def seen(self, pattern: str) -> list[Request]:
        """The requests so far that match, as ``METHOD path/below/v1``."""
        return [request for request in self.requests if re.fullmatch(pattern, _name(request))]

    async def _handle(self, route: Route, request: Request) -> None:
        path = request.url.removeprefix(ORIGIN).split("?")[0]
        if not path.startswith("/v1/"):
            name = _PAGES.get(path) or path.lstrip("/")
            file = asset_path(name.removeprefix("assets/")) or WEB / name
            kind = _TYPES.get(file.suffix, "image/svg+xml")
            await route.fulfill(body=file.read_bytes(), content_type=f"{kind}; charset=utf-8")
            return
        self.requests.append(request)
        found = [answer for pattern, answer in self.answers.items() if re.fullmatch(pattern, _name(request))]
        if not found:
            await route.fulfill(status=404, json={"code": "room-not-found", "detail": _name(request)})
            return
        status, body = found[-1](request)
        if isinstance(body, str):
            await route.fulfill(status=status, body=body, content_type="text/event-stream; charset=utf-8")
        elif status >= 400:
            await route.fulfill(status=status, body=json.dumps(body), content_type="application/problem+json")
        else:
            await route.fulfill(status=status, json=body)


def _name(request: Request) -> str:
    path = request.url.removeprefix(f"{ORIGIN}/v1/").split("?")[0]
    return f"{request.method} {path}"
