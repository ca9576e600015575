"""The usage of an account, day by day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Query, Request, Response

from api.auth import AuthenticatedRoute, caller_of
from api.edge import edge_of
from api.openapi import refusals
from api.problems import invalid
from api.usage_answers import limits_form, usage_answer
from api.usage_schemas import ChatUsageRequest, ChatUsageResponse

router = APIRouter(prefix="/v1/usage", tags=["usage"], route_class=AuthenticatedRoute)

_DAYS = 30
"""The length of the period when the request does not give one."""
_DAYS_MAX = 366


@router.get("", response_model=ChatUsageResponse, responses=refusals(), summary="Usage")
async def get_usage(request: Request, query: Annotated[ChatUsageRequest, Query()]) -> Response:
    """Messages, tokens and their cost for each day from `from` to `to`, both included, as the days of the time zone
    `tz` are; and what the account's limits leave it.

    Use is counted by the quarter of an hour, so the days of every zone are exact; what was counted before Parlor knew
    time zones is told on its day of UTC.
    """
    edge = edge_of(request)
    zone = _zone(query.tz)
    first, last = _period(query, edge.clock.now_ms(), zone)
    session = caller_of(request).session
    gateway = edge.gateway
    rooms = (await gateway.list_rooms(session, 1, None)).total_count
    budgets, files = await gateway.budget(session), await gateway.files.use(session)
    days = await gateway.usage(session, first, last, zone)
    limits = limits_form(session.account_id, edge.limits, budgets, rooms, files)
    return usage_answer(first, last, query.tz, days, limits)


_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
"""Files in a machine's database that are not zones of the IANA's: each machine has its own. So are the folders
`posix/` and `right/`, whose days have leap seconds."""


def _zone(name: str) -> tzinfo:
    """The time zone of this name in the machine's database of the IANA's. Raises ``InvalidRequest``."""
    if name == "UTC":
        return UTC  # It needs no database.
    try:
        if name in _NO_ZONES or name.startswith(("posix/", "right/")):
            raise ValueError(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid(("query", "tz"), "This time zone is not known; give a name like Europe/Berlin") from error


def _period(query: ChatUsageRequest, now_ms: int, zone: tzinfo) -> tuple[date, date]:
    """The first and the last day. Raises ``InvalidRequest``."""
    last = query.to or datetime.fromtimestamp(now_ms / 1000, zone).date()
    back = timedelta(days=min(_DAYS, last.toordinal()) - 1)
    first = query.from_ or last - back
    if first > last:
        raise invalid(("query", "from"), f"The first day, {first}, is after the last, {last}")
    if (last - first).days >= _DAYS_MAX:
        raise invalid(("query", "from"), f"{first} to {last} is more than {_DAYS_MAX} days")
    return first, last
