"""A Parlor of one account, in a thread: enough of it for conversations, with replies that a test scripts."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.unit.client.scripted_server import (
    Answer,
    Json,
    Request,
    ScriptedServer,
    answer,
    frame,
    message,
    problem,
    room,
    stream,
)

PERSONAS = [{"name": name, "title": name.title(), "description": "", "model": "demo"} for name in ("GPT4O", "POET")]


class FakeParlor:
    """Rooms and messages. ``says`` makes the next reply: its pieces, or None for one that ends by ``stopped`` only."""

    def __init__(self) -> None:
        self.rooms: dict[str, Json] = {}
        self.messages: dict[str, list[Json]] = {}
        self.keys: dict[str, Json] = {}
        self.says: list[list[str] | None] = []
        self.answers: list[Answer | None] = []
        """For the next sends, in front of everything else; None: as usual."""
        self.requests: list[Request] = []
        self.uploads = 0
        self.halves: set[tuple[str, int]] = set()
        """Attempts that end by ``stopped`` only."""
        self.calls: list[Json] = []
        """Of the next reply, which waits until none of them does."""
        self.decisions: list[tuple[str, Json]] = []
        self.refusals: list[Answer] = []
        """For the next decisions."""

    def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        path = request.path.partition("?")[0].removeprefix("/v1/")
        for pattern, method in _ROUTES.items():
            found = re.fullmatch(pattern, f"{request.method} {path}")
            if found is not None:
                made: Answer = getattr(self, method)(request, *found.groups())
                return made
        return problem(404, "not-found")

    def personas(self, _: Request) -> Answer:
        return answer({"personas": PERSONAS})

    def list_rooms(self, _: Request) -> Answer:
        found = list(reversed(self.rooms.values()))
        return answer({"rooms": found, "total_count": len(found), "next_cursor": None, "events_cursor": "1-0"})

    def create(self, request: Request) -> Answer:
        name = f"room-{len(self.rooms) + 1}"
        self.rooms[name] = room(room_id=name, **{"title": f"Title {len(self.rooms) + 1}", **request.json})
        self.messages[name] = []
        return answer(self.rooms[name], 201)

    def room(self, _: Request, name: str) -> Answer:
        return answer(self.rooms[name]) if name in self.rooms else problem(404, "room-not-found")

    def update(self, request: Request, name: str) -> Answer:
        self.rooms[name] |= request.json
        return answer(self.rooms[name])

    def page(self, _: Request, name: str) -> Answer:
        page = {"has_more": False, "next_before": None, "persisted_seq": 0, "cursor": "1-0"}
        return answer({"messages": self.messages[name], **page})

    def send(self, request: Request, name: str) -> Answer:
        refused = self.answers.pop(0) if self.answers else None
        if refused is not None:
            return refused
        key = request.headers["idempotency-key"]
        if key not in self.keys:
            held = self.messages[name]
            asked = message(message_id=f"m-{len(held)}", seq=len(held) + 1, sender_type="USER", attempt=0)
            asked |= {"content": request.json.get("content", ""), "room_id": name}
            reply = message(message_id=f"m-{len(held) + 1}", seq=len(held) + 2, is_streaming=True, room_id=name)
            held += [asked, reply]
            self.keys[key] = {"message": asked, "reply": reply, "cursor": "1-0"}
        return answer(self.keys[key], 201)

    def events(self, _: Request, name: str, message_id: str) -> Answer:
        reply = next(each for each in self.messages[name] if each["message_id"] == message_id)
        if not reply["is_streaming"]:
            kind = "message.stopped" if reply["finish_reason"] == "stopped" else "message.completed"
            return stream([frame(99, kind, {"message": reply})])
        attempt = (message_id, reply["attempt"])
        if attempt in self.halves:
            return stream([self._piece(reply, 1, 0, "Half")])
        if self.calls and not self.says:
            return self._with_calls(reply)
        pieces = self.says.pop(0) if self.says else ["Fine."]
        if pieces is None:
            reply["content"] = "Half"
            self.halves.add(attempt)
            return stream([self._piece(reply, 1, 0, "Half")])
        events, text = [], ""
        for number, piece in enumerate(pieces, 1):
            events.append(self._piece(reply, number, len(text), piece))
            text += piece
        reply |= {"content": text, "is_streaming": False, "finish_reason": "stop"}
        return stream([*events, frame(99, "message.completed", {"message": reply})])

    def stop(self, _: Request, name: str, message_id: str) -> Answer:
        reply = next(each for each in self.messages[name] if each["message_id"] == message_id)
        reply |= {"is_streaming": False, "finish_reason": "stopped"}
        return answer(reply)

    def again(self, request: Request, name: str, message_id: str, _: str) -> Answer:
        reply = next(each for each in self.messages[name] if each["message_id"] == message_id)
        reply |= {"is_streaming": True, "attempt": reply["attempt"] + 1, **request.json}
        return answer(reply, 202)

    def edit(self, request: Request, name: str, message_id: str) -> Answer:
        held = self.messages[name]
        asked = next(each for each in held if each["message_id"] == message_id)
        reply = held[held.index(asked) + 1]
        asked |= request.json
        reply |= {"is_streaming": True, "attempt": reply["attempt"] + 1}
        return answer({**asked, "reply": reply, "cursor": "1-0"})

    def upload(self, request: Request) -> Answer:
        self.uploads += 1
        name = request.body.partition(b'filename="')[2].partition(b'"')[0].decode()
        about = {"file_id": f"f-{self.uploads}", "name": name, "media_type": "text/plain", "size": 3, "sha256": ""}
        return answer({**about, "created_at": message()["timestamp"]}, 201)

    def search(self, _: Request) -> Answer:
        about = {"room_id": "room-1", "message_id": "m-0", "seq": 1, "sender_type": "USER", "highlights": []}
        found = {**about, "timestamp": message()["timestamp"], "snippet": "a pot of tea"}
        return answer({"results": [found], "next_cursor": None})

    def export(self, _: Request, name: str) -> Answer:
        return Answer(200, f"# {self.rooms[name]['title']}\n".encode(), {"Content-Type": "text/markdown"})

    def call(self, request: Request, _: str, __: str, call_id: str, what: str) -> Answer:
        self.decisions.append((what, request.json))
        call = next(each for each in self.calls if each["tool_call_id"] == call_id)
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None and refusal.status == 422:
            return refusal
        call |= {"state": "denied" if request.json.get("decision") == "deny" else "done"}
        return refusal or answer(call)

    def _with_calls(self, reply: Json) -> Answer:
        about = {"message_id": reply["message_id"], "attempt": reply["attempt"]}
        events = [self._piece(reply, 1, 0, "Let me *see*.")]
        for number, call in enumerate(self.calls, 1):
            events.append(frame(number + 1, "message.part", {**about, "index": number, "part": call}))
        if any(call["state"] in ("waiting", "running") for call in self.calls):
            return stream(events)
        reply |= {"content": "Let me *see*. Done.", "is_streaming": False, "finish_reason": "stop"}
        return stream([*events, frame(99, "message.completed", {"message": reply})])

    def _piece(self, reply: Json, number: int, offset: int, text: str) -> bytes:
        data = {"message_id": reply["message_id"], "attempt": reply["attempt"], "index": 0, "offset": offset}
        return frame(number, "message.delta", {**data, "text": text})


_ROUTES = {
    "GET personas": "personas",
    "GET rooms": "list_rooms",
    "POST rooms": "create",
    "GET rooms/([^/]+)": "room",
    "PATCH rooms/([^/]+)": "update",
    "GET rooms/([^/]+)/messages": "page",
    "POST rooms/([^/]+)/messages": "send",
    "GET rooms/([^/]+)/messages/([^/]+)/events": "events",
    "POST rooms/([^/]+)/messages/([^/]+)/stop": "stop",
    "POST rooms/([^/]+)/messages/([^/]+)/tool-calls/([^/]+)/(decision|result)": "call",
    "POST rooms/([^/]+)/messages/([^/]+)/(regenerate|continue)": "again",
    "PATCH rooms/([^/]+)/messages/([^/]+)": "edit",
    "POST files": "upload",
    "GET search": "search",
    "GET rooms/([^/]+)/export": "export",
}


@contextmanager
def serving(parlor: FakeParlor) -> Iterator[str]:
    """The base URL, while a thread serves it."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    found: list[Any] = []

    async def serve() -> None:
        async with ScriptedServer(parlor) as server:
            ending = asyncio.Event()
            found.extend((server.base_url, ending))
            ready.set()
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(found[1].set)
        thread.join(10)
        loop.close()
