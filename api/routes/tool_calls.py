"""Calls of tools: what a message has of them, decisions, and results of clients' tools."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request, Response

from api import answers
from api.auth import AuthenticatedRoute, caller_of
from api.edge import edge_of
from api.openapi import WITH_BODY, refusals
from api.path_ids import message_id_of, room_id_of
from api.tool_call_schemas import (
    ToolCallDecisionRequest,
    ToolCallListResponse,
    ToolCallResponse,
    ToolCallResultRequest,
)
from parlor.errors import AlreadyDecided, DigestMismatch, InvalidRequest, MessageNotFound, RoomNotFound
from parlor.model.tools import Decision, PostedResult, ToolResult

router = APIRouter(
    prefix="/v1/rooms/{room_id}/messages/{message_id}/tool-calls", tags=["tool calls"], route_class=AuthenticatedRoute
)


@router.get(
    "",
    response_model=ToolCallListResponse,
    responses=refusals(RoomNotFound, MessageNotFound),
    summary="Tool calls",
)
async def list_tool_calls(request: Request, room_id: str, message_id: str) -> Response:
    """The calls of tools in the message."""
    session, room = caller_of(request).session, room_id_of(room_id)
    message = await edge_of(request).gateway.get_message(session, room, message_id_of(message_id))
    return answers.tool_calls(message)


@router.post(
    "/{tool_call_id}/decision",
    response_model=ToolCallResponse,
    responses=refusals(RoomNotFound, MessageNotFound, AlreadyDecided, DigestMismatch, *WITH_BODY),
    summary="Decide",
)
async def decide_tool_call(
    request: Request, room_id: str, message_id: str, tool_call_id: str, body: ToolCallDecisionRequest
) -> Response:
    """Approves or denies a call that waits. The digest says which arguments were seen; the reply goes on when all calls
    of its step are decided. The same decision again is harmless."""
    session, room, message = caller_of(request).session, room_id_of(room_id), message_id_of(message_id)
    # Readers of JSON take the first or the last of two: who decides and who shows it must have read the same.
    json.loads(await request.body(), object_pairs_hook=_each_name_once)
    approve = body.decision == "approve"
    if body.arguments is not None and not approve:
        raise InvalidRequest("Only an approval changes arguments")
    arguments = None if body.arguments is None else json.dumps(body.arguments)
    decision = Decision(approve, body.digest, arguments, body.reason)
    call = await edge_of(request).gateway.decide_call(session, room, message, tool_call_id, decision)
    return answers.tool_call(call)


@router.post(
    "/{tool_call_id}/result",
    response_model=ToolCallResponse,
    responses=refusals(RoomNotFound, MessageNotFound, AlreadyDecided, DigestMismatch, *WITH_BODY),
    summary="Post a result",
)
async def post_tool_result(
    request: Request, room_id: str, message_id: str, tool_call_id: str, body: ToolCallResultRequest
) -> Response:
    """Takes the result of a call that you have executed: one whose part has `client`. The same result again is
    harmless."""
    session, room, message = caller_of(request).session, room_id_of(room_id), message_id_of(message_id)
    posted = PostedResult(body.digest, ToolResult(body.content, body.is_error))
    call = await edge_of(request).gateway.post_result(session, room, message, tool_call_id, posted)
    return answers.tool_call(call)


def _each_name_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidRequest("The decision has a name twice in one object")
    return found
