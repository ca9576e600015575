"""Every call of the document on what is somebody else's: the answer is the one for what there is not (I16).

The application stands on the real gateway here, over rooms in memory.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx2
import pytest
from fastapi import FastAPI

from api import openapi
from api.app import build_app
from api.tokens import issue
from parlor.gateway import Gateway
from parlor.model.requests import ReplyMode, SendRequest
from parlor.settings import Settings
from tests.unit.actors.cluster import Cluster
from tests.unit.api.document_calls import documented_calls
from tests.unit.domain import Domain
from tests.unit.fake_clock import settle
from tests.unit.memory_store import PARTITIONS

pytestmark = pytest.mark.unit


def partition_of(account: str) -> int:
    return zlib.crc32(account.encode()) % PARTITIONS


ALICE = "alice"
BOB = next(name for name in (f"bob-{number}" for number in range(100)) if partition_of(name) == partition_of(ALICE))
"""In the same partition: nothing but the account tells the two apart."""
NOT_FOUND = {
    "room_id": "room-not-found",
    "file_id": "file-not-found",
    "response_id": "message-not-found",
    "conversation_id": "room-not-found",
}
"""By the first name in a path."""
ELSEWHERE = {
    "message_id": "in a room",
    "item_id": "in a conversation",
    "tool_call_id": "in a message",
    "key_id": "tests/contract/store/test_access.py",
    "id": "test_a_chat_is_its_accounts_own",
    "account_id": "an operator's",
    "dead_letter_id": "an operator's",
    "model": "everybody's",
}
"""The other names in paths, and where it is shown whose they are."""


@pytest.fixture
def cluster(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(domain, monkeypatch)


@pytest.fixture
async def app(cluster: Cluster, settings: Settings) -> AsyncIterator[FastAPI]:
    async def factory() -> Gateway:
        return cluster.gateway()

    built = build_app(settings, factory, clock=cluster.domain.clock)
    async with built.router.lifespan_context(built):
        yield built


def token_of(settings: Settings, domain: Domain, account: str) -> str:
    return issue(settings.auth, account, None, datetime.fromtimestamp(domain.clock.now_ms() / 1000, UTC))


async def test_what_is_another_accounts_is_answered_as_what_there_is_not(
    app: FastAPI, cluster: Cluster, settings: Settings
) -> None:
    domain, gateway = cluster.domain, app.state.edge.gateway
    alice, bob = await gateway.session(ALICE), await gateway.session(BOB)
    assert alice.partition == bob.partition
    await domain.loader.open_partition(alice.partition)
    room = await domain.new_room(alice, "Alice's")
    receipt = await gateway.send_message(alice, room, SendRequest("A secret", reply=ReplyMode.NONE))
    domain.model.auto = ["A secret answer"]
    answered = await gateway.send_message(alice, room, SendRequest("Another secret"))
    await settle()
    await domain.clock.advance(0.1)
    async with gateway.files.receive(alice) as upload:
        await upload.write(b"A secret")
        file = await upload.keep("secret.txt")
    names = {
        "room_id": room,
        "message_id": receipt.message.message_id,
        "file_id": file.file_id,
        "tool_call_id": "call_0f",
        "response_id": f"resp_{answered.reply.message_id}",
        "conversation_id": f"conv_{room}",
        "item_id": f"msg_{receipt.message.message_id}",
    }
    nothing = {
        "file_id": str(domain.mint.file_id(bob.partition)),
        "room_id": str(domain.mint.room_id(bob.partition)),
        "message_id": str(domain.mint.message_id(bob.partition)),
        "tool_call_id": "call_0f",
        "response_id": f"resp_{domain.mint.message_id(bob.partition)}",
        "conversation_id": f"conv_{domain.mint.room_id(bob.partition)}",
        "item_id": f"msg_{domain.mint.message_id(bob.partition)}",
    }
    calls = [call for call in documented_calls(openapi.document(app)) if NOT_FOUND.keys() & set(call.names)]
    assert len(calls) > 20
    before = await gateway.list_messages(alice, room, 10, None, None)
    headers = {"Authorization": f"Bearer {token_of(settings, domain, BOB)}"}
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://parlor", headers=headers) as client:
        for call in calls:
            there, not_there = [
                await client.request(call.method, call.at(**which), **call.request) for which in (names, nothing)
            ]
            code = next(NOT_FOUND[name] for name in call.names)
            told = there.json()
            assert (there.status_code, told.get("code") or told["error"]["code"]) == (404, code), call
            own = {"instance": "", "request_id": ""}
            assert there.json() | own == not_there.json() | own, call
            assert "secret" not in there.text
    assert await gateway.list_messages(alice, room, 10, None, None) == before, "nothing was changed"
    assert (await gateway.files.page(alice, 10, None)).files == [file]
    assert (await gateway.files.page(bob, 10, None)).files == []


def test_every_name_in_a_path_is_somebodys(app: FastAPI) -> None:
    """A path that names a new thing has to say whose it is."""
    names = {name for call in documented_calls(openapi.document(app)) for name in call.names}
    assert names == NOT_FOUND.keys() | ELSEWHERE.keys()


async def test_a_chat_is_its_accounts_own(app: FastAPI, cluster: Cluster, settings: Settings) -> None:
    """Two accounts may call their chats alike."""
    domain, gateway = cluster.domain, app.state.edge.gateway
    alice = await gateway.session(ALICE)
    await domain.loader.open_partition(alice.partition)
    room = (await gateway.create_room(alice, None, None, external_id="tea")).room.room_id
    sent = await gateway.send_message(alice, room, SendRequest("A secret"))
    headers = {"Authorization": f"Bearer {token_of(settings, domain, BOB)}"}
    transport = httpx2.ASGITransport(app=app)
    said = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "A secret"}]}
    async with httpx2.AsyncClient(transport=transport, base_url="http://parlor", headers=headers) as client:
        assert (await client.get("/ai-sdk/chat/tea/stream")).status_code == 204
        assert (await client.post("/ai-sdk/chat/tea/stop")).status_code == 204
        body = {"id": "tea", "messages": [said], "trigger": "regenerate-message", "messageId": sent.reply.message_id}
        answer = await client.post("/ai-sdk/chat", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "room-not-found")
    assert (await gateway.get_message(alice, room, sent.reply.message_id)).is_streaming, "it was not stopped"
