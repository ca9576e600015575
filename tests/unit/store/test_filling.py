"""Filling a SQLite file: one statement at a time, whatever threads they run in."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from parlor.store.addresses import SqliteAddress
from parlor.store.filling import filling
from parlor.store.tables import Table

pytestmark = pytest.mark.unit

NOTES = Table("notes", ("number",), {"number": "number", "content": "text"})


class Cursor(sqlite3.Cursor):
    """Remembers in which thread it was made, and is counted until that thread has closed it."""

    open = 0

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._thread = threading.get_ident()
        Cursor.open += 1

    def close(self) -> None:
        assert threading.get_ident() == self._thread
        Cursor.open -= 1
        super().close()


class Connection(sqlite3.Connection):
    def execute(self, statement: str, values: Any = ()) -> Cursor:
        return self.cursor(Cursor).execute(statement, values)

    def executemany(self, statement: str, rows: Any) -> Cursor:
        return self.cursor(Cursor).executemany(statement, rows)


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteAddress:
    path = tmp_path / "notes.db"
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE notes (number INTEGER PRIMARY KEY, content TEXT)")
    made.close()

    def opened(address: SqliteAddress, busy_timeout: float) -> sqlite3.Connection:
        return sqlite3.connect(
            address.path, busy_timeout, isolation_level=None, check_same_thread=False, factory=Connection
        )

    monkeypatch.setattr("parlor.store.filling.open_file", opened)
    monkeypatch.setattr(Cursor, "open", 0)
    return SqliteAddress(path)


async def test_a_statement_has_ended_in_its_thread_before_the_next_one_begins(address: SqliteAddress) -> None:
    """One that ends later does so in another thread, while SQLite works: "bad parameter or other API misuse"."""
    async with filling(address) as file:
        assert Cursor.open == 0
        for number in range(3):
            await file.add(NOTES, ["number", "content"], [[number, "a"], [number + 10, "b"]])
            assert Cursor.open == 0
        await file.run("DELETE FROM notes WHERE number > 11")
        assert Cursor.open == 0
    read = sqlite3.connect(address.path)
    found = read.execute("SELECT number FROM notes ORDER BY number").fetchall()
    read.close()
    assert [number for (number,) in found] == [0, 1, 2, 10, 11]
