"""The SQL files keep their form, and are cut into statements as the mysql client would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import parlor
from parlor.store.sql_files import (
    base_name,
    read_migrations,
    read_procedures,
    read_sql_file,
    split_statements,
    sql_root,
)
from parlor.store.sqlite_procedures import READS, WRITES, every_version

pytestmark = pytest.mark.unit

FILES = sorted(path for path in sql_root().rglob("*.sql") if path.parent.name != "templates")
HEADER = ["Database", "Design", "Parameters", "Result sets", "Errors", "Safe to repeat because"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_opens_with_its_header(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith(f"-- {path.stem}: ")
    keys = [found[1] for line in lines if (found := re.match(r"-- ([A-Z][a-z ]+): \S", line))]
    assert keys == HEADER
    assert max(map(len, lines)) <= 120


WITHOUT_ON_ERROR = {
    "fp_chat_message_save_v4",
    "fp_chat_message_version_save_v3",
    "fp_search_note_v2",
    "fp_search_save_v3",
}


@pytest.mark.parametrize("path", sorted((sql_root() / "procedures").glob("*.sql")), ids=lambda path: path.stem)
def test_a_procedure_file_replaces_one_procedure_of_its_name(path: Path) -> None:
    names, mode, drop, create = read_sql_file(path).statements
    assert names == "SET NAMES utf8mb4"
    assert mode == "SET SESSION sql_mode = 'TRADITIONAL'"
    assert drop == f"DROP PROCEDURE IF EXISTS {path.stem}"
    assert create.startswith(f"CREATE PROCEDURE {path.stem}(")
    assert create.endswith("END")
    assert "SQL SECURITY INVOKER" in create
    assert "INSERT IGNORE" not in create
    values = create.count("PATH '") - create.count("NESTED PATH '")
    assert values == len(re.findall(r"PATH '[^']+' (?:ERROR|NULL) ON EMPTY", create))
    # What every message goes through does without: see fp_chat_message_save.
    assert create.count("ERROR ON ERROR") == (0 if path.stem in WITHOUT_ON_ERROR else values)


def test_only_what_is_a_transaction_of_its_own_commits() -> None:
    committing = {
        base_name(file.name)
        for file in read_procedures("shard")
        if re.search(r"^ *COMMIT;", file.statements[-1], re.MULTILINE)
    }
    files = {"fp_file_add", "fp_file_delete", "fp_file_lost", "fp_file_release_next", "fp_file_uses_add"}
    assert committing == {
        "fp_chat_room_purge",
        "fp_partition_acquire",
        "fp_partition_open",
        "fp_search_save",
        "fp_writer_apply",
        *files,
    }


def test_sqlite_has_a_function_for_every_procedure() -> None:
    names = [file.name for file in (*read_procedures("global"), *read_procedures("shard"))]
    assert sorted(names) == sorted([*every_version(READS), *every_version(WRITES)])
    assert {*READS, *WRITES} <= set(names)


@pytest.mark.parametrize("dialect", ["mysql", "sqlite"])
def test_migrations_are_numbered_without_repeats_and_safe_to_repeat(dialect: str) -> None:
    files = [*read_migrations(dialect, "global"), *read_migrations(dialect, "shard")]  # type: ignore[arg-type]
    numbers = [file.name[:4] for file in files]
    assert sorted(numbers) == [f"{number:04}" for number in range(1, len(files) + 1)]
    create = re.compile(r"CREATE (TABLE|INDEX|VIRTUAL TABLE) IF NOT EXISTS ")
    # Columns that are there already: see the module of each server's migrations.
    add = re.compile(r"ALTER TABLE \w+(\s+ADD COLUMN [^,]+,?)+(\s+ADD KEY [^;]+)?")
    # A row that stays as it is when it is there.
    seed = re.compile(
        r"INSERT INTO \w+ [^;]+ ON (DUPLICATE KEY UPDATE id = \w+\.id|CONFLICT \(id\) DO NOTHING)"
        r"|INSERT (OR )?IGNORE INTO [^;]+"
    )
    for file in files:
        assert all(
            create.match(statement) or add.fullmatch(statement) or seed.fullmatch(statement)
            for statement in file.statements
        )


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        ("-- only a comment\n/* and another; */", []),
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';'; SELECT \";\"; SELECT `;`", ["SELECT ';'", 'SELECT ";"', "SELECT `;`"]),
        (r"SELECT 'it\'s; '; SELECT 'it''s;'", [r"SELECT 'it\'s; '", "SELECT 'it''s;'"]),
        ("-- a; b\nSELECT 1 -- inside; stays\n + 1;", ["SELECT 1 -- inside; stays\n + 1"]),
        ("DELIMITER //\nBEGIN; END\n//\nDELIMITER ;\nSELECT 1;", ["BEGIN; END", "SELECT 1"]),
        ("SELECT 'never ends; SELECT 2;", ["SELECT 'never ends", "SELECT 2"]),
    ],
)
def test_statements_are_cut_at_delimiters_outside_quotes_and_comments(text: str, statements: list[str]) -> None:
    assert split_statements(text) == statements


def test_a_file_without_its_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "0001_x.sql"
    path.write_text("SELECT 1;")
    with pytest.raises(ValueError, match="Database"):
        read_sql_file(path)


def test_an_installed_package_brings_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parlor" / "sql" / "procedures").mkdir(parents=True)
    monkeypatch.setattr(parlor, "__file__", str(tmp_path / "parlor" / "__init__.py"))
    assert sql_root() == tmp_path / "parlor" / "sql"
    (tmp_path / "parlor" / "sql" / "procedures").rmdir()
    with pytest.raises(FileNotFoundError):
        sql_root()
