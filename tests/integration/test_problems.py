"""Refusals to the letter of the contract: every one is a whole problem+json document."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2
import pytest
from pydantic import SecretStr

from api.tokens import issue
from parlor.model.ids import partition_of
from tests.installation import Installation
from tests.integration.user import Json, User, of, signed_in

pytestmark = pytest.mark.integration
KINDS = ("embedded",)
MEMBERS = {"type", "title", "status", "detail", "instance", "errorCode", "code", "request_id"}


def refused(answer: httpx2.Response, status: int, code: str, error_code: int) -> Json:
    """Asserts the whole form of a refusal; returns the problem."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    problem: Json = answer.json()
    assert problem.keys() >= MEMBERS
    assert (problem["status"], problem["code"], problem["errorCode"]) == (status, code, error_code)
    assert problem["type"] == f"/docs/errors#{code}"
    assert problem["instance"] == answer.request.url.path
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"]
    assert ("retry-after" in answer.headers) == ("retry_after_seconds" in problem)
    return problem


def fields(problem: Json) -> set[str]:
    return {".".join(map(str, error["loc"])) for error in problem["errors"]}


async def test_an_unknown_path_is_not_found(user: User) -> None:
    for path in ("/v1/nothing", "/v2/rooms", "/v1/rooms/", "/v1/rooms//messages", "/assets/../secret"):
        refused(await user.http.get(path), 404, "not-found", 1000)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/rooms", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/v1/personas", "GET, HEAD, OPTIONS"),
        ("POST", "/v1/rooms/{room}", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("PUT", "/v1/rooms/{room}/messages", "GET, HEAD, OPTIONS, POST"),
        ("PUT", "/v1/rooms/{room}/messages/{room}", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("GET", "/v1/rooms/{room}/messages/{room}/stop", "OPTIONS, POST"),
        ("PATCH", "/v1/rooms/{room}/memory", "DELETE, GET, HEAD, OPTIONS"),
        ("POST", "/v1/events", "GET, HEAD, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("FROBNICATE", "/v1/rooms", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
    ],
)
async def test_a_method_that_a_path_does_not_take_is_refused_with_those_it_takes(
    user: User, method: str, path: str, allowed: str
) -> None:
    answer = await user.http.request(method, path.format(room=uuid4()))
    refused(answer, 405, "method-not-allowed", 1020)
    assert answer.headers["allow"] == allowed


BODIES: list[tuple[str, bytes, str]] = [
    ("broken", b'{"content": "x', "body"),
    ("nothing", b"", "body"),
    ("null", b"null", "body"),
    ("list", b'["content"]', "body"),
    ("no content", b"{}", "body.content"),
    ("content null", b'{"content": null}', "body.content"),
    ("content number", b'{"content": 7}', "body.content"),
    ("empty", b'{"content": ""}', "body.content"),
    ("blank", b'{"content": " \\t\\n\\u00a0\\u3000 "}', "body.content"),
    ("NUL", b'{"content": "a\\u0000b"}', "body.content"),
    ("high surrogate", b'{"content": "a\\ud800b"}', "body.content"),
    ("low surrogate", b'{"content": "a\\udc00b"}', "body.content"),
    ("surrogates swapped", b'{"content": "\\ude00\\ud83d"}', "body.content"),
    ("metadata list", b'{"content": "x", "metadata": [1]}', "body.metadata"),
    ("metadata surrogate", b'{"content": "x", "metadata": {"a": ["\\ud800"]}}', "body.metadata"),
    ("metadata key surrogate", b'{"content": "x", "metadata": {"\\ud800": 1}}', "body.metadata"),
    ("metadata NUL", b'{"content": "x", "metadata": {"a": "\\u0000"}}', "body.metadata"),
    ("metadata number", b'{"content": "x", "metadata": {"a": 1e999}}', "body.metadata"),
    ("metadata large", b'{"content": "x", "metadata": {"a": "' + b"y" * 5000 + b'"}}', "body.metadata"),
    ("on_busy", b'{"content": "x", "on_busy": "panic"}', "body.on_busy"),
    ("reply", b'{"content": "x", "reply": true}', "body.reply"),
    ("persona", b'{"content": "x", "ai_persona": "Nobody"}', "body.ai_persona"),
    ("persona NUL", b'{"content": "x", "ai_persona": "\\u0000"}', "body.ai_persona"),
]


@pytest.mark.parametrize(("body", "where"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
async def test_a_body_that_is_not_a_message_is_refused_with_the_place(user: User, body: bytes, where: str) -> None:
    room = await user.create_room()
    answer = await user.http.post(f"{of(room)}/messages", content=body, headers={"Content-Type": "application/json"})
    problem = refused(answer, 422, "invalid-request", 1007)
    assert any(field == where or field.startswith(f"{where}.") for field in fields(problem)), problem
    assert (await user.messages(room))["messages"] == []


@pytest.mark.parametrize(
    "body", [b"\xff\xfe{}", b'{"content": "\xc3\x28"}', b"[" * 100_000], ids=["utf-16", "bytes", "deep"]
)
async def test_a_body_that_is_not_json_at_all_is_refused(user: User, body: bytes) -> None:
    room = await user.create_room()
    answer = await user.http.post(f"{of(room)}/messages", content=body, headers={"Content-Type": "application/json"})
    refused(answer, 422, "invalid-request", 1007)


async def test_what_is_too_large_is_refused_whether_announced_or_not(user: User) -> None:
    room = await user.create_room()
    path, json_type = f"{of(room)}/messages", {"Content-Type": "application/json"}
    large = json.dumps({"content": "x", "padding": "y" * 600_000}).encode()
    refused(await user.http.post(path, content=large, headers=json_type), 413, "content-too-large", 1008)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 10_000):
            yield large[start : start + 10_000]

    refused(await user.http.post(path, content=chunks(), headers=json_type), 413, "content-too-large", 1008)
    long = await user.http.post(path, json={"content": "x" * 32_769})
    refused(long, 413, "content-too-large", 1008)
    sent = await user.send(room, "é" * 32_768, reply="none")
    assert len(sent["message"]["content"]) == 32_768
    escaped = json.dumps({"content": "🫖" * 32_768, "reply": "none"}).encode()
    assert (await user.http.post(path, content=escaped, headers=json_type)).status_code == 201
    refused(await user.http.patch(of(room), json={"title": "t" * 201}), 422, "invalid-request", 1007)
    assert len((await user.http.patch(of(room), json={"title": "🫖" * 200})).json()["title"]) == 200


async def test_without_a_valid_token_nobody_gets_in(installation: Installation, user: User) -> None:
    auth = installation.settings.auth
    now = datetime.now(UTC)
    expired = issue(auth, "someone", timedelta(seconds=1), now - timedelta(hours=1))
    other_secret = auth.model_copy(update={"secret": SecretStr("another secret, of 32 bytes or more")})
    forged = issue(other_secret, "someone", None, now)
    elsewhere = issue(auth.model_copy(update={"audience": "another"}), "someone", None, now)
    good = installation.token("someone")
    unsigned = "eyJhbGciOiJub25lIn0." + good.split(".")[1] + "."
    room = await user.create_room()
    async with httpx2.AsyncClient(base_url=installation.base_url, timeout=10) as http:
        for authorization in (
            None,
            "Bearer",
            f"Basic {good}",
            good,
            f"Bearer {good}x",
            f"Bearer {expired}",
            f"Bearer {forged}",
            f"Bearer {elsewhere}",
            f"Bearer {unsigned}",
        ):
            headers = {} if authorization is None else {"Authorization": authorization}
            for method, path in (("GET", "/v1/rooms"), ("POST", f"{of(room)}/messages"), ("GET", "/v1/events")):
                # Not even a broken body is looked at.
                answer = await http.request(method, path, headers=headers, content=b"{" if method == "POST" else None)
                refused(answer, 401, "unauthenticated", 1009)
                assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/", "/healthz", "/readyz", "/docs", "/openapi.json"):
            assert (await http.get(path)).status_code == 200


async def test_another_accounts_room_is_no_room_on_any_path(user: User, stranger: User) -> None:
    room = await user.create_room("Private")
    message = (await user.note(room, "secret"))["message_id"]
    own = await stranger.create_room()
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"title": "Mine now"}),
        ("DELETE", "", None),
        ("GET", "/state", None),
        ("GET", "/queue", None),
        ("GET", "/memory", None),
        ("DELETE", "/memory", None),
        ("GET", "/events", None),
        ("GET", "/events?after=0-0", None),
        ("GET", "/export", None),
        ("GET", "/export?format=markdown", None),
        ("GET", "/messages", None),
        ("GET", "/messages?after=0", None),
        ("POST", "/messages", {"content": "let me in"}),
        ("GET", f"/messages/{message}", None),
        ("PATCH", f"/messages/{message}", {"content": "mine now"}),
        ("DELETE", f"/messages/{message}", None),
        ("GET", f"/messages/{message}/state", None),
        ("GET", f"/messages/{message}/variants", None),
        ("POST", f"/messages/{message}/stop", None),
        ("POST", f"/messages/{message}/regenerate", None),
        ("GET", f"/messages/{message}/events", None),
        ("GET", f"/messages/{message}/events?after=0-0", None),
    ):
        answer = await stranger.http.request(method, of(room) + path, json=body)
        refused(answer, 404, "room-not-found", 1002)
    # Nor through a room of one's own.
    refused(await stranger.http.get(f"{of(own)}/messages/{message}"), 404, "message-not-found", 1003)
    refused(await stranger.http.delete(f"{of(own)}/messages/{message}"), 404, "message-not-found", 1003)
    edit = await stranger.http.patch(f"{of(own)}/messages/{message}", json={"content": "mine now"})
    refused(edit, 404, "message-not-found", 1003)
    for call in ("stop", "regenerate"):
        refused(await stranger.http.post(f"{of(own)}/messages/{message}/{call}"), 404, "message-not-found", 1003)
    refused(await stranger.http.get(f"{of(own)}/messages/{message}/variants"), 404, "message-not-found", 1003)
    assert [found["content"] for found in await user.history(room)] == ["secret"]
    assert (await user.get(of(room)))["title"] == "Private"


