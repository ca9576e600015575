"""What waits for the account's decisions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import answers
from api.auth import AuthenticatedRoute, caller_of
from api.edge import edge_of
from api.openapi import refusals
from api.tool_call_schemas import ApprovalListRequest, ApprovalListResponse

router = APIRouter(prefix="/v1/approvals", tags=["tool calls"], route_class=AuthenticatedRoute)


@router.get("", response_model=ApprovalListResponse, responses=refusals(), summary="Approvals")
async def list_approvals(request: Request, query: Annotated[ApprovalListRequest, Query()]) -> Response:
    """The calls of tools that wait for a decision, over all rooms of the account; those of older replies first."""
    page = await edge_of(request).gateway.waiting_calls(caller_of(request).session, query.limit, query.cursor)
    return answers.approvals(page)
