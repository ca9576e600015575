"""Writes the MySQL procedures that follow from the table of columns: ``python -m parlor.store.templates``.

A template (``sql/templates/<procedure>.sql``) is the procedure with marks in it:

    {{name}}                   the procedure's name with its version
    {{fp_chat_room_create}}    the newest version of another procedure
    {{columns m.}}             the columns of a message, each with this prefix
    {{values}}                 their values, from a row of JSON_TABLE called j
    {{json_columns}}           how JSON_TABLE reads them, and the key before them
    {{replaced}}               the assignments of an upsert
    {{erased}}                 the assignments of a delete
    {{values -version}}        all but this one

When a template or the table has changed, the next version of the procedure is written, a plain SQL file beside the
one before it. A version that is in ``sql/procedures/PUBLISHED`` is never written again: databases have it, and programs
that call it. ``--publish`` puts the newest ones there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from parlor.store.columns import DOC_COLUMNS, KEY, Column, Columns, Kind
from parlor.store.sql_files import PUBLISHED, newest_procedures, next_version, read_published, sql_root

WIDTH = 119
JSON_TYPES = {
    Kind.ID: "VARCHAR(64)",
    Kind.INTEGER: "BIGINT",
    Kind.WORD: "VARCHAR(64)",
    Kind.NAME: "MEDIUMTEXT CHARACTER SET utf8mb4",
    Kind.JSON: "MEDIUMTEXT CHARACTER SET utf8mb4",
    Kind.TEXT: "MEDIUMTEXT CHARACTER SET utf8mb4",
}
"""Wider than the tables' columns: MariaDB cuts a text and clips a number in JSON_TABLE without a word."""

_MARK = re.compile(r"\{\{(\w+)((?: [\w.-]+)*)\}\}")
_WORD = re.compile(r"(?:\w+\((?:[^()]|\([^()]*\))*\)|\S)+")
"""What a line is not broken inside: a word, or a call with its arguments."""


def fill(template: str, name: str, procedures: dict[str, str], columns: Columns = DOC_COLUMNS) -> str:
    """The procedure ``name``; ``procedures`` has the names of those that it may call. Raises ``KeyError``."""

    def filled(mark: re.Match[str]) -> str:
        words = mark[2].split()
        left_out = {word[1:] for word in words if word.startswith("-")}
        prefix = "".join(word for word in words if not word.startswith("-"))
        kept = [column for column in columns if column.name not in left_out]
        match mark[1]:
            case "name":
                return name
            case "columns":
                return ", ".join(prefix + column.name for column in kept)
            case "values":
                return ", ".join(map(_value, kept))
            case "json_columns":
                return _json_columns(kept)
            case "replaced":
                return _replaced(kept)
            case "erased":
                return _erased(kept)
        return procedures[mark[1]]

    return "".join(f"{line}\n" for text in template.splitlines() for line in _lines(text, _MARK.sub(filled, text)))


def _value(column: Column) -> str:
    return f"UNHEX(REPLACE(j.{column.name}, '-', ''))" if column.kind is Kind.ID else f"j.{column.name}"


def _json_columns(columns: Iterable[Column]) -> str:
    every = (*KEY, *columns)
    width = max(len(column.name) for column in every)
    return ",\n".join(
        f"{column.name:{width}} {JSON_TYPES[column.kind]} PATH '$.{column.name}'"
        f" {'NULL' if column.nullable else 'ERROR'} ON EMPTY"
        for column in every
    )


def _replaced(columns: Iterable[Column]) -> str:
    return ",\n".join(f"messages.{it.name} = VALUES({it.name})" for it in columns if it.name != "message_id")


def _erased(columns: Iterable[Column]) -> str:
    """Assignments, for the same message only; a column that takes no NULL comes first."""
    erased = sorted((column for column in columns if column.erased), key=lambda column: column.nullable)
    width = max(len(column.name) for column in erased)
    same = "messages.message_id = VALUES(message_id)"
    return "\n".join(f"{it.name:{width}} = IF({same}, {it.erased}, messages.{it.name})," for it in erased)


def _lines(text: str, filled: str) -> list[str]:
    """A template's line with its marks filled in, broken where that made it too long."""
    if text == filled:
        return [text]
    indent = text[: len(text) - len(text.lstrip())]
    return [piece for line in filled.split("\n") for piece in _broken(indent + line.strip() if line.strip() else "")]


def _broken(line: str) -> list[str]:
    if len(line) <= WIDTH:
        return [line]
    words = _WORD.findall(line)
    lines, current = [], line[: len(line) - len(line.lstrip())] + words[0]
    further = _further(line)
    for word in words[1:]:
        if len(current) + 1 + len(word) > WIDTH:
            lines.append(current)
            current = further + word
        else:
            current += " " + word
    return [*lines, current]


def _further(line: str) -> str:
    """What the further lines of a long one begin with."""
    if line.startswith("--"):
        return "--   "
    if line.lstrip().startswith("SELECT "):
        return " " * 9
    return " " * (line.find("(") + 1)


def outdated(root: Path, columns: Columns = DOC_COLUMNS) -> dict[str, str]:
    """The files that are to be written in ``sql/procedures``, by name, with their text."""
    folder, published = root / "procedures", read_published(root)
    newest, found = newest_procedures(root), {}
    # Those that call others come after them: they name the newest versions.
    texts = {path.stem: path.read_text() for path in (root / "templates").glob("*.sql")}
    for base in sorted(texts, key=lambda base: (texts[base].count("{{fp_"), base)):
        name = newest.get(base, base)
        path = folder / f"{name}.sql"
        if path.exists() and fill(texts[base], name, newest, columns) == path.read_text():
            continue
        newest[base] = next_version(name) if path.name in published else name
        found[f"{newest[base]}.sql"] = fill(texts[base], newest[base], newest, columns)
    return found


def publish(root: Path) -> list[str]:
    """Lists the procedures that are not listed yet; a line that is there stays."""
    published = read_published(root)
    files = sorted((root / "procedures").glob("*.sql"))
    new = {path.name: sha256(path.read_bytes()).hexdigest() for path in files if path.name not in published}
    lines = [f"{checksum}  {name}\n" for name, checksum in sorted({**published, **new}.items())]
    (root / "procedures" / PUBLISHED).write_text("".join(lines))
    return sorted(new)


def main(args: list[str]) -> None:
    root = sql_root()
    for name, text in outdated(root).items():
        (root / "procedures" / name).write_text(text)
        print(f"sql/procedures/{name} was written")
    if "--publish" in args:
        for name in publish(root):
            print(f"sql/procedures/{name} is published: it does not change any more")


if __name__ == "__main__":
    main(sys.argv[1:])
