"""Reports: for programs one line of JSON, for people lines and tables that fit 100 columns."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeAlias

import msgspec
from rich.console import Console
from rich.table import Table

Plain: TypeAlias = str | int | float | bool | list["Plain"] | dict[str, "Plain"] | None
"""A JSON value."""

WIDTH = 100
_EVERYTHING = 1000
"""Columns of a wide report: rich would wrap it to a terminal's."""
_COLUMNS = {
    "actors": ("name", "kind", "pid", "node", "alive", "rooms", "partitions", "leaving"),
    "rooms": ("room_id", "account_id", "state", "messages", "persisted_seq", "actor"),
    "dead_letters": ("id", "parked_at", "op", "seq", "reason"),
}
"""The columns of a table that is not wide; those of other tables are all of them."""
_HEADERS = {"persisted_seq": "persisted"}
_NODE, _ACCOUNT = 8, 18
"""Characters of a node's id, which is random at its end, and of an account."""
_FOLDED = ("reason", "state")
"""The columns whose text goes over several lines."""


def write(report: dict[str, Plain], *, as_json: bool, wide: bool = False) -> None:
    """Prints the report as one line of JSON, or as lines and tables; ``wide``: with every column, and nothing cut."""
    if as_json:
        write_json(report)
    else:
        print_report(report, wide=wide)


def write_json(report: Plain) -> None:
    """Prints one line."""
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.flush()


def print_report(report: dict[str, Plain], *, wide: bool = False) -> None:
    """Prints every list of records as a table, and every dictionary; everything else as a line."""
    console = Console(highlight=False, markup=False, soft_wrap=True, width=_EVERYTHING if wide else WIDTH)
    for name, value in report.items():
        title = name.replace("_", " ")
        rows = _rows(value)
        if name == "queues":
            waiting = [row for row in rows if row["depth"] or row["dead_letters"] or row["trouble"]]
            console.print(f"queues: {len(rows)} partitions, {len(rows) - len(waiting)} of them empty")
            rows = waiting
        elif not rows:
            console.print(f"{title}: {_text(value)}")
        if rows:
            console.print(table(name, rows, wide=wide))


def table(name: str, rows: list[dict[str, Plain]], *, wide: bool) -> Table:
    """One record a row."""
    found = Table(title=name.replace("_", " "), title_justify="left", box=None, pad_edge=False)
    columns: Iterable[str] = rows[0] if wide else _COLUMNS.get(name, tuple(rows[0]))
    for column in columns:
        header = _HEADERS.get(column, column.replace("_", " "))
        folded = column in _FOLDED and not wide
        found.add_column(header, no_wrap=not folded, overflow="fold" if folded else "ellipsis")
    for row in rows:
        found.add_row(*(_text(row.get(column)) if wide else _short(column, row.get(column)) for column in columns))
    return found


def _rows(value: Plain) -> list[dict[str, Plain]]:
    if isinstance(value, dict):
        return [{"name": name, "state": state} for name, state in value.items()]
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _short(column: str, value: Plain) -> str:
    text = _text(value)
    if column == "node":
        return text[-_NODE:]
    if column == "account_id" and len(text) > _ACCOUNT:
        return f"{text[: _ACCOUNT - 1]}…"
    return text


def _text(value: Plain) -> str:
    match value:
        case None | [] | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.1f}"
        case list():
            return str(len(value))
        case _:
            return str(value)
