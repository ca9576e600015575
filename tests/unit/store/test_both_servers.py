"""The SQL files keep to what MariaDB and MySQL both understand, as far as it can be seen without either server."""

from __future__ import annotations

import logging
import re

import pytest

from parlor.store import mysql_pool
from parlor.store.mysql_migrations import MARIADB_ONLY
from parlor.store.sql_files import base_name, newest_procedures, read_migrations, read_procedures

pytestmark = pytest.mark.unit

RESERVED = (
    "CUBE|CUME_DIST|DENSE_RANK|EMPTY|EXCEPT|EXTERNAL|FIRST_VALUE|FUNCTION|GROUPING|GROUPS|INTERSECT|LAG|LAST_VALUE"
    "|LATERAL|LEAD|LIBRARY|MANUAL|NTH_VALUE|NTILE|OF|OVER|PARALLEL|PERCENT_RANK|QUALIFY|RANK|RECURSIVE|ROW_NUMBER"
    "|SYSTEM|TABLESAMPLE|WINDOW"
)
"""Words that MySQL 8.0 to 9.7 reserve beyond what both have always reserved, and that could be a name here."""
BEFORE_A_NAME = r"\b(?:AS|DECLARE|IN|OUT|INOUT|TABLE|INTO|FROM|JOIN|COLUMN|KEY|INDEX|EXISTS)"
A_TYPE = r"\w*(?:INT|BINARY|CHAR|JSON|DECIMAL|DOUBLE|TEXT|BLOB)\b"
A_NAME = re.compile(rf"{BEFORE_A_NAME}\s+({RESERVED})\b|^\s*({RESERVED})\s+{A_TYPE}", re.IGNORECASE | re.MULTILINE)
MARIADB_SYNTAX = re.compile(
    r"\bRETURNING\b|\bSET\s+STATEMENT\b|\bCREATE\s+OR\s+REPLACE\b|\bSEQUENCE\b|\b(?:NEXT|PREVIOUS)\s+VALUE\b|\bNEXTVAL\b"
    r"|\b(?:ADD|DROP)\s+(?:COLUMN|KEY|INDEX)\s+IF\b|\bCREATE\s+INDEX\s+IF\b|\bCREATE\s+PROCEDURE\s+IF\b"
    r"|\bEXECUTE\s+IMMEDIATE\b|\bFOR\s+\w+\s+IN\b|\bPERSISTENT\b|\bINVISIBLE\b|\bSYSTEM\s+VERSIONING\b|\bFOR\s+SYSTEM_TIME\b"
    r"|\bWAIT\s+\d|\bROWNUM\b|\bUUID_SHORT\b|\bSYS_GUID\b|\bTO_CHAR\b|\bINET6\b|\bENGINE\s*=\s*Aria\b"
    r"|\bJSON_(?:EXISTS|QUERY|DETAILED|LOOSE|COMPACT|EQUALS|NORMALIZE|OBJECT_FILTER_KEYS|KEY_VALUE)\s*\("
    r"|\bREGEXP_REPLACE\b|\bNATURAL_SORT_KEY\b|\bCRC32C\b|\bDECODE_ORACLE\b",
    re.IGNORECASE,
)
"""What MariaDB takes and MySQL refuses, or takes otherwise."""
LOCKS = re.compile(r"\bFOR\s+UPDATE\b|\bLOCK\s+IN\s+SHARE\s+MODE\b", re.IGNORECASE)
TABLE_FROM_JSON = re.compile(r"\bFROM\s+JSON_TABLE\b", re.IGNORECASE)
DERIVED = re.compile(r"\(\s*SELECT[^()]*\bFROM\s+JSON_TABLE\b", re.IGNORECASE)
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)

FILES = [file for role in ("global", "shard") for file in (*read_migrations("mysql", role), *read_procedures(role))]


def offences(statement: str) -> list[str]:
    """What MySQL would refuse in a statement, or in a part of a procedure."""
    text = COMMENT.sub("", statement)
    found = [f"the name {match[1] or match[2]}" for match in A_NAME.finditer(text)]
    found += [match[0] for match in MARIADB_SYNTAX.finditer(text)]
    for part in text.split(";"):
        if LOCKS.search(part) and len(TABLE_FROM_JSON.findall(part)) > len(DERIVED.findall(part)):
            found.append("a locking clause beside JSON_TABLE")
    return found


def test_no_file_has_what_mysql_refuses() -> None:
    found = {file.name: bad for file in FILES if (bad := [one for text in file.statements for one in offences(text)])}
    assert found == {name: ["a locking clause beside JSON_TABLE"] for name in MARIADB_ONLY}


@pytest.mark.parametrize(
    ("statement", "offence"),
    [
        ("INSERT INTO rooms (title) VALUES ('x') RETURNING room_id", "RETURNING"),
        ("CREATE OR REPLACE TABLE x (a INT)", "CREATE OR REPLACE"),
        ("ALTER TABLE x ADD COLUMN IF NOT EXISTS a INT", "ADD COLUMN IF"),
        ("SET STATEMENT max_statement_time = 1 FOR SELECT 1", "SET STATEMENT"),
        ("SELECT JSON_DETAILED(a) FROM x", "JSON_DETAILED("),
        ("CREATE TABLE x (\n  a INT,\n  rank BIGINT NOT NULL\n)", "the name rank"),
        ("SELECT a AS groups FROM x", "the name groups"),
        ("SELECT a FROM system", "the name system"),
        (
            "SELECT 1 FROM JSON_TABLE(p, '$[*]' COLUMNS (a INT PATH '$.a')) AS j JOIN x ON x.a = j.a FOR UPDATE",
            "a locking clause beside JSON_TABLE",
        ),
    ],
)
def test_what_mysql_refuses_is_noticed(statement: str, offence: str) -> None:
    assert offences(statement) == [offence]


def test_nobody_calls_a_procedure_that_mysql_does_not_have() -> None:
    newest = newest_procedures()
    assert all(newest[base_name(name)] != name for name in MARIADB_ONLY)


@pytest.mark.parametrize(
    ("message", "logged"), [("'VALUES function' is deprecated and will be removed", False), ("Out of memory", True)]
)
def test_what_mysql_says_of_each_upsert_is_not_logged(message: str, logged: bool) -> None:
    record = logging.LogRecord("asyncmy", logging.WARNING, mysql_pool.__file__, 1, message, None, None)
    assert bool(logging.getLogger("asyncmy").filter(record)) == logged
