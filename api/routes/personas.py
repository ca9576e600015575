"""The personas that can answer."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api import answers
from api.auth import AuthenticatedRoute
from api.edge import edge_of
from api.openapi import refusals
from api.schemas import ChatPersonaListResponse

router = APIRouter(prefix="/v1/personas", tags=["personas"], route_class=AuthenticatedRoute)


@router.get("", response_model=ChatPersonaListResponse, responses=refusals(), summary="List")
async def list_personas(request: Request) -> Response:
    """The configured personas."""
    return answers.persona_list(await edge_of(request).gateway.personas())
