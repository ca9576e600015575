"""Files over HTTP: upload, list, download with ranges, delete."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.rates import Shares
from parlor.errors import StoreUnavailable
from parlor.settings import Settings
from tests.unit.api.bearer_tokens import token
from tests.unit.api.exchange import Exchange
from tests.unit.api.fake_gateway import FakeGateway

pytestmark = pytest.mark.unit

DATA = b"0123456789abcdef"
ABSENT = "00000000-0000-8011-8000-000000000000"
PART = 'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
FORM = f"--b\r\n{PART}hello\r\n--b--\r\n".encode()
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


async def put(
    client: httpx2.AsyncClient, data: bytes = DATA, name: str = "a.txt", media_type: str = "text/plain"
) -> dict[str, Any]:
    answer = await client.post("/v1/files", files={"file": (name, data, media_type)})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/files/{found['file_id']}"
    return found


async def refused(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_a_file_comes_back_as_it_was_sent(client: httpx2.AsyncClient) -> None:
    made = await put(client, name="Übersicht 🫖.md", media_type="text/html")
    assert made == {
        "file_id": made["file_id"],
        "name": "Übersicht 🫖.md",
        "media_type": "text/markdown",
        "size": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "created_at": "2026-11-23T03:18:05.042Z",
        "errorCode": 0,
    }
    answer = await client.get(f"/v1/files/{made['file_id'].upper()}")
    assert (answer.status_code, answer.content) == (200, DATA)
    assert {
        name: answer.headers[name]
        for name in (
            *("content-type", "content-length", "content-disposition", "etag", "accept-ranges", "cache-control"),
            *("content-security-policy", "x-content-type-options"),
        )
    } == {
        "content-type": "text/markdown; charset=utf-8",
        "content-length": "16",
        "content-disposition": 'attachment; filename="?bersicht ?.md"; '
        "filename*=UTF-8''%C3%9Cbersicht%20%F0%9F%AB%96.md",
        "etag": f'"{made["sha256"]}"',
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize(
    ("asked", "status", "content", "content_range"),
    [
        ("bytes=0-0", 206, b"0", "bytes 0-0/16"),
        ("bytes=4-7", 206, b"4567", "bytes 4-7/16"),
        ("bytes=10-", 206, b"abcdef", "bytes 10-15/16"),
        ("bytes=10-999", 206, b"abcdef", "bytes 10-15/16"),
        ("bytes=-3", 206, b"def", "bytes 13-15/16"),
        ("bytes=-999", 206, DATA, "bytes 0-15/16"),
        ("BYTES= 1 - 2", 206, b"12", "bytes 1-2/16"),
        ("bytes=0-1,3-4", 200, DATA, None),
        ("bytes=7-4", 200, DATA, None),
        ("lines=1-2", 200, DATA, None),
        ("bytes=", 200, DATA, None),
        ("bytes=-", 200, DATA, None),
    ],
)
async def test_ranges(
    client: httpx2.AsyncClient, asked: str, status: int, content: bytes, content_range: str | None
) -> None:
    path = f"/v1/files/{(await put(client))['file_id']}"
    answer = await client.get(path, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, content)
    assert answer.headers.get("content-range") == content_range
    head = await client.head(path, headers={"Range": asked})
    assert (head.status_code, head.content) == (status, b"")
    for name in ("content-length", "etag", "content-type"):
        assert head.headers[name] == answer.headers[name]


@pytest.mark.parametrize("asked", ["bytes=16-", "bytes=16-20", "bytes=-0", f"bytes={10**17}-"])
async def test_a_range_behind_the_end_is_refused(client: httpx2.AsyncClient, asked: str) -> None:
    answer = await client.get(f"/v1/files/{(await put(client))['file_id']}", headers={"Range": asked})
    assert await refused(answer) == (416, "invalid-request")
    assert answer.headers["content-range"] == "bytes */16"


async def test_a_client_that_has_it_gets_it_not_again(client: httpx2.AsyncClient) -> None:
    path = f"/v1/files/{(await put(client))['file_id']}"
    etag = (await client.head(path)).headers["etag"]
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = await client.get(path, headers={"If-None-Match": given})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).status_code == 200
    for given, status in ((etag, 206), ('"other"', 200)):
        answer = await client.get(path, headers={"Range": "bytes=0-1", "If-Range": given})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\notes.txt", "notes.txt"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("  two\twords\x01.txt ", "two words .txt"),
        ("x" * 300 + ".csv", "x" * 251 + ".csv"),
        ("...", "..."),
        ("/", "file"),
        ("\u2066", "file"),
    ],
)
async def test_a_name_is_the_last_part_of_a_path_on_one_line(client: httpx2.AsyncClient, given: str, kept: str) -> None:
    body = FORM.replace(b"a.txt", given.encode().replace(b"\\", b"\\\\"))
    answer = await client.post("/v1/files", content=body, headers=MULTIPART)
    assert (answer.status_code, answer.json().get("name")) == (201, kept)
    download = await client.get(answer.headers["location"])
    assert "\r" not in download.headers["content-disposition"]


async def test_files_are_listed_newest_first(client: httpx2.AsyncClient) -> None:
    made = [(await put(client, b"%d" % number))["file_id"] for number in range(5)]
    found: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = (await client.get("/v1/files", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        found += [file["file_id"] for file in page["files"]]
        cursor = page["next_cursor"]
    assert (found, cursor) == (made[::-1], None)
    assert await refused(await client.get("/v1/files", params={"cursor": "nonsense"})) == (422, "invalid-request")


async def test_a_file_is_deleted_once(client: httpx2.AsyncClient, gateway: FakeGateway) -> None:
    path = f"/v1/files/{(await put(client))['file_id']}"
    answer = await client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "DELETE"):
        assert await refused(await client.request(method, path)) == (404, "file-not-found")
    assert gateway.file_store.kept == {}


@pytest.mark.parametrize("file_id", [ABSENT, "nonsense", "%2e%2e"])
async def test_what_is_no_file_is_not_found(client: httpx2.AsyncClient, file_id: str) -> None:
    assert await refused(await client.get(f"/v1/files/{file_id}")) == (404, "file-not-found")
    assert await refused(await client.delete(f"/v1/files/{file_id}")) == (404, "file-not-found")


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{}", {"Content-Type": "application/json"}, 415, "unsupported-media-type"),
        (b"x", {}, 415, "unsupported-media-type"),
        (FORM, {"Content-Type": "multipart/form-data"}, 415, "unsupported-media-type"),
        (FORM, {**MULTIPART, "Content-Encoding": "gzip"}, 415, "unsupported-media-type"),
        (FORM, {"Content-Type": f"multipart/form-data; boundary={'b' * 300}"}, 422, "invalid-request"),
        (FORM, {"Content-Type": "multipart/form-data; boundary=other"}, 422, "invalid-request"),
        (FORM[:-6], MULTIPART, 422, "invalid-request"),
        (b"", MULTIPART, 422, "invalid-request"),
        (b"--b--\r\n", MULTIPART, 422, "invalid-request"),
        (FORM.replace(b"hello", b""), MULTIPART, 422, "invalid-request"),
        (FORM.replace(b'name="file"', b'name="other"'), MULTIPART, 422, "invalid-request"),
        (FORM.replace(b'; filename="a.txt"', b""), MULTIPART, 422, "invalid-request"),
        (FORM.replace(b"--b--", f"--b\r\n{PART}again\r\n--b--".encode()), MULTIPART, 422, "invalid-request"),
        (FORM.replace(b"hello", b"MZ\0\0"), MULTIPART, 415, "unsupported-media-type"),
        (FORM.replace(b"hello", b"PK\x03\x04"), MULTIPART, 415, "unsupported-media-type"),
        (FORM.replace(b"hello", b"x" * 100_001), MULTIPART, 413, "content-too-large"),
        (FORM.replace(b"hello", b"x" * 200_000), MULTIPART, 413, "content-too-large"),
        (FORM.replace(b"hello", b"x" * 90_001), MULTIPART, 409, "limit-reached"),
    ],
)
async def test_what_is_not_taken_leaves_nothing(
    client: httpx2.AsyncClient,
    gateway: FakeGateway,
    body: bytes,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    assert await refused(await client.post("/v1/files", content=body, headers=headers)) == (status, code)
    assert (gateway.file_store.kept, gateway.file_store.unfinished, gateway.file_rows.files) == ({}, {}, {})


@pytest.mark.parametrize("cut", range(1, len(FORM), 3))
async def test_a_form_may_be_cut_anywhere(app: FastAPI, settings: Settings, gateway: FakeGateway, cut: int) -> None:
    headers = {"Authorization": f"Bearer {token(settings)}", **MULTIPART}
    async with Exchange(app, "POST", "/v1/files", headers) as exchange:
        exchange.body(FORM[:cut], more=True)
        exchange.body(FORM[cut:])
        assert (await exchange.start())[0] == 201
    assert [*gateway.file_store.kept.values()] == [b"hello"]


async def test_a_client_that_goes_leaves_nothing(app: FastAPI, settings: Settings, gateway: FakeGateway) -> None:
    headers = {"Authorization": f"Bearer {token(settings)}", **MULTIPART}
    async with Exchange(app, "POST", "/v1/files", headers) as exchange:
        exchange.body(FORM[:-10], more=True)
        exchange.disconnect()
        await exchange.finished()
    assert (gateway.file_store.kept, gateway.file_store.unfinished, gateway.file_rows.files) == ({}, {}, {})


async def test_an_account_has_its_share_of_uploads(
    app: FastAPI, settings: Settings, gateway: FakeGateway, client: httpx2.AsyncClient
) -> None:
    app.state.edge.limits.uploads = Shares("uploads", lambda _: 1)
    headers = {"Authorization": f"Bearer {token(settings)}", **MULTIPART}
    async with Exchange(app, "POST", "/v1/files", headers) as exchange:
        exchange.body(FORM[:20], more=True)
        async with asyncio.timeout(60):
            await gateway.file_store.began.wait()
        answer = await client.post("/v1/files", content=FORM, headers=MULTIPART)
        assert await refused(answer) == (429, "rate-limited")
        exchange.body(FORM[20:])
        assert (await exchange.start())[0] == 201
    await put(client)


@pytest.mark.parametrize("away", ["rows", "store", "full"])
async def test_a_store_that_is_away_is_said(client: httpx2.AsyncClient, gateway: FakeGateway, away: str) -> None:
    if away == "rows":
        gateway.file_rows.fails = StoreUnavailable()
    gateway.file_store.down, gateway.file_store.full = away == "store", away == "full"
    answer = await client.post("/v1/files", content=FORM, headers=MULTIPART)
    assert await refused(answer) == (503, "store-unavailable")
    assert answer.json()["errorCode"] == 1012
    assert answer.headers["retry-after"] == "1"


async def test_bytes_that_are_lost_are_answered_before_anything_is_sent(
    client: httpx2.AsyncClient, gateway: FakeGateway
) -> None:
    made = await put(client)
    gateway.file_store.kept.clear()
    assert await refused(await client.get(f"/v1/files/{made['file_id']}")) == (404, "file-not-found")


async def test_an_upload_may_be_longer_than_other_bodies(client: httpx2.AsyncClient, settings: Settings) -> None:
    assert settings.api.body_limit < 80_000
    await put(client, b"x" * 80_000)
    answer = await client.post("/v1/rooms", content=b" " * 80_000, headers={"Content-Type": "application/json"})
    assert await refused(answer) == (413, "content-too-large")
