"""Requests and responses about calls of tools."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from api.fields import ListCursor, _Answer, _Body, _Query, _storable
from api.part_schemas import ChatToolCallPart
from parlor.model.messages import JsonObject
from parlor.tools.results import RESULT_MAX

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""Of the call as it was seen: `digest` of its part."""


class ToolCallDecisionRequest(_Body):
    decision: Literal["approve", "deny"]
    digest: Digest
    arguments: JsonObject | None = None
    """Other arguments, with an approval, if the part is `editable`."""
    reason: Annotated[str, Field(max_length=2000), AfterValidator(_storable)] = ""
    """Told to the model with a denial."""


class ToolCallResultRequest(_Body):
    digest: Digest
    content: Annotated[str, Field(max_length=RESULT_MAX), AfterValidator(_storable)]
    is_error: bool = False


class ToolCallResponse(ChatToolCallPart, _Answer):
    """The call."""


class ToolCallListResponse(_Answer):
    tool_calls: list[ChatToolCallPart]
    """In the order of the message's parts."""


class ApprovalListRequest(_Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: ListCursor | None = None
    """`next_cursor` of the page before."""


class ChatApproval(_Body):
    """A call that waits for a decision."""

    room_id: str
    message_id: str
    part: ChatToolCallPart


class ApprovalListResponse(_Answer):
    approvals: list[ChatApproval]
    """Those of older replies first."""
    next_cursor: str | None
