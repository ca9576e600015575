"""The answer about what an account used, and what its limits leave it; ``api.usage_schemas`` documents it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from fastapi import Response

from api.answers import answer
from api.rates import Limits, Rate
from parlor.model.access import DailyUse
from parlor.model.budgets import BILLION, Budget
from parlor.model.ids import AccountId
from parlor.model.wire import JsonForm, timestamp
from parlor.store.files import FileUse


def limits_form(account: AccountId, limits: Limits, budgets: Sequence[Budget], rooms: int, files: FileUse) -> JsonForm:
    """Each limit of an account that has so many rooms and files, and what is left of it; None: not limited."""
    own = limits.accounts.of(account)
    shares = (limits.requests_at_once, limits.streams, limits.uploads)
    return {
        **{budget.name: _budget(budget) for budget in budgets},
        "requests_per_second": _rate(limits.requests, account, own.requests_per_second, own.requests_burst),
        "sends_per_second": _rate(limits.sends, account, own.sends_per_second, own.sends_burst),
        **{name: _cap(getattr(own, name), share.taken(account)) for name, share in zip(_SHARES, shares, strict=True)},
        "rooms": _cap(own.rooms, rooms),
        "files": _cap(own.files, files.files),
        "file_bytes": _cap(own.file_bytes, files.bytes),
        "waiting_turns": _each(own.waiting_turns),
        "versions": _each(own.versions),
    }


_SHARES = ("requests_at_once", "streams", "uploads_at_once")


def usage_answer(first: date, last: date, zone: str, days: list[DailyUse], limits: JsonForm) -> Response:
    counted = ("messages", "input_tokens", "output_tokens")
    form = {
        "from": first,
        "to": last,
        "tz": zone,
        "days": [
            {"date": day.day, **{name: getattr(day, name) for name in counted}, "cost": day.cost / BILLION}
            for day in days
        ],
        "total": {
            **{name: sum(getattr(day, name) for day in days) for name in counted},
            "cost": sum(day.cost for day in days) / BILLION,
        },
        "limits": limits,
    }
    return answer(form)


def _budget(standing: Budget) -> dict[str, object] | None:
    """None: no limit."""
    if standing.limit is None:
        return None
    unit = BILLION if standing.name.startswith("cost") else None
    numbers = {
        "limit": standing.limit,
        "used": standing.used,
        "reserved": standing.reserved,
        "left": max(0, standing.limit - standing.used - standing.reserved),
    }
    told = {name: number / unit if unit else number for name, number in numbers.items()}
    return {**told, "resets_at": timestamp(standing.resets_at)}


def _rate(rate: Rate, account: AccountId, per_second: float | None, burst: int) -> JsonForm | None:
    return None if per_second is None else {"limit": per_second, "burst": burst, "left": rate.left(account)}


def _cap(limit: int | None, used: int) -> JsonForm | None:
    return None if limit is None else {"limit": limit, "used": used, "left": max(0, limit - used)}


def _each(limit: int | None) -> JsonForm | None:
    return None if limit is None else {"limit": limit}