async def test_accounts_of_one_partition_do_not_see_each_others_rooms(user: User, installation: Installation) -> None:
    """The partition in an id keeps most strangers out before anything is looked up; here it cannot."""
    room = await user.create_room("Private")
    message = (await user.note(room, "secret"))["message_id"]
    for number in range(4 * installation.settings.store.partitions):
        async with signed_in(installation, f"neighbour-{number}-{uuid4().hex}") as neighbour:
            if partition_of(await neighbour.create_room()) != partition_of(room):
                continue
            for method, path, body in (
                ("GET", "", None),
                ("PATCH", "", {"title": "Mine now"}),
                ("DELETE", "", None),
                ("GET", "/state", None),
                ("GET", "/queue", None),
                ("GET", "/memory", None),
                ("DELETE", "/memory", None),
                ("GET", "/events", None),
                ("GET", "/export", None),
                ("GET", "/messages", None),
                ("POST", "/messages", {"content": "let me in"}),
                ("GET", f"/messages/{message}", None),
                ("PATCH", f"/messages/{message}", {"content": "mine now"}),
                ("DELETE", f"/messages/{message}", None),
                ("GET", f"/messages/{message}/state", None),
                ("GET", f"/messages/{message}/variants", None),
                ("POST", f"/messages/{message}/stop", None),
                ("POST", f"/messages/{message}/regenerate", None),
                ("GET", f"/messages/{message}/events", None),
            ):
                answer = await neighbour.http.request(method, of(room) + path, json=body)
                refused(answer, 404, "room-not-found", 1002)
            return
    pytest.fail("no account shares the partition")


