"""What ``/v1/admin`` answers an operators' page by script: rooms that are talked in, a writer in trouble, accounts."""

from __future__ import annotations

import math
from urllib.parse import unquote

from playwright.async_api import Request

from tests.browser.scripted_api import SESSION, Answer, Json, ScriptedApi

OPERATOR: Json = SESSION | {"account_id": "olga", "scopes": ["admin", "read", "write"]}
TROUBLE = "partition 17 is held by another writer"


def actor(name: str, kind: str, **changed: object) -> Json:
    made: Json = {
        "name": name,
        "kind": kind,
        "alive": True,
        "rooms": 0,
        "trouble": "",
        "pid": 4711,
        "node": "a1b2c3d4",
        "started": True,
        "leaving": False,
        "replies": 0,
        "sends": 0,
        "replied": 0,
        "partitions": 0,
        "committed": 0,
        "lag_entries": 0,
        "lag_seconds": 0.0,
    }
    return made | changed


def dead_letter(number: int) -> Json:
    return {
        "id": f"1795403885042-{number}",
        "parked_at": "2026-11-23T10:00:00Z",
        "partition": 17,
        "op": "CHAT_MESSAGE_SAVE",
        "account_id": "bob",
        "room_id": "0199d2a4-8f00-8abc-9def-000000000001",
        "seq": number,
        "message_id": None,
        "reason": "Data too long for column 'content'",
    }


class ScriptedAdmin:
    """Answers that go on: each look at the status finds that more was sent."""

    def __init__(self, scripted: ScriptedApi) -> None:
        self.looks = 0
        self.trouble = ""
        self.dead_letters = [dead_letter(1), dead_letter(2)]
        self.standings = {"ada": "active", "bob": "active", "mallory": "disabled"}
        self._sent = 0
        scripted.answers |= {
            "GET session": lambda _: (200, OPERATOR),
            "GET admin/status": lambda _: self._status(),
            "GET admin/accounts": lambda _: (200, {"accounts": self._accounts(), "next_cursor": None}),
            "GET admin/accounts/[^/]+": self._account,
            "PATCH admin/accounts/[^/]+": self._change,
            "GET admin/dead-letters": lambda _: (200, {"dead_letters": self.dead_letters, "next_cursor": None}),
            "POST admin/dead-letters/[^/]+/(replay|drop)": self._decide,
        }

    def _status(self) -> Answer:
        self.looks += 1
        wave = 1 + math.sin(self.looks / 6)
        self._sent += round(20 * wave) + 1
        queued = round(30 * wave)
        actors = [
            actor("supervisor", "Supervisor"),
            actor("rooms-000", "RoomActor", rooms=214, replies=round(7 * wave), sends=self._sent, replied=self._sent),
            actor("rooms-001", "RoomActor", rooms=198, replies=3, sends=self._sent // 3, leaving=True),
            actor("state-machine", "StateMachine"),
            actor("writer-1-0", "ShardWriter", partitions=32, committed=self._sent * 2, lag_entries=queued),
            actor("writer-2-0", "ShardWriter", partitions=32, committed=self._sent, trouble=self.trouble),
        ]
        shards = [
            {"shard": 1, "lag_entries": queued, "lag_seconds": 0.4, "dead_letters": 2, "trouble": ""},
            {"shard": 2, "lag_entries": 3, "lag_seconds": 0.1, "dead_letters": 0, "trouble": self.trouble},
        ]
        services = {"redis": "ok", "shard1": "ok", "writers:shard2": self.trouble or "ok"}
        return 200, {"services": services, "actors": actors, "shards": shards}

    def _accounts(self) -> list[Json]:
        return [self._line(name) for name in self.standings]

    def _line(self, name: str) -> Json:
        standing = self.standings[name]
        since = None if standing == "active" else "2026-11-23T10:00:00Z"
        return {
            "account_id": name,
            "standing": standing,
            "disabled": standing == "disabled",
            "standing_since": since,
            "not_before": None,
        }

    def _account(self, request: Request) -> Answer:
        name = unquote(request.url.rpartition("/")[2])
        if name not in self.standings:
            return 404, {"code": "account-not-found", "detail": "There is no such account"}
        usage = {"from": "2026-10-25", "to": "2026-11-23", "messages": 1280, "input_tokens": 90_000}
        usage |= {"output_tokens": 41_000, "cost": 3.5}
        return 200, self._line(name) | {"rooms": 12, "api_keys": 1, "usage": usage, "limits": {}, "own_limits": []}

    def _change(self, request: Request) -> Answer:
        name = unquote(request.url.rpartition("/")[2])
        self.standings[name] = "disabled" if (request.post_data_json or {})["disabled"] else "active"
        return self._account(request)

    def _decide(self, request: Request) -> Answer:
        number = unquote(request.url).split("/")[-2]
        left = [one for one in self.dead_letters if one["id"] != number]
        if len(left) == len(self.dead_letters):
            return 404, {"code": "dead-letter-not-found", "detail": "There is no such dead letter"}
        self.dead_letters = left
        return 200, {"id": number, "result": "queued again"}
