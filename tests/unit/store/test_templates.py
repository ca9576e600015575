"""Procedures follow from the table of columns, and what is published stays as it is."""

from __future__ import annotations

import re
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from parlor.store.columns import DOC_COLUMNS, Column, Kind
from parlor.store.message_rows import save_row_type
from parlor.store.sql_files import base_name, newest_procedures, read_published, sql_root, version_of
from parlor.store.sqlite_messages import message_statements
from parlor.store.templates import outdated, publish

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
PROCEDURES = sql_root() / "procedures"
MOOD = Column("mood", Kind.NAME, nullable=True, field="error_code", erased="NULL")
"""A column that a later release might add."""
MORE = (*DOC_COLUMNS, MOOD)


@pytest.fixture
def own_sql(tmp_path: Path) -> Path:
    return Path(shutil.copytree(sql_root(), tmp_path / "sql"))


def changed(root: Path) -> list[str]:
    """Published files that are gone or have another checksum."""
    files = {path.name: sha256(path.read_bytes()).hexdigest() for path in (root / "procedures").glob("*.sql")}
    return [name for name, checksum in read_published(root).items() if files.get(name) != checksum]


def test_a_published_procedure_does_not_change() -> None:
    assert changed(sql_root()) == [], (
        "Programs that run now call these procedures: restore the files (git checkout) and write the change into the "
        "next version, as CONTRIBUTING.md says (from a template: python -m parlor.store.templates)"
    )


@pytest.mark.parametrize("end", ["", "-- one more line\n"])
def test_a_published_procedure_that_changes_or_goes_is_noticed(own_sql: Path, end: str) -> None:
    path = own_sql / "procedures" / "fp_chat_room_get.sql"
    if end:
        path.write_text(path.read_text() + end)
    else:
        path.unlink()
    assert changed(own_sql) == ["fp_chat_room_get.sql"]


def test_every_procedure_is_published() -> None:
    missing = {path.name for path in PROCEDURES.glob("*.sql")} - read_published(sql_root()).keys()
    assert missing == set(), "When they are as they should be: python -m parlor.store.templates --publish"


def test_versions_count_up_from_the_name_without_one() -> None:
    versions: dict[str, list[int]] = {}
    for path in PROCEDURES.glob("*.sql"):
        versions.setdefault(base_name(path.stem), []).append(version_of(path.stem))
    for name, found in versions.items():
        assert sorted(found) == list(range(1, len(found) + 1)), name


def test_the_newest_procedures_are_what_the_templates_make() -> None:
    assert outdated(sql_root()) == {}, "A template or the columns changed: python -m parlor.store.templates"


def test_a_procedure_that_is_called_by_another_is_its_newest_version() -> None:
    newest = newest_procedures()
    called = re.findall(r"CALL (\w+)\(", (PROCEDURES / f"{newest['fp_writer_apply']}.sql").read_text())
    assert len(called) == 15
    assert [name for name in called if newest[base_name(name)] != name] == []


def written(root: Path) -> dict[str, str]:
    """By the name without a version; the versions are those after the published ones."""
    found = outdated(root, MORE)
    newest = newest_procedures(root)
    assert all(version_of(name[:-4]) == version_of(newest[base_name(name[:-4])]) + 1 for name in found)
    return {base_name(name[:-4]): text for name, text in found.items()}


def test_one_more_line_in_the_table_is_a_next_version_of_each_procedure_that_names_the_columns(own_sql: Path) -> None:
    files = written(own_sql)
    parameter = "mood              MEDIUMTEXT CHARACTER SET utf8mb4 PATH '$.mood' NULL ON EMPTY"
    for name, times in {
        "fp_chat_message_save": {"mood": 6, "j.mood": 1, parameter: 1, "mood = VALUES(mood)": 1},
        "fp_chat_message_version_save": {"mood": 4, "j.mood": 1, parameter: 1},
        "fp_chat_message_delete": {"mood": 2, "IF(messages.message_id = VALUES(message_id), NULL, messages.mood)": 1},
        "fp_chat_message_find": {"mood": 1, "m.mood, m.deleted_at": 1},
        "fp_chat_message_versions_get": {"mood": 1, "v.mood, m.deleted_at": 1},
        "fp_chat_messages_get": {"mood": 3, "m.mood, m.deleted_at": 2},
        "fp_writer_apply": {"mood": 0},
    }.items():
        text = files.pop(name)
        assert {what: len(re.findall(rf"\b{re.escape(what)}", text)) for what in times} == times, name
        assert max(map(len, text.splitlines())) <= 120
    assert files == {}


def test_one_more_line_in_the_table_is_in_every_statement_of_sqlite_that_names_the_columns() -> None:
    found = message_statements(MORE)
    times = {name: len(re.findall(r"\bmood\b", getattr(found, name))) for name in found.__struct_fields__}
    assert times == {
        "get": 1, "get_newest": 1, "find": 1, "save": 4, "version_save": 2, "versions_get": 1, "delete": 1,
        "versions_delete": 0, "at": 0,
    }  # fmt: skip
    assert "mood = excluded.mood" in found.save
    assert "mood = NULL" in found.delete


def test_one_more_line_in_the_table_is_one_more_field_of_the_json() -> None:
    before, after = save_row_type(DOC_COLUMNS), save_row_type(MORE)
    assert set(after.__struct_fields__) - set(before.__struct_fields__) == {"mood"}
    assert set(after.__struct_fields__[-2:]) == {"content", "error_detail"}, "long fields come last"


def test_the_version_that_is_being_written_is_written_again_until_it_is_published(own_sql: Path) -> None:
    template = own_sql / "templates" / "fp_chat_message_find.sql"
    newest = newest_procedures(own_sql)["fp_chat_message_find"]
    template.write_text(template.read_text().replace("LIMIT 1", "LIMIT 2"))
    ((name, text),) = outdated(own_sql).items()
    assert version_of(name[:-4]) == version_of(newest) + 1
    (own_sql / "procedures" / name).write_text(text)
    assert outdated(own_sql) == {}
    template.write_text(template.read_text().replace("LIMIT 2", "LIMIT 3"))
    assert list(outdated(own_sql)) == [name]
    before = read_published(own_sql)
    assert publish(own_sql) == [name]
    assert {**read_published(own_sql), **before} == read_published(own_sql)
    ((after, _),) = outdated(own_sql).items()
    assert version_of(after[:-4]) == version_of(name[:-4]) + 1


@pytest.mark.parametrize("column", ["finish_reason", "parent_message_id", "error_code"])
def test_a_column_is_spelled_once_in_the_store(column: str) -> None:
    """In the table of columns. Procedures are written from it, and the tables are migrations."""
    files = [*(ROOT / "parlor" / "store").rglob("*.py"), *(sql_root() / "templates").glob("*.sql")]
    found = {file.name: len(re.findall(rf"\b{column}\b", file.read_text())) for file in files}
    assert {name: times for name, times in found.items() if times} == {"columns.py": 1}
