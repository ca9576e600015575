"""The procedures of the audit log on a SQLite connection (see ``sqlite_procedures``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from parlor.store.rows import Args, Row
from parlor.store.sqlite_access import Procedure

ADD = "INSERT INTO audit_log (at, way, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?, ?)"
GET = """
SELECT entry_id, at, way, actor, action, subject, detail FROM audit_log
 WHERE entry_id < ? ORDER BY entry_id DESC LIMIT ?
"""


def _add(connection: sqlite3.Connection, args: Args) -> list[Row]:
    at, way, actor, action, subject, detail = args
    return connection.execute(ADD, (at, way, actor, action, subject, detail)).fetchall()


def _get(connection: sqlite3.Connection, args: Args) -> list[Row]:
    below, limit = args
    return connection.execute(GET, (below, limit)).fetchall()


AUDIT_READS: Mapping[str, Procedure] = {"fp_audit_get": _get}
AUDIT_WRITES: Mapping[str, Procedure] = {"fp_audit_add": _add}
