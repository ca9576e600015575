"""Files through the front door: streamed in, handed out in ranges, gone when deleted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import sample_files
from tests.installation import Installation
from tests.integration.user import User, of, succeeded
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

SIZE_MAX = 20 * 1024 * 1024
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="large.csv"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


def stored(installation: Installation) -> set[Path]:
    root = Path(installation.settings.files.url)
    return {path for path in root.rglob("*") if path.is_file()}


async def test_a_file_of_the_largest_size_comes_back_whole_and_in_ranges(
    user: User, stranger: User, installation: Installation
) -> None:
    data = b"0,1,2,3,4,5,6,7\n" * (SIZE_MAX // 16)
    made = succeeded(await user.http.post("/v1/files", files={"file": ("large.csv", data)}, timeout=60), 201)
    assert (made["size"], made["media_type"]) == (SIZE_MAX, "text/csv")
    assert made["sha256"] == hashlib.sha256(data).hexdigest()
    path = f"/v1/files/{made['file_id']}"
    answer = await user.http.get(path, timeout=60)
    assert (answer.status_code, answer.content == data) == (200, True)
    answer = await user.http.get(path, headers={"Range": f"bytes={SIZE_MAX - 3}-"})
    assert (answer.status_code, answer.content) == (206, data[-3:])
    head = await user.http.head(path)
    assert (head.status_code, head.headers["content-length"]) == (200, str(SIZE_MAX))

    for method in ("GET", "DELETE"):
        assert (await stranger.http.request(method, path)).status_code == 404
    (bytes_of_it,) = [found for found in stored(installation) if found.name == made["file_id"]]
    assert (await user.http.delete(path)).status_code == 204
    assert not bytes_of_it.exists()
    assert (await user.http.get(path)).json()["code"] == "file-not-found"


async def test_a_body_over_the_limit_is_refused(user: User, installation: Installation) -> None:
    before = stored(installation)
    body = HEAD + b"x" * (SIZE_MAX + 1) + TAIL
    answer = await user.http.post("/v1/files", content=body, headers=MULTIPART, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (413, "content-too-large")
    assert stored(installation) == before


async def test_a_wrong_type_is_refused_while_it_is_sent(user: User, installation: Installation) -> None:
    before = stored(installation)
    answer = await user.http.post("/v1/files", files={"file": ("a.txt", b"MZ\0\0" * 500_000)}, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")
    assert stored(installation) == before


async def test_a_slow_upload_arrives(user: User) -> None:
    """Longer than HAProxy waits for an answer to another request's body, and in pieces that arrive one by one."""
    pieces = 12

    async def body() -> AsyncIterator[bytes]:
        yield HEAD
        for _ in range(pieces):
            await asyncio.sleep(0.25)
            yield b"1,2\n" * 10_000
        yield TAIL

    made = succeeded(await user.http.post("/v1/files", content=body(), headers=MULTIPART, timeout=60), 201)
    assert made["size"] == pieces * 40_000


async def test_an_upload_that_is_cut_leaves_nothing(user: User, installation: Installation) -> None:
    before = stored(installation)

    async def body() -> AsyncIterator[bytes]:
        yield HEAD + b"x" * 300_000
        raise ConnectionError("the line is cut")

    with pytest.raises(ConnectionError):
        await user.http.post("/v1/files", content=body(), headers=MULTIPART)

    async def left() -> set[Path]:
        return stored(installation) - before

    await eventually(left, lambda found: not found)
    assert (await user.get("/v1/files"))["files"] == []


async def test_the_model_is_shown_what_a_message_names(user: User) -> None:
    room = await user.create_room("Files")
    text = succeeded(await user.http.post("/v1/files", files={"file": ("tea.md", b"# Oolong")}), 201)
    image = succeeded(await user.http.post("/v1/files", files={"file": ("dot.png", sample_files.png(30, 20))}), 201)
    paper = succeeded(await user.http.post("/v1/files", files={"file": ("p.pdf", sample_files.pdf("Darjeeling"))}), 201)
    parts = [
        {"type": "text", "text": "[[echo=1]]"},
        {"type": "file", "file_id": text["file_id"]},
        {"type": "image", "file_id": image["file_id"]},
        {"type": "file", "file_id": paper["file_id"]},
    ]
    answer = await user.http.post(f"{of(room)}/messages", json={"parts": parts}, headers={"Prefer": "wait=30"})
    sent = succeeded(answer, 201)
    assert sent["message"]["parts"][2] == {
        "type": "image",
        **{name: image[name] for name in ("file_id", "name", "media_type", "size")},
    }
    *_, asked = json.loads(sent["reply"]["content"])["messages"]
    shown, picture = asked["content"]
    assert "# Oolong" in shown["text"]
    assert "Darjeeling" in shown["text"]
    data = base64.b64encode(sample_files.png(30, 20)).decode()
    assert picture == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}

    answer = await user.http.post(f"{of(room)}/messages", json={"parts": parts[2:3]}, headers={"Prefer": "wait=30"})
    assert f"an image (image/png, {image['size']} bytes)" in succeeded(answer, 201)["reply"]["content"]

    assert (await user.http.delete(f"/v1/files/{text['file_id']}")).status_code == 204
    again = await user.converse(room, "[[echo=1]] What was in it?")
    assert "tea.md: it was deleted" in again["reply"]["content"]
    assert {"file_id": text["file_id"], "state": "gone"}.items() <= again["reply"]["metadata"]["files"][0].items()
    answer = await user.http.post(f"{of(room)}/messages", json={"parts": parts})
    assert (answer.status_code, answer.json()["code"]) == (404, "file-not-found")
