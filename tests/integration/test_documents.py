"""Export, personas, health, and the OpenAPI document held against the running program."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import httpx2
import msgspec
import pytest

from tests.installation import Installation
from tests.integration import fuzz
from tests.integration.user import User, of

pytestmark = pytest.mark.integration
KINDS = ("embedded",)
EXAMPLES = 6
"""Of each call; `make fuzz` makes fifteen times as many."""
OPERATIONS = {
    "/healthz": {"get"},
    "/readyz": {"get"},
    "/v1/personas": {"get"},
    "/v1/rooms": {"get", "post"},
    "/v1/rooms/{room_id}": {"get", "patch", "delete"},
    "/v1/rooms/{room_id}/state": {"get"},
    "/v1/rooms/{room_id}/events": {"get"},
    "/v1/rooms/{room_id}/export": {"get"},
    "/v1/rooms/{room_id}/queue": {"get"},
    "/v1/rooms/{room_id}/memory": {"get", "delete"},
    "/v1/rooms/{room_id}/messages": {"get", "post"},
    "/v1/rooms/{room_id}/messages/{message_id}": {"get", "patch", "delete"},
    "/v1/rooms/{room_id}/messages/{message_id}/stop": {"post"},
    "/v1/rooms/{room_id}/messages/{message_id}/regenerate": {"post"},
    "/v1/rooms/{room_id}/messages/{message_id}/variants": {"get"},
    "/v1/rooms/{room_id}/messages/{message_id}/state": {"get"},
    "/v1/rooms/{room_id}/messages/{message_id}/events": {"get"},
    "/v1/events": {"get"},
    "/v1/usage": {"get"},
}


async def test_the_document_lists_every_call(installation: Installation) -> None:
    async with httpx2.AsyncClient(base_url=installation.base_url) as http:
        document = (await http.get("/openapi.json")).json()
    found = {path: set(operations) for path, operations in document["paths"].items()}
    assert found.items() >= OPERATIONS.items()
    for name in ("ChatRoomCreateRequest", "ChatMessageSendRequest", "ChatMessageSendResponse", "RoomNotFoundProblem"):
        assert name in document["components"]["schemas"]


async def test_generated_requests_are_answered_as_documented(installation: Installation) -> None:
    made = await asyncio.to_thread(fuzz.run, installation, f"fuzzer-{uuid4().hex}", EXAMPLES)
    assert len(made) >= 50
    assert made.total() >= 5 * len(made)


async def test_an_export_is_the_whole_room(user: User) -> None:
    room = await user.create_room("Export ☕")
    turn = await user.converse(room, "Hello")
    for number in range(205):
        await user.note(room, f"line {number}")
    secret = await user.note(room, "gone")
    await user.delete_message(room, secret["message_id"])

    answer = await user.http.get(f"{of(room)}/export")
    assert answer.headers["content-type"].split(";")[0] == "application/jsonl"
    assert f"room-{room}.jsonl" in answer.headers["content-disposition"]
    lines = [msgspec.json.decode(line) for line in answer.content.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, 209))
    assert lines[1]["content"] == turn["reply"]["content"]
    assert lines[-1]["content"] == ""
    history = await user.history(room)
    assert [line["message_id"] for line in lines] == [message["message_id"] for message in history]
    text = (await user.http.get(f"{of(room)}/export?format=markdown")).text
    assert text.startswith("# Export ☕\n")
    assert all(f"\n> {line}".rstrip(" ") in text for line in turn["reply"]["content"].splitlines())
    assert text.count("\n## ") == len(lines)
    assert "line 204" in text
    assert "gone" not in text
    assert (await user.http.get(f"{of(room)}/export?format=pdf")).status_code == 422


async def test_an_empty_room_has_an_empty_export(user: User) -> None:
    room = await user.create_room("Empty")
    assert (await user.http.get(f"{of(room)}/export")).content == b""


async def test_personas_are_listed_without_their_prompts(user: User) -> None:
    found = (await user.get("/v1/personas"))["personas"]
    assert found[0]["name"] == "GPT4O"
    assert len(found) >= 3
    assert all(persona.keys() == {"name", "title", "description", "model"} for persona in found)


async def test_health_and_readiness_are_open_to_all(installation: Installation) -> None:
    async with httpx2.AsyncClient(base_url=installation.base_url) as http:
        alive, ready = await http.get("/healthz"), await http.get("/readyz")
    assert alive.status_code == ready.status_code == 200
    assert ready.json()["ready"] is True
    names = {each["name"] for each in ready.json()["dependencies"]}
    assert len(names) >= 3
    assert all(each["ok"] for each in ready.json()["dependencies"])


async def test_the_page_and_the_documentation_are_served(installation: Installation) -> None:
    async with httpx2.AsyncClient(base_url=installation.base_url) as http:
        for path in ("/", "/docs", "/docs/errors", "/docs/swagger-ui.css", "/assets/js/app.js"):
            answer = await http.get(path)
            assert answer.status_code == 200, path
            assert "default-src" in answer.headers.get("content-security-policy", "default-src"), path


async def test_the_command_line_gives_a_token_that_works(installation: Installation) -> None:
    printed = installation.parlor("token", "from-the-shell")
    assert printed.returncode == 0, printed.stderr
    async with httpx2.AsyncClient(base_url=installation.base_url) as http:
        answer = await http.get("/v1/rooms", headers={"Authorization": f"Bearer {printed.stdout.strip()}"})
    assert (answer.status_code, answer.json()["rooms"]) == (200, [])


async def test_status_names_every_actor_and_partition(installation: Installation, user: User) -> None:
    await user.note(await user.create_room(), "here")
    status = installation.status()
    assert status["ready"] is True
    kinds = {actor["kind"] for actor in status["actors"]}
    assert kinds == {"Supervisor", "RoomActor", "ShardWriter", "StateMachine", "ChatApi"}
    assert all(actor["alive"] and actor["pid"] for actor in status["actors"])
    partitions = [queue["partition"] for queue in status["queues"]]
    assert sorted(partitions) == list(range(installation.settings.store.partitions))
