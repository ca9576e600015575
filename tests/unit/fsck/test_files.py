"""Files without bytes, and bytes without files."""

from __future__ import annotations

import pytest

from parlor.fsck.check import Fsck
from parlor.fsck.files import GRACE_MS, FileCheck
from parlor.fsck.findings import FileFinding
from parlor.fsck.look import Scope
from parlor.model.ids import FileId, RoomId
from tests.unit.domain import Domain
from tests.unit.files.test_files import put
from tests.unit.fsck.chat import ports_of

pytestmark = pytest.mark.unit


@pytest.fixture
def check(domain: Domain) -> FileCheck:
    return FileCheck(domain.store, domain.file_store, domain.clock)


async def kinds(check: FileCheck, *, repair: bool = False) -> list[tuple[str, FileId]]:
    found, mended = await check.run(repair=repair)
    assert mended == (found if repair else [])
    return [(finding.kind, finding.file_id) for finding in found]


async def settle(domain: Domain) -> None:
    await domain.clock.advance(GRACE_MS / 1000 + 1)


async def test_nothing_is_found_where_all_is_well(domain: Domain, check: FileCheck) -> None:
    first = await put(domain, domain.ada, b"a", "a.txt")
    await put(domain, domain.ada, b"a", "b.txt")
    await domain.files.delete(domain.ada, first.file_id)
    gone = await put_away(domain)
    await settle(domain)
    assert await kinds(check) == []
    assert gone in domain.file_store.kept, "they are noted as to be deleted"


async def put_away(domain: Domain) -> FileId:
    """A file whose bytes could not be deleted with it."""
    file = await put(domain, domain.ada, b"gone")
    domain.file_store.down = True
    await domain.files.delete(domain.ada, file.file_id)
    domain.file_store.down = False
    return file.blob_id


async def test_bytes_without_a_file_are_found_and_deleted(domain: Domain, check: FileCheck) -> None:
    kept = await put(domain, domain.ada)
    orphan = domain.mint.file_id(domain.ada.partition)
    domain.file_store.take(orphan, b"x")
    assert await kinds(check) == [], "an upload may be under way"
    await settle(domain)
    assert await kinds(check) == [("bytes-nameless", orphan)]
    assert await kinds(check, repair=True) == [("bytes-nameless", orphan)]
    assert await kinds(check) == []
    assert [*domain.file_store.kept] == [kept.blob_id]


async def test_a_file_without_bytes_is_found_and_taken_out(domain: Domain, check: FileCheck) -> None:
    file, other = await put(domain, domain.ada, b"a", "a.txt"), await put(domain, domain.ada, b"a", "b.txt")
    del domain.file_store.kept[file.blob_id]
    assert await kinds(check) == [], "it may be new"
    await settle(domain)
    lost = {("bytes-lost", file.file_id), ("bytes-lost", other.file_id)}
    assert set(await kinds(check)) == lost
    assert set(await kinds(check, repair=True)) == lost
    assert await kinds(check) == []
    assert (await domain.files.page(domain.ada, 10, None)).files == []
    again = await put(domain, domain.ada, b"a", "a.txt")
    assert domain.file_store.kept == {again.file_id: b"a"}


@pytest.mark.parametrize("scope", [Scope(), Scope(room_id=RoomId("00000000-0000-8000-8000-000000000000"))])
async def test_fsck_looks_at_files_when_it_looks_at_everything(domain: Domain, scope: Scope) -> None:
    domain.file_store.take(domain.mint.file_id(domain.ada.partition), b"x")
    await settle(domain)
    report = await Fsck(ports_of(domain), lambda _: None).run(scope, repair=True)
    assert [type(finding) for finding in report.findings] == ([FileFinding] if scope == Scope() else [])
    assert report.left == []
