"""What was said in a deleted message is not handed out again, by any route of the document, nor by a socket (P5, I20).

A route that is added is asked too: each GET whose parameters are known here, with the ids of what was deleted.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.installation import Installation
from tests.integration.socket_client import LONG, connected
from tests.integration.sse import SseEvent
from tests.integration.user import Json, User, of, succeeded
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

SECRET = "Quetzalcoatl"
"""In the words of the message, in a file's name and bytes, in the reply, and in the arguments of a call."""
CALLS = f'[[call=browse args={{"city":"{SECRET}"}}]] {SECRET}?'
KEY = {"Idempotency-Key": "key"}
FINAL_TEXT = "the last of all"
STREAMS = "events"
"""The last part of the path of routes that do not end by themselves."""
ACCOUNT_STREAM = "/v1/events"


class Deleted:
    """A turn with a file, of which both messages were deleted; and how to name it."""

    def __init__(self, begin: str, room: str, sent: Json, file_id: str, call: str) -> None:
        self.begin, self.room, self.file_id = begin, room, file_id
        self.question, self.reply = str(sent["message"]["message_id"]), str(sent["reply"]["message_id"])
        self.call = call

    def names(self) -> list[dict[str, str]]:
        """The values of path parameters, once for each of the two messages."""
        return [
            {
                "room_id": self.room,
                "message_id": message,
                "file_id": self.file_id,
                "tool_call_id": self.call,
                "response_id": f"resp_{message}",
                "conversation_id": f"conv_{self.room}",
                "item_id": f"msg_{message}",
                "id": self.room,
            }
            for message in (self.question, self.reply)
        ]


async def make(user: User) -> Deleted:
    """Says the secret in every way, lets all of it be stored, and deletes it."""
    room = await user.create_room("Tea", persona="Clerk")
    begin = str((await user.messages(room))["cursor"])
    made = await user.http.post("/v1/files", files={"file": (f"{SECRET}.txt", SECRET.encode() * 3)})
    file_id = str(succeeded(made, 201)["file_id"])
    answer = await user.http.post(f"{of(room)}/messages", json=body_of(file_id), headers={**KEY, "Prefer": "wait=30"})
    sent = succeeded(answer, 201)
    assert SECRET in sent["reply"]["content"], "it was said"
    await user.edit_message(room, sent["message"]["message_id"], CALLS)
    messages = f"{of(room)}/messages/{sent['reply']['message_id']}"

    async def calls() -> list[Json]:
        found: list[Json] = (await user.get(f"{messages}/tool-calls"))["tool_calls"]
        return found

    (call,) = await eventually(calls, lambda found: [each["state"] for each in found] == ["running"])
    result = {"content": SECRET, "digest": call["digest"]}
    succeeded(await user.http.post(f"{messages}/tool-calls/{call['tool_call_id']}/result", json=result), 200)
    await user.ended(room, sent["reply"]["message_id"])
    await user.flush()
    assert (await user.get("/v1/search", q=SECRET))["results"], "it was found"
    for message in (sent["reply"], sent["message"]):
        await user.delete_message(room, message["message_id"])
    await user.note(room, FINAL_TEXT)
    return Deleted(begin, room, sent, file_id, call["tool_call_id"])


def body_of(file_id: str) -> Json:
    return {"parts": [{"type": "text", "text": f"{SECRET}?"}, {"type": "file", "file_id": file_id}]}


async def told(user: User, path: str, begin: str) -> str:
    """What a route says; of one that does not end, what it says up to the last message of the room."""
    if not path.endswith(STREAMS):
        answer = await user.http.get(path, params={"q": SECRET} if path == "/v1/search" else {})
        return answer.text
    events: list[SseEvent] = []
    async with user.events(path.removesuffix(f"/{STREAMS}"), after=begin) as reader:
        while (event := await reader.next()) is not None:
            events.append(event)
            if FINAL_TEXT in json.dumps(event.data):
                break
    return "\n".join(f"{event.type} {event.data}" for event in events)


