"""Server-sent events of an account, a room, or one reply."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from api.auth import AuthenticatedRoute, caller_of
from api.edge import edge_of
from api.headers import cursor_of
from api.openapi import event_stream, refusals
from api.path_ids import message_id_of, room_id_of
from api.sse import EventStream
from parlor.errors import MessageNotFound, RoomNotFound, StreamExpired

router = APIRouter(prefix="/v1", tags=["events"], route_class=AuthenticatedRoute)

# Only for the document: `api.headers` reads and checks both.
After = Annotated[str | None, Query(description="A cursor: send the events after it")]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", description="A cursor; overrides `after`")]


@router.get(
    "/events",
    response_class=Response,
    responses={**refusals(StreamExpired), 200: event_stream("The account's events: its list of rooms")},
    summary="Events of the account",
)
async def account_events(request: Request, after: After = None, last_event_id: LastEventId = None) -> Response:
    """`room.created`, `room.updated`, `room.deleted`, from the cursor or from now."""
    del after, last_event_id
    edge, caller = edge_of(request), caller_of(request)
    return EventStream(edge.gateway.account_events(caller.session, cursor_of(request)), edge, caller)


@router.get(
    "/rooms/{room_id}/events",
    response_class=Response,
    responses={**refusals(RoomNotFound, StreamExpired), 200: event_stream("The room's events")},
    summary="Events of a room",
)
async def room_events(
    request: Request, room_id: str, after: After = None, last_event_id: LastEventId = None
) -> Response:
    """All events of the room, from the cursor or from now. Of what was deleted, only its deletion is told."""
    del after, last_event_id
    edge, caller = edge_of(request), caller_of(request)
    source = edge.gateway.room_events(caller.session, room_id_of(room_id), cursor_of(request))
    return EventStream(source, edge, caller)


@router.get(
    "/rooms/{room_id}/messages/{message_id}/events",
    response_class=Response,
    responses={**refusals(RoomNotFound, MessageNotFound, StreamExpired), 200: event_stream("The reply's events")},
    summary="Events of one reply",
)
async def reply_events(
    request: Request, room_id: str, message_id: str, after: After = None, last_event_id: LastEventId = None
) -> Response:
    """The events of one reply, from its start or the cursor to its last event; of a deleted one `message.deleted`."""
    del after, last_event_id
    edge, caller = edge_of(request), caller_of(request)
    room, message = room_id_of(room_id), message_id_of(message_id)
    return EventStream(edge.gateway.reply_events(caller.session, room, message, cursor_of(request)), edge, caller)
