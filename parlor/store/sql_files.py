"""The SQL files: found, read, and cut into statements.

A file opens with a header of comments that names its database (``-- Database: global`` or ``shard``). ``DELIMITER`` is
understood as the mysql client understands it, so the same files load with either.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Literal

import msgspec

import parlor
from parlor.store.ports import SchemaMismatch

Dialect = Literal["mysql", "sqlite"]
Role = Literal["global", "shard"]

_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `[^`]*` )
    | (?P<delimiter> ^DELIMITER[ \t]+(?P<mark>\S+)[ \t]*$ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
PUBLISHED = "PUBLISHED"
"""The file that lists the published procedures, as ``sha256sum`` writes and checks it."""
_VERSION = re.compile(r"_v([1-9][0-9]*)$")
_DATABASE = re.compile(r"^-- Database: (global|shard)$", re.MULTILINE)


class SqlFile(msgspec.Struct, frozen=True):
    """One file, ready to be run."""

    name: str
    """The file's name without ``.sql``; of a procedure, the procedure's."""
    role: Role
    checksum: str
    """SHA-256 of its bytes, hexadecimal."""
    statements: list[str]


def sql_root() -> Path:
    """``sql/`` of a checkout, or ``parlor/sql/`` of an installed wheel."""
    package = Path(parlor.__file__).parent
    for found in (package / "sql", package.parent / "sql"):
        if (found / "procedures").is_dir():
            return found
    raise FileNotFoundError(f"no sql directory beside {package}")


def read_migrations(dialect: Dialect, role: Role) -> list[SqlFile]:
    """The numbered table files, in order."""
    folder = sql_root() if dialect == "mysql" else sql_root() / "sqlite"
    files = [read_sql_file(path) for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))]
    return [file for file in files if file.role == role]


def read_procedures(role: Role) -> list[SqlFile]:
    """The stored procedures (MySQL only), by name."""
    files = [read_sql_file(path) for path in sorted((sql_root() / "procedures").glob("*.sql"))]
    return [file for file in files if file.role == role]


def newest_procedures(root: Path | None = None) -> dict[str, str]:
    """Each procedure's newest version by the name without a version: what this program calls."""
    return {base_name(name): name for name in sorted(procedure_names(root), key=version_of)}


def procedure_names(root: Path | None = None) -> list[str]:
    """Every version of every procedure."""
    return [path.stem for path in ((root or sql_root()) / "procedures").glob("*.sql")]


def base_name(name: str) -> str:
    """``fp_chat_message_save`` of ``fp_chat_message_save_v2``."""
    return _VERSION.sub("", name)


def version_of(name: str) -> int:
    """The first version has no suffix."""
    found = _VERSION.search(name)
    return int(found[1]) if found else 1


def next_version(name: str) -> str:
    return f"{base_name(name)}_v{version_of(name) + 1}"


def read_published(root: Path) -> dict[str, str]:
    """The files in ``sql/procedures`` that may not change any more, by name, with their SHA-256."""
    lines = (root / "procedures" / PUBLISHED).read_text().splitlines()
    return {name: checksum for checksum, name in (line.split() for line in lines)}


def read_sql_file(path: Path) -> SqlFile:
    """Raises ``ValueError`` when the header does not say to which database the file belongs."""
    raw = path.read_bytes()
    text = raw.decode()
    found = _DATABASE.search(text)
    if found is None:
        raise ValueError(f"{path.name} has no line '-- Database: global' or '-- Database: shard'")
    role: Role = "global" if found[1] == "global" else "shard"
    return SqlFile(path.stem, role, hashlib.sha256(raw).hexdigest(), split_statements(text))


def split_statements(text: str) -> list[str]:
    """Statements without their delimiters and without the comments between them; those inside a statement stay."""
    statements: list[str] = []
    delimiter = ";"
    current = ""
    position = 0
    while position < len(text):
        if text.startswith(delimiter, position):
            statements.append(current)
            current = ""
            position += len(delimiter)
            continue
        token = _TOKEN.match(text, position)
        if token is None:  # an unterminated quote or comment: leave it to the server to refuse
            current += text[position:]
            break
        if token["delimiter"]:
            delimiter = token["mark"]
        elif not token["comment"] or current.strip():
            current += token[0]
        position = token.end()
    return [statement.strip() for statement in [*statements, current] if statement.strip()]


def check_unchanged(file: SqlFile, applied: str) -> None:
    """Raises ``SchemaMismatch`` when an applied migration is not the file that is here now."""
    if applied != file.checksum:
        raise SchemaMismatch(f"Migration {file.name} was changed after it had been applied")
