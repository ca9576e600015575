"""Every statement of the SQL files is one of MySQL's, from the first 8.0 that can be used to the last that the grammar
of MySQL Workbench knows. What MySQL refuses beside its grammar only a server says (ADR 0060)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from parlor.store.sql_files import read_migrations, read_procedures
from tests.javascript import INSTALL_S, output, packages

pytestmark = [pytest.mark.contract, pytest.mark.timeout(INSTALL_S + 120)]

GRAMMAR = Path(__file__).parent / "grammar"
VERSIONS = ("8.0.4", "8.0.19")
"""JSON_TABLE came with the first."""
OF_MARIADB = [
    "INSERT INTO rooms (title) VALUES ('x') RETURNING room_id",
    "CREATE OR REPLACE TABLE x (a INT)",
    "CREATE TABLE x (a INT, rank INT)",
    "ALTER TABLE x ADD COLUMN IF NOT EXISTS a INT",
    "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
    "CREATE SEQUENCE s",
    "CREATE PROCEDURE IF NOT EXISTS p() SELECT 1",
]


async def refused(statements: Iterable[tuple[str, str]], version: str) -> list[str]:
    """The names of the statements that are not MySQL's."""
    place = await packages(GRAMMAR)
    shutil.copy(GRAMMAR / "parse.mjs", place)
    asked = ({"name": name, "version": version, "statement": statement} for name, statement in statements)
    given = "".join(f"{msgspec.json.encode(each).decode()}\n" for each in asked)
    env = {"PATH": os.environ["PATH"]}
    return (await output("node", str(place / "parse.mjs"), cwd=place, env=env, given=given, seconds=100)).splitlines()


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_statement_is_mysqls(version: str) -> None:
    files = [*read_migrations("mysql", "global"), *read_migrations("mysql", "shard")]
    files += [*read_procedures("global"), *read_procedures("shard")]
    statements = [(file.name, statement) for file in files for statement in file.statements]
    assert len(statements) > 400
    assert await refused(statements, version) == []


async def test_a_statement_of_mariadb_alone_is_refused() -> None:
    planted = [(statement, statement) for statement in OF_MARIADB]
    assert await refused(planted, VERSIONS[-1]) == OF_MARIADB
