"""Files of accounts over rows and a store in memory."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from parlor.errors import (
    ContentTooLarge,
    FileNotFound,
    InvalidRequest,
    LimitReached,
    ParlorError,
    StoreUnavailable,
    UnsupportedMediaType,
)
from parlor.model.access import Session
from parlor.model.files import File
from tests.unit.domain import Domain, DomainMaker

pytestmark = pytest.mark.unit


async def put(domain: Domain, session: Session, data: bytes = b"hello", name: str = "a.txt") -> File:
    async with domain.files.receive(session) as upload:
        for at in range(0, len(data), 7):
            await upload.write(data[at : at + 7])
        return await upload.keep(name)


async def content(domain: Domain, file: File) -> bytes:
    return b"".join([chunk async for chunk in domain.files.read(file, 0, file.size)])


async def test_a_file_comes_back_as_it_was_sent(domain: Domain) -> None:
    alice = domain.session("alice")
    data = b"# Tea\n" * 100
    file = await put(domain, alice, data, "tea.md")
    assert (file.name, file.media_type, file.size) == ("tea.md", "text/markdown", len(data))
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert file.created_at == domain.clock.now_ms()
    assert await domain.files.file(alice, file.file_id) == file
    assert await content(domain, file) == data


async def test_equal_bytes_are_stored_once(domain: Domain) -> None:
    alice, bob = domain.session("alice"), domain.session("bob")
    first = await put(domain, alice, name="a.txt")
    assert await put(domain, alice, name="a.txt") == first
    second = await put(domain, alice, name="b.txt")
    assert [*domain.file_store.kept] == [first.blob_id]
    await put(domain, bob)
    assert len(domain.file_store.kept) == 2, "of another account they are other bytes"
    await domain.files.delete(alice, first.file_id)
    assert await content(domain, second) == b"hello"
    await domain.files.delete(alice, second.file_id)
    assert first.blob_id not in domain.file_store.kept
    assert await domain.file_rows.removals(alice.shard_id, 10) == []


@pytest.mark.parametrize("who", ["bob", "carol", "dave"])
async def test_anothers_file_is_not_found(domain: Domain, who: str) -> None:
    file, other = await put(domain, domain.session("alice")), domain.session(who)
    with pytest.raises(FileNotFound):
        await domain.files.file(other, file.file_id)
    with pytest.raises(FileNotFound):
        await domain.files.delete(other, file.file_id)
    assert (await domain.files.page(other, 10, None)).files == []
    assert file.blob_id in domain.file_store.kept


@pytest.mark.parametrize("file_id", ["", "nonsense", "00000000-0000-8000-8000-000000000000"])
async def test_what_is_no_id_names_no_file(domain: Domain, file_id: str) -> None:
    with pytest.raises(FileNotFound):
        await domain.files.file(domain.session("alice"), file_id)


async def test_pages_have_every_file_once(domain: Domain) -> None:
    alice = domain.session("alice")
    made = []
    for number in range(5):
        await domain.clock.advance(1)
        made.append((await put(domain, alice, b"%d" % number)).file_id)
    found: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = await domain.files.page(alice, 2, cursor)
        found += [file.file_id for file in page.files]
        cursor = page.next_cursor
    assert (found, cursor) == (made[::-1], None)
    with pytest.raises(InvalidRequest):
        await domain.files.page(alice, 2, "nonsense")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", InvalidRequest),
        (b"x" * 101, ContentTooLarge),
        (b"MZ\x90\0", UnsupportedMediaType),
        (b"PK\x03\x04zip", UnsupportedMediaType),
        (b"caf\xe9", UnsupportedMediaType),
    ],
)
async def test_what_is_not_taken_leaves_nothing(new_domain: DomainMaker, data: bytes, error: type[ParlorError]) -> None:
    domain = new_domain(files={"size_max": 100})
    alice = domain.session("alice")
    with pytest.raises(error):
        await put(domain, alice, data, "a.txt")
    assert (domain.file_store.kept, domain.file_store.unfinished) == ({}, {})
    assert (await domain.files.page(alice, 10, None)).files == []


async def test_a_long_file_of_a_wrong_type_is_refused_before_its_end(domain: Domain) -> None:
    async with domain.files.receive(domain.session("alice")) as upload:
        for _ in range(73):
            await upload.write(b"\0" * 7)
        with pytest.raises(UnsupportedMediaType):
            await upload.write(b"\0" * 7)


@pytest.mark.parametrize(
    ("limits", "allowed"), [({"files": 2}, 2), ({"file_bytes": 10}, 2), ({"file_bytes": 14}, 2), ({"files": None}, 4)]
)
async def test_an_account_has_its_quota(new_domain: DomainMaker, limits: dict[str, Any], allowed: int) -> None:
    domain = new_domain(limits=limits)
    alice = domain.session("alice")
    for number in range(4):
        if number < allowed:
            await put(domain, alice, b"five%d" % number)
        else:
            with pytest.raises(LimitReached):
                await put(domain, alice, b"five%d" % number)
    assert len(domain.file_store.kept) == allowed
    await put(domain, domain.session("bob"))


@pytest.mark.parametrize("part", ["store", "shard"])
async def test_nothing_is_written_while_something_is_away(domain: Domain, part: str) -> None:
    alice = domain.session("alice")
    if part == "store":
        domain.file_store.down = True
    else:
        domain.store.down = True
    with pytest.raises(StoreUnavailable):
        await put(domain, alice)
    domain.file_store.down = domain.store.down = False
    assert (domain.file_store.kept, domain.file_store.unfinished) == ({}, {})
    await put(domain, alice)


async def test_a_full_store_is_said_and_nothing_is_half_there(domain: Domain) -> None:
    alice = domain.session("alice")
    domain.file_store.full = True
    with pytest.raises(StoreUnavailable, match="full"):
        await put(domain, alice)
    assert (domain.file_store.kept, domain.file_store.unfinished) == ({}, {})
    assert (await domain.files.page(alice, 10, None)).files == []


async def test_a_lost_answer_of_the_shard_keeps_the_bytes(domain: Domain) -> None:
    alice = domain.session("alice")
    domain.store.lost.append("fp_file_add")
    with pytest.raises(StoreUnavailable):
        await put(domain, alice)
    (file,) = (await domain.files.page(alice, 10, None)).files
    assert await content(domain, file) == b"hello", "the row was committed, so its bytes are there"


async def test_bytes_that_cannot_be_deleted_yet_are_remembered(domain: Domain) -> None:
    alice = domain.session("alice")
    file = await put(domain, alice)
    domain.file_store.down = True
    await domain.files.delete(alice, file.file_id)
    with pytest.raises(FileNotFound):
        await domain.files.file(alice, file.file_id)
    assert await domain.file_rows.removals(alice.shard_id, 10) == [file.blob_id]
