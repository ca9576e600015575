"""`parlor accounts`: who there is, and shutting somebody out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from parlor.administration.operations import Operations
from parlor.clock import SystemClock
from parlor.errors import AccountNotFound
from parlor.model.access import AccountRow, Deletion
from parlor.model.administration import AccountReport, Action
from parlor.model.ids import AccountId
from parlor.wiring import Wiring
from parlor_cli.audit import note
from parlor_cli.live_stores import ask
from parlor_cli.refusal import Refusal
from parlor_cli.tables import Plain, write, write_json

_T = TypeVar("_T")
_DAYS = 30
_PAGE = 1000


class AccountLine(msgspec.Struct, frozen=True):
    """What `parlor accounts list` prints of an account."""

    account_id: str
    standing: str
    standing_since: str
    not_before: str


def show_all(data_dir: Path, *, as_json: bool, wide: bool) -> None:
    """Lists every account, in the order in which they were first seen."""

    async def work(wiring: Wiring) -> list[AccountRow]:
        rows: list[AccountRow] = []
        while page := await _operations(wiring).accounts(_PAGE, rows[-1].account_db_key if rows else 0):
            rows += page
        return rows

    lines = [_line(row) for row in ask(data_dir, work)]
    plain: list[Plain] = msgspec.to_builtins(lines)
    write({"accounts": plain}, as_json=as_json, wide=wide)


def show(data_dir: Path, account: str, *, as_json: bool) -> None:
    """Prints an account with what it has and what it used in the last days. Raises ``Refusal``."""
    today = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).date()

    async def work(wiring: Wiring) -> AccountReport:
        return await _operations(wiring).account(AccountId(account), today - timedelta(days=_DAYS - 1), today)

    report = _ask(data_dir, account, work)
    form: dict[str, Plain] = {
        **msgspec.to_builtins(_line(report.row)),
        "rooms": report.rooms,
        "api_keys": report.api_keys,
        "messages": sum(day.messages for day in report.use),
        "input_tokens": sum(day.input_tokens for day in report.use),
        "output_tokens": sum(day.output_tokens for day in report.use),
    }
    if report.deletion is not None:
        form["deletion"] = _receipt(report.deletion)
    if as_json:
        write_json(form)
    else:
        for name, value in form.items():
            print(f"{name:<15} {value}")


def set_disabled(data_dir: Path, account: str, disabled: bool) -> None:
    """Shuts an account out, or lets it in again. Raises ``Refusal``."""

    async def work(wiring: Wiring) -> None:
        await note(wiring, Action.ACCOUNT_DISABLED if disabled else Action.ACCOUNT_ENABLED, account)
        await _operations(wiring).set_disabled(AccountId(account), disabled)

    _ask(data_dir, account, work)


def delete(data_dir: Path, account: str, *, as_json: bool) -> None:
    """Deletes an account and prints the receipt. Raises ``Refusal``."""

    async def work(wiring: Wiring) -> Deletion:
        await note(wiring, Action.ACCOUNT_DELETED, account)
        return await _operations(wiring).delete(AccountId(account))

    receipt = _receipt(_ask(data_dir, account, work))
    if as_json:
        write_json(receipt)
    else:
        print(f"{account} is shut out; receipt {receipt['receipt_id']}: {receipt['state']}")


def _ask(data_dir: Path, account: str, work: Callable[[Wiring], Awaitable[_T]]) -> _T:
    async def told(wiring: Wiring) -> _T:
        try:
            return await work(wiring)
        except AccountNotFound:
            raise Refusal(f"there is no account {account}: see `parlor accounts list`") from None

    return ask(data_dir, told)


def _operations(wiring: Wiring) -> Operations:
    return Operations(wiring.store, wiring.reader, wiring.dead_letters(), wiring.limits, wiring.mint, wiring.clock)


def _line(row: AccountRow) -> AccountLine:
    return AccountLine(row.account_id, row.standing, _time(row.standing_at), _time(row.not_before))


def _receipt(deletion: Deletion) -> dict[str, Plain]:
    return {
        "account_id": deletion.account_id,
        "receipt_id": deletion.receipt_id,
        "state": "deleting" if deletion.finished_at is None else "deleted",
        "rooms": None if deletion.finished_at is None else deletion.rooms,
        "requested_at": _time(deletion.requested_at),
        "finished_at": _time(deletion.finished_at),
    }


def _time(ms: int | None) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}" if ms else "-"
