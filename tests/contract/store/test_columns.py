"""A line in the table of columns, a migration and a run of the generator are a column, from the JSON to the row."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from parlor.model.messages import FinishReason
from parlor.store import message_rows, sqlite_procedures
from parlor.store.columns import DOC_COLUMNS, Column, Kind
from parlor.store.migrations import migrate, open_store
from parlor.store.ports import MessageDelete, MessageSave, VersionSave
from parlor.store.sql_files import newest_procedures
from parlor.store.sqlite_messages import message_statements
from parlor.store.templates import outdated, publish
from tests.contract.store.databases import NewSettings, sql
from tests.contract.store.fixtures import SHARD, StoreFixtures

pytestmark = pytest.mark.contract

MORE = (*DOC_COLUMNS, Column("mood", Kind.NAME, nullable=True, field="finish_reason", erased="NULL"))
MIGRATION = """-- Database: shard
ALTER TABLE messages ADD COLUMN mood {kind} NULL;
ALTER TABLE message_versions ADD COLUMN mood {kind} NULL;
"""


@pytest.fixture
def more_columns(own_sql: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The program with one more column; the newest procedures."""
    for folder, kind in ((own_sql, "VARCHAR(255)"), (own_sql / "sqlite", "TEXT")):
        (folder / "0900_shard_mood.sql").write_text(MIGRATION.format(kind=kind))
    for name, text in outdated(own_sql, MORE).items():
        (own_sql / "procedures" / name).write_text(text)
    publish(own_sql)
    row = message_rows.save_row_type(MORE)
    monkeypatch.setattr(message_rows, "DOC_COLUMNS", MORE)
    monkeypatch.setattr(message_rows, "MessageSaveRow", row)
    monkeypatch.setattr(sqlite_procedures, "MessageSaveRow", row)
    monkeypatch.setattr(sqlite_procedures, "MESSAGES", message_statements(MORE))
    return newest_procedures(own_sql)


async def test_a_column_that_is_added_is_saved_read_and_erased(
    new_settings: NewSettings, more_columns: dict[str, str]
) -> None:
    settings = new_settings(shards=1)
    await migrate(settings)
    store = await open_store(settings)
    try:
        fixtures = await StoreFixtures.make(store, 1)
        room_id = await fixtures.room_with()
        first = msgspec.structs.replace(fixtures.doc(), finish_reason=FinishReason.STOPPED)
        second = msgspec.structs.replace(first, version=2, finish_reason=FinishReason.STOP)
        for procedure, row in {
            "fp_chat_message_save": message_rows.save_row(MessageSave(room_id, 1, second)),
            "fp_chat_message_version_save": message_rows.save_row(VersionSave(room_id, 1, first)),
        }.items():
            batch = msgspec.json.encode([row]).decode()
            assert await store.call_shard_procedure(SHARD, more_columns[procedure], (batch,)) == []
        assert await sql(settings, 1, "SELECT mood FROM messages") == [("stop",)]
        assert await sql(settings, 1, "SELECT mood FROM message_versions") == [("stopped",)]
        (found,) = await fixtures.messages(room_id)
        assert found.doc == second
        assert await store.message_find(SHARD, room_id, second.message_id) == found
        assert await fixtures.versions(room_id) == [first]
        await fixtures.write(deletes=[MessageDelete(room_id, 1, second.message_id, 5000)])
        assert await sql(settings, 1, "SELECT finish_reason, mood FROM messages") == [("stop", None)]
        assert await sql(settings, 1, "SELECT COUNT(*) FROM message_versions") == [(0,)]
    finally:
        await store.close()


async def test_a_program_without_the_column_goes_on(new_settings: NewSettings, more_columns: dict[str, str]) -> None:
    """The first version of the procedure stores rows in the table that has one column more."""
    settings = new_settings(shards=1)
    await migrate(settings)
    store = await open_store(settings)
    try:
        fixtures = await StoreFixtures.make(store, 1)
        room_id = await fixtures.room_with()
        row = message_rows.save_row(MessageSave(room_id, 1, fixtures.doc(content="old")))
        batch = msgspec.json.encode([row]).decode()
        assert await store.call_shard_procedure(SHARD, "fp_chat_message_save", (batch,)) == []
        (found,) = await fixtures.messages(room_id)
        assert (found.doc.content, found.doc.finish_reason) == ("old", None)
    finally:
        await store.close()
