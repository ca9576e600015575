"""Server-sent events of an account, a room, or one reply, and tickets to them."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from api import answers
from api.auth import READS, AuthenticatedRoute, TicketRoute, caller_of
from api.edge import edge_of
from api.event_documents import ACCOUNT_EVENTS, ROOM_EVENTS
from api.headers import cursor_of
from api.openapi import WITH_BODY, event_stream, refusals
from api.path_ids import canonical_path, message_id_of, room_id_of
from api.problems import invalid
from api.schemas import EventTicketRequest, EventTicketResponse
from api.sse import EventStream
from parlor.errors import MessageNotFound, RoomNotFound, StreamExpired

router = APIRouter(prefix="/v1", tags=["events"], route_class=TicketRoute)

_ID = "[0-9a-fA-F-]{36}"
_STREAM = re.compile(rf"/v1/(?:rooms/{_ID}/(?:messages/{_ID}/)?)?events")

# Only for the document: `api.headers` reads and checks the first two, `api.auth` the ticket.
After = Annotated[str | None, Query(description="A cursor: send the events after it")]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", description="A cursor; overrides `after`")]
Ticket = Annotated[str | None, Query(description="From `POST /v1/events/ticket`, instead of a token")]


@router.get(
    "/events",
    response_class=Response,
    responses={**refusals(StreamExpired), 200: event_stream("The account's events: its list of rooms", ACCOUNT_EVENTS)},
    summary="Events of the account",
)
async def follow_account(
    request: Request, after: After = None, last_event_id: LastEventId = None, ticket: Ticket = None
) -> Response:
    """`room.created`, `room.updated`, `room.deleted`, from the cursor or from now."""
    del after, last_event_id, ticket
    edge, caller = edge_of(request), caller_of(request)
    return EventStream(edge.gateway.account_events(caller.session, cursor_of(request)), edge, caller)


@router.get(
    "/rooms/{room_id}/events",
    response_class=Response,
    responses={**refusals(RoomNotFound, StreamExpired), 200: event_stream("The room's events", ROOM_EVENTS)},
    summary="Events of a room",
)
async def follow_room(
    request: Request, room_id: str, after: After = None, last_event_id: LastEventId = None, ticket: Ticket = None
) -> Response:
    """All events of the room, from the cursor or from now. Of what was deleted, only its deletion is told."""
    del after, last_event_id, ticket
    edge, caller = edge_of(request), caller_of(request)
    source = edge.gateway.room_events(caller.session, room_id_of(room_id), cursor_of(request))
    return EventStream(source, edge, caller)


@router.get(
    "/rooms/{room_id}/messages/{message_id}/events",
    response_class=Response,
    responses={
        **refusals(RoomNotFound, MessageNotFound, StreamExpired),
        200: event_stream("The reply's events", ROOM_EVENTS),
    },
    summary="Events of one reply",
)
async def follow_reply(
    request: Request,
    room_id: str,
    message_id: str,
    after: After = None,
    last_event_id: LastEventId = None,
    ticket: Ticket = None,
) -> Response:
    """The events of one reply, from its start or the cursor to its last event; of a deleted one `message.deleted`."""
    del after, last_event_id, ticket
    edge, caller = edge_of(request), caller_of(request)
    room, message = room_id_of(room_id), message_id_of(message_id)
    return EventStream(edge.gateway.reply_events(caller.session, room, message, cursor_of(request)), edge, caller)


async def create_event_ticket(request: Request, body: EventTicketRequest) -> Response:
    """A ticket for the event stream at `path`: `?ticket=` opens it without a token, as a browser's `EventSource` needs.

    It has to be used within 30 seconds. After that it is good for reconnecting, with `Last-Event-ID`, until the token
    ends that it was asked for with.
    """
    path = body.path.partition("?")[0]
    if _STREAM.fullmatch(path) is None:
        raise invalid(("body", "path"), "The path is not that of an event stream, such as /v1/rooms/{room_id}/events")
    caller = caller_of(request)
    gateway = edge_of(request).gateway
    return answers.ticket_answer(await gateway.issue_ticket(caller.session, canonical_path(path), caller.credential))


router.add_api_route(
    "/events/ticket",
    create_event_ticket,
    methods=["POST"],
    status_code=201,
    response_model=EventTicketResponse,
    responses=refusals(*WITH_BODY),
    summary="Ticket for an event stream",
    openapi_extra=READS,
    route_class_override=AuthenticatedRoute,
)