async def test_what_is_no_id_of_a_room_or_message_is_not_found(user: User) -> None:
    room = await user.create_room()
    assert (await user.get(of(room.upper())))["room_id"] == room
    for name in (
        "x",
        str(uuid4()),
        room.replace("-", ""),
        "00000000-0000-8000-8000-000000000000",
        "%00",
        "é",
        "a" * 500,
    ):
        refused(await user.http.get(f"/v1/rooms/{name}"), 404, "room-not-found", 1002)
        refused(await user.http.get(f"{of(room)}/messages/{name}"), 404, "message-not-found", 1003)
        refused(await user.http.delete(f"{of(room)}/messages/{name}"), 404, "message-not-found", 1003)
        refused(await user.http.get(f"{of(room)}/messages/{name}/events"), 404, "message-not-found", 1003)
    refused(await user.http.get(f"{of(room)}/messages/{room}"), 404, "message-not-found", 1003)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "before=0",
        "before=-1",
        "after=-1",
        "before=5&after=1",
        "before=99999999999999999999",
    ],
)
async def test_a_page_that_cannot_be_is_refused(user: User, query: str) -> None:
    room = await user.create_room()
    refused(await user.http.get(f"{of(room)}/messages?{query}"), 422, "invalid-request", 1007)


async def test_cursors_that_are_none_are_refused(user: User) -> None:
    room = await user.create_room()
    for path in (of(room), "/v1"):
        for cursor in ("x", "1", "1-", "-1-1", "1-1-1", "99999999999999999999999-0", " 1-1", "1-1 ", "\u0661-1"):
            answer = await user.http.get(f"{path}/events", params={"after": cursor})
            assert fields(refused(answer, 422, "invalid-request", 1007)) == {"query.after"}
    answer = await user.http.get(f"{of(room)}/events", headers={"Last-Event-ID": "junk"})
    assert fields(refused(answer, 422, "invalid-request", 1007)) == {"header.Last-Event-ID"}
    for cursor in ("x", "AAAA", "MTIz", "é"):
        refused(await user.http.get("/v1/rooms", params={"cursor": cursor}), 422, "invalid-request", 1007)


