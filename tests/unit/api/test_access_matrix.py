"""Every call of the document with every credential that must not get in. A new route is in here by itself."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from fastapi import FastAPI

from parlor.model.files import File
from tests.unit.api.bad_credentials import COOKIE, REFUSED, Credentials, made_credentials, signed
from tests.unit.api.document_calls import DocumentedCall, Schema, documented_calls
from tests.unit.api.fake_gateway import FakeGateway
from tests.unit.api.samples import FILE_ID, MESSAGE, REPLY, ROOM, reply
from tests.unit.fake_clock import NOW_MS, FakeClock

pytestmark = pytest.mark.unit

FILE = File(FILE_ID, FILE_ID, "a.txt", "text/plain", 1, "0" * 64, NOW_MS)
OUR_PAGE = ("Sec-Fetch-Site", "same-origin")
NAMES = {
    "room_id": ROOM,
    "message_id": MESSAGE,
    "key_id": "0123456789abcdef",
    "file_id": FILE_ID,
    "account_id": "alice",
    "model": "GPT4O",
    "tool_call_id": "call_0f",
    "id": "tea",
    "response_id": f"resp_{REPLY}",
    "conversation_id": f"conv_{ROOM}",
    "item_id": f"msg_{MESSAGE}",
    "dead_letter_id": "17:1795403885042-1",
}


@pytest.fixture
def calls(document: Schema) -> list[DocumentedCall]:
    found = documented_calls(document)
    assert len(found) > 25
    return found


@pytest.fixture
async def credentials(app: FastAPI, gateway: FakeGateway, clock: FakeClock) -> Credentials:
    found = await made_credentials(gateway, clock)
    for _ in range(3):  # Else the answers of the dialects would not end.
        gateway.answering.batches.put_nowait(None)
    gateway.subscription.batches.put_nowait(None)
    return found


CODES = {
    "invalid_api_key": "unauthenticated",
    "authentication_error": "unauthenticated",
    "permission_error": "forbidden",
}
"""Other programs' names for ours."""


def code_of(answer: httpx2.Response) -> str:
    """Parlor's code of an error, whatever the dialect."""
    if answer.headers.get("content-type") == "application/problem+json":
        return str(answer.json()["code"])
    if not answer.is_error:
        return ""
    error = answer.json()["error"]
    told = error if isinstance(error, str) else error.get("code", error["type"])
    if isinstance(error, str):  # Ollama's errors have no code.
        told = {401: "unauthenticated", 403: "forbidden"}.get(answer.status_code, error)
    return CODES.get(told, told)


def names(calls: list[DocumentedCall]) -> list[str]:
    return [call.name for call in calls]


async def answers(
    client: httpx2.AsyncClient, calls: list[DocumentedCall], headers: list[tuple[str, str]]
) -> dict[str, tuple[int, str]]:
    """Status and code of every call with these headers."""
    client.headers.pop("authorization", None)
    found = {}
    for call in calls:
        answer = await client.request(call.method, call.at(**NAMES), headers=headers, **call.request)
        found[call.name] = (answer.status_code, code_of(answer))
    return found


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


def cookie(token: str) -> tuple[str, str]:
    return "Cookie", f"{COOKIE}={token}"


@pytest.mark.parametrize("carried", [bearer, cookie])
@pytest.mark.parametrize("case", REFUSED)
async def test_nobody_gets_in_with(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    calls: list[DocumentedCall],
    credentials: Credentials,
    case: str,
    carried: Callable[[str], tuple[str, str]],
) -> None:
    found = await answers(client, calls, [carried(REFUSED[case](credentials)), OUR_PAGE])
    assert found == dict.fromkeys(names(calls), (401, "unauthenticated"))
    assert [call for call in gateway.calls if call[0] != "session"] == [], "nothing was done"


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Basic YWxpY2U6eA==")],
        [bearer(signed())] * 2,
        [("Cookie", f"parlor_{'0' * 36}={signed()}")],
        [("Cookie", f"{COOKIE}={signed()}; {COOKIE}={signed()}")],
        [cookie(signed()), bearer("x")],
    ],
)
async def test_nobody_gets_in_without_one_token(
    client: httpx2.AsyncClient, gateway: FakeGateway, calls: list[DocumentedCall], headers: list[tuple[str, str]]
) -> None:
    found = await answers(client, calls, [*headers, OUR_PAGE])
    assert found == dict.fromkeys(names(calls), (401, "unauthenticated"))
    assert gateway.calls == []


@pytest.mark.parametrize("case", REFUSED)
async def test_nobody_gets_in_by_anthropics_header_with(
    client: httpx2.AsyncClient, calls: list[DocumentedCall], credentials: Credentials, case: str
) -> None:
    calls = [call for call in calls if call.path.startswith("/anthropic/")]
    assert len(calls) == 2
    found = await answers(client, calls, [("X-Api-Key", REFUSED[case](credentials))])
    assert found == dict.fromkeys(names(calls), (401, "unauthenticated"))