def readable(document: Json, names: dict[str, str]) -> list[str]:
    """The paths of the routes that read and of which every parameter has a name; those of files have a test of their
    own."""
    paths = []
    for path, route in document["paths"].items():
        known = path
        for name, value in names.items():
            known = known.replace(f"{{{name}}}", value)
        apart = known == ACCOUNT_STREAM or known.startswith(("/v1/files", "/v1/session/"))
        if "get" in route and "{" not in known and not apart:
            paths.append(known)
    return paths


async def test_no_route_gives_out_what_was_deleted(user: User, installation: Installation) -> None:
    deleted = await make(user)
    document: Any = (await user.http.get("/openapi.json")).json()
    asked: dict[str, str] = {}
    for names in deleted.names():
        for path in readable(document, names):
            if path not in asked:
                asked[path] = await told(user, path, deleted.begin)
    assert len([path for path in asked if deleted.reply in path]) >= 8
    assert FINAL_TEXT in asked[f"{of(deleted.room)}/messages"], "the rest is there"
    assert FINAL_TEXT in asked[f"{of(deleted.room)}/events"]
    # A search says what it looked for in no answer but a refusal.
    assert {path for path, said in asked.items() if SECRET in said} == set()


async def test_no_call_gives_out_what_was_deleted(user: User, installation: Installation) -> None:
    deleted = await make(user)
    reply = f"{of(deleted.room)}/messages/{deleted.reply}"
    call = f"{reply}/tool-calls/{deleted.call}"
    digest = "sha256:" + "0" * 64
    calls: list[tuple[str, Json | None]] = [
        (f"{reply}/continue", None),
        (f"{reply}/regenerate", None),
        (f"{reply}/stop", None),
        (f"{call}/decision", {"decision": "approve", "digest": digest}),
        (f"{call}/result", {"content": "x", "digest": digest}),
        (
            "/openai/v1/responses",
            {"model": "Clerk", "input": "[[echo=1]]", "previous_response_id": f"resp_{deleted.reply}"},
        ),
        ("/openai/v1/responses", {"model": "Clerk", "input": "[[echo=1]]", "conversation": f"conv_{deleted.room}"}),
        (f"/openai/v1/responses/resp_{deleted.reply}/cancel", None),
        (f"{of(deleted.room)}/messages", {"content": "[[echo=1]]"}),
    ]
    said: dict[str, str] = {}
    for path, body in calls:
        answer = await user.http.post(path, json=body, headers={"Prefer": "wait=30"})
        said[f"{path} {body}"] = answer.text
    again = await user.http.post(
        f"{of(deleted.room)}/messages",
        json=body_of(deleted.file_id),
        headers=KEY,
    )
    said["the same send"] = again.text
    edited = await user.http.patch(f"{of(deleted.room)}/messages/{deleted.question}", json={"content": "other"})
    said["edit"] = edited.text
    assert {what for what, text in said.items() if SECRET in text} == set()


async def test_no_socket_gives_out_what_was_deleted(user: User, installation: Installation) -> None:
    deleted = await make(user)
    frames: list[str] = []
    async with connected(installation.base_url, installation.token(user.account)) as socket:
        await socket.say(op="subscribe", ref=1, room_id=deleted.room, after=deleted.begin)
        while not frames or FINAL_TEXT not in frames[-1]:
            frames.append(json.dumps(await socket.frame()))
        await socket.say(op="send", ref=2, room_id=deleted.room, idempotency_key="key", **body_of(deleted.file_id))
        frames.append(json.dumps(await socket.frame()))
    assert [frame for frame in frames if SECRET in frame] == []


async def test_a_file_goes_with_the_last_message_that_named_it(user: User, installation: Installation) -> None:
    """When the delete is committed and a writer's process has looked, which is within seconds."""
    deleted = await make(user)
    path = f"/v1/files/{deleted.file_id}"

    async def status() -> int:
        return (await user.http.get(path)).status_code

    assert await eventually(status, lambda found: found == 404, seconds=LONG)
    assert SECRET not in (await user.http.get("/v1/files")).text
