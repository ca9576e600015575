"""The usage of an account, day by day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import answers
from api.auth import AuthenticatedRoute, caller_of
from api.edge import edge_of
from api.openapi import refusals
from api.problems import invalid
from api.schemas import ChatUsageRequest, ChatUsageResponse

router = APIRouter(prefix="/v1/usage", tags=["usage"], route_class=AuthenticatedRoute)

_DAYS = 30
"""The length of the period when the request does not give one."""
_DAYS_MAX = 366


@router.get("", response_model=ChatUsageResponse, responses=refusals(), summary="Usage")
async def usage(request: Request, query: Annotated[ChatUsageRequest, Query()]) -> Response:
    """Messages and tokens for each day from `from` to `to`, both included, in UTC."""
    edge = edge_of(request)
    first, last = (day.isoformat() for day in _period(query, edge.clock.now_ms()))
    days = await edge.gateway.usage(caller_of(request).session, first, last)
    return answers.usage_answer(first, last, days)


def _period(query: ChatUsageRequest, now_ms: int) -> tuple[date, date]:
    """The first and the last day. Raises ``InvalidRequest``."""
    last = query.to or datetime.fromtimestamp(now_ms / 1000, UTC).date()
    back = timedelta(days=min(_DAYS, last.toordinal()) - 1)
    first = query.from_ or last - back
    if first > last:
        raise invalid(("query", "from"), f"The first day, {first}, is after the last, {last}")
    if (last - first).days >= _DAYS_MAX:
        raise invalid(("query", "from"), f"{first} to {last} is more than {_DAYS_MAX} days")
    return first, last
