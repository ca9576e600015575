"""A room that keeps what it is sent."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Request

from tests.browser.scripted_api import ROOM_ID, Answer, Json, ScriptedApi, message, page_of

CREATE = "POST rooms"
SEND = r"POST rooms/[^/]+/messages"
MESSAGES = r"GET rooms/[^/]+/messages"
NEW_ROOM = ROOM_ID[:-1] + "2"


class Kept:
    """Rooms that are made all have one id; ``rooms`` and ``sent`` are the bodies."""

    def __init__(self, scripted: ScriptedApi, *messages: Json) -> None:
        self.rooms: list[Json] = []
        self.sent: list[Json] = []
        self.refusals: list[Answer] = []
        self._before = list(messages)
        scripted.answers[CREATE] = self._create
        scripted.answers[SEND] = self.send
        scripted.answers[MESSAGES] = self._page

    @property
    def messages(self) -> list[Json]:
        about: Json = {"sender_type": "USER", "attempt": 0, "room_id": NEW_ROOM}
        return [
            message(seq, body.get("content", ""), metadata=body["metadata"], **about)
            for seq, body in enumerate(self.sent, 1)
        ]

    def send(self, request: Request) -> Answer:
        if self.refusals:
            return self.refusals.pop(0)
        self.sent.append(json.loads(request.post_data or ""))
        return 201, {"message": self.messages[-1], "reply": None, "cursor": "1-1"}

    def _page(self, request: Request) -> Answer:
        if NEW_ROOM in request.url:
            return 200, page_of(self.messages)
        before = int(parse_qs(urlsplit(request.url).query).get("before", ["1000"])[0])
        return 200, page_of([each for each in self._before if each["seq"] < before])

    def _create(self, request: Request) -> Answer:
        self.rooms.append(json.loads(request.post_data or ""))
        return 201, self.room(request)[1]

    def room(self, _: Request) -> Answer:
        """The room that was made."""
        return 200, {
            "room_id": NEW_ROOM,
            "title": self.rooms[-1].get("title"),
            "ai_persona": "GPT4O",
            "created_at": "2026-11-23T10:00:00Z",
            "last_message_at": None,
            "message_count": 0,
            "state": "ACTIVE",
            "persisted_seq": 0,
        }
