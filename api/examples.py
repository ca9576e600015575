"""Examples for the OpenAPI document: of bodies, parameters, answers and errors.

What nobody wrote an example for is put together from its schema, with ``VALUES`` by the names of the members.
"""

from __future__ import annotations

from typing import Any

from parlor.errors import ParlorError

Schema = dict[str, Any]

ROOM_ID = "0199d2a4-8f00-8abc-9def-000000000001"
MESSAGE_ID = "0199d2a4-8f10-8abc-9def-000000000002"
_TIME = "2026-11-23T10:00:00.000Z"
_QUESTION = "Which tea is good in the evening?"
_ANSWER = "Rooibos: it has no caffeine."
_ASKED = [{"role": "user", "content": _QUESTION}]

BODIES: dict[str, Any] = {
    "send_message": {"content": _QUESTION},
    "edit_message": {"content": "Which tea is good in the morning?"},
    "create_room": {"title": "Tea"},
    "update_room": {"title": "Tea and coffee"},
    "create_event_ticket": {"path": f"/v1/rooms/{ROOM_ID}/events"},
    "stop_reply": {"attempt": 1},
    "regenerate_reply": {},
    "continue_reply": {},
    "sign_in": {"code": "17-0123456789abcdef0123456789abcdef"},
    "create_key": {"name": "reports", "scopes": ["read"]},
    "update_account": {"disabled": False},
    "create_chat_completion": {"model": "GPT4O", "messages": _ASKED},
    "create_response": {"model": "GPT4O", "input": _QUESTION},
    "create_conversation": {"metadata": {"title": "Tea"}},
    "update_conversation": {"metadata": {"title": "Tea and coffee"}},
    "create_items": {"items": _ASKED},
    "create_message": {"model": "GPT4O", "max_tokens": 1024, "messages": _ASKED},
    "count_message_tokens": {"model": "GPT4O", "messages": _ASKED},
    "create_chat": {"model": "GPT4O", "messages": _ASKED, "stream": False},
    "send_chat": {
        "id": "tea",
        "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": _QUESTION}]}],
        "trigger": "submit-message",
    },
}
"""By the name of the operation."""

PARAMETERS: dict[str, Any] = {
    "room_id": ROOM_ID,
    "message_id": MESSAGE_ID,
    "file_id": "0199d2a4-8f20-8abc-9def-000000000003",
    "key_id": "0199d2a4-8f30-8abc-9def-000000000004",
    "account_id": "ada",
    "dead_letter_id": "0199d2a4-8f40-8abc-9def-000000000005",
    "model": "GPT4O",
    "response_id": f"resp_{MESSAGE_ID}",
    "conversation_id": f"conv_{ROOM_ID}",
    "item_id": f"msg_{MESSAGE_ID}",
    "id": "tea",
    "q": "tea",
}
"""What stands in paths and queries."""

