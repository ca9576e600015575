"""Search over the account's messages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from msgspec import structs

from api import answers
from api.auth import AuthenticatedRoute, caller_of
from api.edge import edge_of
from api.openapi import refusals
from api.path_ids import room_id_of
from api.search_schemas import SearchRequest, SearchResponse
from parlor.errors import RoomNotFound
from parlor.model.search import SearchResult
from parlor.model.wire import JsonForm, timestamp

router = APIRouter(prefix="/v1/search", tags=["search"], route_class=AuthenticatedRoute)


@router.get("", response_model=SearchResponse, responses=refusals(RoomNotFound), summary="Search")
async def search_messages(request: Request, query: Annotated[SearchRequest, Query()]) -> Response:
    """Messages that have every word of `q` as a part, newest first."""
    room_id = None if query.room_id is None else room_id_of(query.room_id)
    session = caller_of(request).session
    page = await edge_of(request).gateway.search(session, query.q, room_id, query.limit, query.cursor)
    return answers.answer({"results": [_form(it) for it in page.results], "next_cursor": page.next_cursor})


def _form(result: SearchResult) -> JsonForm:
    return {**structs.asdict(result), "timestamp": timestamp(result.timestamp)}
