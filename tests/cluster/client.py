"""A client of Parlor, as small as the tests need it."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

RETRY_SECONDS = 90.0
"""How long a call is made again while the answer is 503, or no answer comes."""
_PAUSE = 0.25


class Client:
    """One account's way in. Every call is made again until it is served, with the same idempotency key."""

    def __init__(self, url: str, token: str) -> None:
        self._host = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def create_room(self) -> str:
        room_id: str = self._served("POST", "/v1/rooms", {})["room_id"]
        return room_id

    def send(self, room_id: str, content: str) -> dict[str, Any]:
        """The acknowledgement: message and reply, after the reply has ended or a few seconds."""
        return self._served("POST", f"/v1/rooms/{room_id}/messages", {"content": content}, {"Prefer": "wait=5"})

    def messages(self, room_id: str) -> list[dict[str, Any]]:
        """All of them, in order."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else 0
            page = self._served("GET", f"/v1/rooms/{room_id}/messages?limit=100&after={after}")
            found += page["messages"]
            if not page["has_more"]:
                return found

    def persisted_seq(self, room_id: str) -> int:
        found: int = self._served("GET", f"/v1/rooms/{room_id}")["persisted_seq"]
        return found

    def _served(
        self, method: str, path: str, body: dict[str, object] | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        headers = {**self._headers, **(headers or {}), "Idempotency-Key": uuid.uuid4().hex}
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            status, text = ask(self._host, method, path, headers, body)
            if 200 <= status < 300:
                found: dict[str, Any] = json.loads(text)
                return found
            if status not in (0, 503) or time.monotonic() > deadline:
                raise AssertionError(f"{method} {path}: {status} {text[:500]}")
            time.sleep(_PAUSE)


def ask(
    host: str, method: str, path: str, headers: dict[str, str] | None = None, body: dict[str, object] | None = None
) -> tuple[int, str]:
    """Status and body; status 0 and the reason when there is no answer."""
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        raw = None if body is None else json.dumps(body)
        connection.request(method, path, raw, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8")
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()