VALUES: dict[str, Any] = {
    **PARAMETERS,
    "parent_message_id": None,
    "title": "Tea",
    "ai_persona": "GPT4O",
    "external_id": None,
    "content": _ANSWER,
    "text": _ANSWER,
    "cursor": "1763892000000-0",
    "events_cursor": "1763892000000-0",
    "next_cursor": None,
    "next_before": None,
    "state": "ACTIVE",
    "seq": 2,
    "message_count": 2,
    "persisted_seq": 2,
    "attempt": 1,
    "metadata": {},
    "parts": [{"type": "text", "text": _ANSWER}],
    "error": None,
    "usage": {"input_tokens": 12, "output_tokens": 8},
    "finish_reason": "stop",
    "is_streaming": False,
    "sender_type": "AI",
    "summary": "They talk about tea.",
    "ticket": "0123456789abcdef0123456789abcdef",
    "name": "GPT4O",
    "description": "A helpful assistant",
    "media_type": "image/png",
    "size": 4096,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a0",
    "snippet": _QUESTION,
    "highlights": [[6, 9]],
    "tz": "UTC",
    "from": "2026-11-01",
    "to": "2026-11-23",
    "by": "room",
    "key": "parlor_17_0123456789abcdef0123456789abcdef",
    "prefix": "parlor_17_0123",
    "scopes": ["read", "write"],
    "way": "token",
    "subject": "ada",
    "action": "signed_in",
    "actor": "ada",
    "detail": "ok",
    "kind": "room",
    "op": "append_turn",
    "message": "The model is not known",
    "request_id": "0123456789abcdef0123456789abcdef",
    "code": "model_not_found",
    "trouble": "",
    "services": {"redis": "ok"},
    "digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a0",
    "result": "replayed",
    "limits": {"tokens_per_day": 100000},
    "details": {},
    "reason": "The database refused it",
    "partition": 0,
    "receipt_id": "0199d2a4-8f50-8abc-9def-000000000006",
    "entry_id": 1,
    "version": "1",
    "through_seq": 0,
    "owned_by": "parlor",
    "param": None,
    "created": 1763892000,
    "created_at": _TIME,
    "type": "text",
    "role": "assistant",
    "refusal": None,
    "stop_sequence": None,
    "modified_at": _TIME,
    "duration_ms": 1200,
    "status": "completed",
}
"""By the name of a member, wherever it stands and its schema does not say more."""

_BY_FORMAT = {"date-time": _TIME, "date": "2026-11-23"}


def body_example(operation: str, schema: Schema, components: dict[str, Schema]) -> Any:
    """A body for the operation: one that was written for it, else what it cannot do without."""
    if operation in BODIES:
        return BODIES[operation]
    found = schema.get("anyOf", [schema])[0]
    if "$ref" in found:
        found = components[found["$ref"].rpartition("/")[2]]
    members = found.get("properties", {})
    return {name: example_of(members[name], components, name) for name in found.get("required", ())}


def example_of(schema: Schema, components: dict[str, Schema], name: str = "") -> Any:
    """An example of the schema, for a member called ``name``."""
    if "$ref" in schema:
        return example_of(components[schema["$ref"].rpartition("/")[2]], components, name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return VALUES[name] if VALUES.get(name) in schema["enum"] else schema["enum"][0]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _of_several(schema[several], components, name)
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        return {key: example_of(found, components, key) for key, found in schema["properties"].items()}
    if name in VALUES and _is(VALUES[name], kind):
        return VALUES[name]
    if kind == "array":
        return [example_of(schema["items"], components, name.removesuffix("s"))] if "items" in schema else []
    return _simple(schema, name)


def _simple(schema: Schema, name: str) -> Any:
    match schema.get("type"):
        case "object":
            return {}
        case "boolean":
            return True
        case "integer" | "number":
            return schema.get("minimum", 0)
    return _BY_FORMAT.get(schema.get("format", ""), name)


def _of_several(schemas: list[Schema], components: dict[str, Schema], name: str) -> Any:
    """The example of the first of them; null where ``VALUES`` says so."""
    if name in VALUES and VALUES[name] is None and {"type": "null"} in schemas:
        return None
    return example_of(schemas[0], components, name)


def _is(value: object, kind: str | None) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer" | "number":
            return isinstance(value, int) and not isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "boolean":
            return isinstance(value, bool)
    return False


def error_example(error: type[ParlorError], extra: dict[str, Any]) -> Any:
    """The problem that a client sees of this class."""
    form: dict[str, Any] = {
        "type": f"/docs/errors#{error.code}",
        "title": error.title,
        "status": error.http_status,
        "detail": error.title,
        "instance": f"/v1/rooms/{ROOM_ID}",
        "errorCode": error.error_code,
        "code": error.code,
        "request_id": "0123456789abcdef0123456789abcdef",
        **extra,
    }
    if error.retryable:
        form["retry_after_seconds"] = 1
    return form
