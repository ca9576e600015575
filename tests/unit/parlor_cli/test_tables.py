"""Tables fit 100 columns, with ids as short as people need them; a wide one cuts nothing."""

from __future__ import annotations

import pytest

from parlor_cli.tables import WIDTH, Plain, print_report

pytestmark = pytest.mark.unit

NODE = "37bfabd6a6988e5f0934f024c254012b54b9c134a78a69df6d34d9e9"
ROOM = "01a227e8-5da0-8028-a0b6-53339bcf8ac0"
REASON = "Data too long for column 'metadata' at row 1, which its shard has refused " * 4

ACTOR: dict[str, Plain] = {
    "name": "state-machine-6d34d9e9",
    "kind": "StateMachine",
    "pid": 4_194_304,
    "node": NODE,
    "alive": True,
    "rooms": [ROOM] * 5000,
    "partitions": [1] * 4096,
    "leaving": False,
    "started": True,
    "idle_seconds": 86_400.0,
}
ACTIVE_ROOM: dict[str, Plain] = {
    "room_id": ROOM,
    "account_id": "somebody with a very long name and more of it",
    "state": "PROCESSING",
    "messages": 1_000_000,
    "persisted_seq": 1_000_000,
    "actor": "rooms-1000",
    "pid": 4_194_304,
    "node": NODE,
}
DEAD_LETTER: dict[str, Plain] = {
    "id": "4095:1795407520186-1234",
    "parked_at": "2026-11-29T15:24:30Z",
    "partition": 4095,
    "op": "CHAT_MESSAGE_DELETE",
    "account_id": "ada",
    "room_id": ROOM,
    "seq": 1_000_000,
    "message_id": ROOM,
    "reason": REASON,
}
QUEUE: dict[str, Plain] = {"partition": 4095, "shard": 64, "depth": 100_000, "lag_seconds": 86_400.0, "dead_letters": 9}
TABLES: dict[str, Plain] = {
    "actors": [ACTOR],
    "rooms": [ACTIVE_ROOM],
    "dead_letters": [DEAD_LETTER],
    "queues": [QUEUE],
    "processes": [{"name": "gcs_server", "pid": 4_194_304, "alive": True}],
    "services": {"cache": "ok", "store:shard64": "ok"},
    "shards": [{"shard": 64, "lag_entries": 100_000, "lag_seconds": 86_400.0, "dead_letters": 9}],
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_fits_100_columns(capsys: pytest.CaptureFixture[str], name: str) -> None:
    print_report({name: TABLES[name]})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 3
    assert [line for line in lines if len(line) > WIDTH] == []


def test_ids_are_short_and_nothing_else_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_report({"actors": [ACTOR], "rooms": [ACTIVE_ROOM]})
    printed = capsys.readouterr().out
    assert NODE not in printed
    for shown in (
        "6d34d9e9",
        "state-machine-6d34d9e9",
        "4194304",
        "5000",
        "4096",
        ROOM,
        "somebody with a v…",
        "1000000",
    ):
        assert shown in printed, shown


def test_a_reason_goes_over_several_lines_and_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_report({"dead_letters": [DEAD_LETTER]})
    _, header, *lines = capsys.readouterr().out.splitlines()
    column = header.index("reason")
    assert " ".join(line[column:].strip() for line in lines).split() == REASON.split()


@pytest.mark.parametrize("name", ["actors", "rooms", "dead_letters"])
def test_a_wide_table_has_every_column_and_cuts_nothing(capsys: pytest.CaptureFixture[str], name: str) -> None:
    rows = TABLES[name]
    assert isinstance(rows, list)
    [row] = rows
    assert isinstance(row, dict)
    print_report({name: rows}, wide=True)
    _, header, line = capsys.readouterr().out.splitlines()
    assert all(column.split("_")[0] in header for column in row)
    assert all(value in line for value in row.values() if isinstance(value, str))


def test_what_looks_like_markup_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_report({"rooms": [ACTIVE_ROOM | {"account_id": "[red]x[/red]"}], "data_dir": "/a[b]c"})
    printed = capsys.readouterr().out
    assert "[red]x[/red]" in printed
    assert "data dir: /a[b]c" in printed