async def test_a_cursor_that_the_log_does_not_reach_is_expired(user: User) -> None:
    room = await user.create_room()
    await user.note(room, "one")
    for cursor in ("1-0", "9999999999999-0"):
        answer = await user.http.get(f"{of(room)}/events", params={"after": cursor})
        problem = refused(answer, 410, "stream-expired", 1013)
        oldest = problem["oldest_cursor"]
        async with user.events(of(room), after=oldest) as reader:
            event = await reader.next()
        assert event is not None
        assert event.type == "message.created"


@pytest.mark.parametrize("key", ["", '""', "x" * 129, '"open', "two words", "é"])
async def test_an_idempotency_key_that_is_none_is_refused(user: User, key: str) -> None:
    room = await user.create_room()
    answer = await user.http.post(
        f"{of(room)}/messages",
        json={"content": "x"},
        headers={b"Idempotency-Key": key.encode("latin-1")},
    )
    assert fields(refused(answer, 422, "invalid-request", 1007)) == {"header.Idempotency-Key"}


async def test_a_request_id_of_the_client_is_taken_over(user: User) -> None:
    answer = await user.http.get("/v1/nothing", headers={"x-request-id": "mine-1"})
    assert refused(answer, 404, "not-found", 1000)["request_id"] == "mine-1"


async def _raw(installation: Installation, request: bytes) -> tuple[int, dict[str, str]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", installation.port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(15):
            answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    head = answer.partition(b"\r\n\r\n")[0]
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"HELLO\r\n\r\n",
        b"GET /v1/rooms HTTP/1.1\r\nHost: x\r\nbroken header\r\n\r\n",
        b"GET /v1/rooms HTTP/1.1\r\nHost: x\r\nX-Large: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /v1/rooms HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
    ],
    ids=["request line", "header", "large header", "length"],
)
async def test_what_is_not_http_is_refused_and_the_connection_closed(
    installation: Installation, request_bytes: bytes
) -> None:
    """By HAProxy's HTTP parser, whose own page cannot be changed: there is no request yet that rules could see."""
    status, headers = await _raw(installation, request_bytes)
    assert status == 400
    assert headers["connection"] == "close"