@pytest.mark.parametrize("beside", [("X-Api-Key", signed()), ("Authorization", f"Bearer {signed()}")])
async def test_anthropics_header_stands_alone(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    calls: list[DocumentedCall],
    credentials: Credentials,
    beside: tuple[str, str],
) -> None:
    calls = [call for call in calls if call.path.startswith("/anthropic/")]
    key = ("X-Api-Key", credentials["both"])
    assert await answers(client, calls, [key, beside]) == dict.fromkeys(names(calls), (401, "unauthenticated"))
    assert gateway.calls == []
    assert await answers(client, calls, [key]) == dict.fromkeys(names(calls), (200, ""))


@pytest.mark.usefixtures("credentials")
async def test_anthropics_header_opens_nothing_else(client: httpx2.AsyncClient, calls: list[DocumentedCall]) -> None:
    calls = [call for call in calls if not call.path.startswith("/anthropic/")]
    found = await answers(client, calls, [("X-Api-Key", signed())])
    assert found == dict.fromkeys(names(calls), (401, "unauthenticated"))


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    "page",
    [
        [],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site"), ("Origin", "http://parlor")],
        [("Origin", "http://evil.example")],
        [("Origin", "null")],
    ],
    ids=str,
)
async def test_a_cookie_changes_nothing_unless_the_browser_says_it_is_our_own_page(
    client: httpx2.AsyncClient, gateway: FakeGateway, calls: list[DocumentedCall], page: list[tuple[str, str]]
) -> None:
    calls = [call for call in calls if call.method not in ("GET", "HEAD")]
    assert len(calls) > 10
    found = await answers(client, calls, [cookie(signed()), *page])
    assert found == dict.fromkeys(names(calls), (403, "forbidden"))
    assert [call for call in gateway.calls if call[0] != "session"] == [], "nothing was done"


@pytest.mark.parametrize("scope", ["read", "write"])
async def test_a_key_with_one_scope_gets_nowhere_else(
    client: httpx2.AsyncClient, calls: list[DocumentedCall], credentials: Credentials, scope: str
) -> None:
    calls = [call for call in calls if call.reads == (scope == "write") or call.is_admins]
    assert len(calls) > 8
    assert await answers(client, calls, [bearer(credentials[scope])]) == dict.fromkeys(names(calls), (403, "forbidden"))


USERS: dict[str, Callable[[Credentials], str]] = {
    "a token": lambda _: signed(),
    "a token for what is its account's": lambda _: signed(scope="read write"),
    "a token with a word that contains it": lambda _: signed(scope="administrator read:admin ADMIN"),
    "a token with a list": lambda _: signed(scope=["admin"]),
    "an API key": lambda keys: keys["both"],
}


@pytest.mark.parametrize("case", USERS)
async def test_a_user_is_no_operator(
    client: httpx2.AsyncClient, gateway: FakeGateway, calls: list[DocumentedCall], credentials: Credentials, case: str
) -> None:
    calls = [call for call in calls if call.path.startswith("/v1/admin/")]
    assert len(calls) > 6
    assert all(call.is_admins for call in calls), "the document says so"
    found = await answers(client, calls, [bearer(USERS[case](credentials))])
    assert found == dict.fromkeys(names(calls), (403, "forbidden"))
    assert gateway.administration.calls == []


@pytest.mark.parametrize(
    ("scope", "barred"),
    [("read", {"write", "admin"}), ("write", {"read", "admin"}), ("admin read", {"write"}), ("admin", set())],
)
@pytest.mark.usefixtures("credentials")
async def test_a_token_may_do_what_its_scope_says(
    client: httpx2.AsyncClient, calls: list[DocumentedCall], scope: str, barred: set[str]
) -> None:
    calls = [call for call in calls if not call.path.endswith("/events")]
    found = await answers(client, calls, [bearer(signed(scope=scope))])
    refused = {name for name, answer in found.items() if answer == (403, "forbidden")}
    needed = {call.name: {"admin" if call.is_admins else "read" if call.reads else "write"} for call in calls}
    # A key that is to read and write is made by who may do both.
    needed["POST /v1/keys"] = {"read", "write"}
    assert refused == {name for name, each in needed.items() if each & barred}


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("carried", [bearer, cookie])
async def test_the_same_requests_get_in_with_a_good_token(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    calls: list[DocumentedCall],
    carried: Callable[[str], tuple[str, str]],
) -> None:
    """Else the others would show nothing. Streams are not begun: they would not end."""
    gateway.file_rows.files[FILE.file_id] = FILE
    gateway.file_store.kept[FILE.file_id] = b"x"
    gateway.message = reply(content="hi", is_streaming=False)
    calls = [call for call in calls if not call.path.endswith("/events") and call.path != "/v1/keys/{key_id}"]
    calls.sort(key=lambda call: call.name == "DELETE /v1/admin/accounts/{account_id}")  # alice's end
    found = await answers(client, calls, [carried(signed(scope="admin")), OUR_PAGE])
    assert {call: answer for call, answer in found.items() if answer[0] not in (200, 201, 202, 204)} == {}
    elsewhere = [call for call in calls if call.is_admins or call.path == "/v1/session"]
    assert len(gateway.calls) + len(elsewhere) > len(calls) - 5
