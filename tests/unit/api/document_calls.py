"""Every call of the OpenAPI document, with a request that the schema allows."""

from __future__ import annotations

from string import Formatter
from typing import Any, NamedTuple
from urllib.parse import urlencode

Schema = dict[str, Any]

TOOL_CALL = "/v1/rooms/{room_id}/messages/{message_id}/tool-calls/{tool_call_id}"
DIGEST = "sha256:" + "0" * 64
EXAMPLES: dict[tuple[str, str], Any] = {
    ("PATCH", "/v1/rooms/{room_id}"): {"title": "Another"},
    ("POST", "/v1/events/ticket"): {"path": "/v1/events"},
    ("POST", "/v1/rooms/{room_id}/messages"): {"content": "x"},
    ("PATCH", "/v1/admin/accounts/{account_id}"): {"disabled": False},
    ("POST", f"{TOOL_CALL}/decision"): {"decision": "approve", "digest": DIGEST},
    ("POST", f"{TOOL_CALL}/result"): {"digest": DIGEST, "content": "x"},
    ("POST", "/ai-sdk/chat"): {
        "id": "tea",
        "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "x"}]}],
    },
    ("POST", "/openai/v1/responses"): {"model": "GPT4O", "input": "x"},
    ("POST", "/openai/v1/conversations/{conversation_id}/items"): {"items": [{"role": "user", "content": "x"}]},
    ("POST", "/openai/v1/chat/completions"): {"model": "GPT4O", "messages": [{"role": "user", "content": "x"}]},
    ("POST", "/anthropic/v1/messages"): {
        "model": "GPT4O",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}],
    },
    ("POST", "/anthropic/v1/messages/count_tokens"): {
        "model": "GPT4O",
        "messages": [{"role": "user", "content": "x"}],
    },
    ("POST", "/api/chat"): {"model": "GPT4O", "stream": False, "messages": [{"role": "user", "content": "x"}]},
}
"""Bodies of which the schema says too little."""


class DocumentedCall(NamedTuple):
    method: str
    path: str
    """As in the document, with names in braces."""
    body: Any
    """None: it takes none, or may be left out."""
    takes_file: bool
    """Whether the body is a form with a file."""
    reads: bool
    """Whether it changes nothing, by the document."""
    is_admins: bool
    """Whether it needs the scope `admin`, by the document."""
    query: str
    """The parameters that it cannot do without; with its question mark."""

    @property
    def request(self) -> dict[str, Any]:
        """The body as an argument of httpx2's ``request``."""
        if self.takes_file:
            return {"files": {"file": ("a.txt", b"hello", "text/plain")}}
        return {"json": self.body} if self.body is not None else {}

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def names(self) -> list[str]:
        """What the path has in braces."""
        return [name for _, name, _, _ in Formatter().parse(self.path) if name]

    def at(self, **names: str) -> str:
        return self.path.format(**names) + self.query


def documented_calls(document: Schema) -> list[DocumentedCall]:
    """Those that need a credential."""
    return [
        _call(document, method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation["security"]
    ]


def _call(document: Schema, method: str, path: str, operation: Schema) -> DocumentedCall:
    kinds = operation.get("requestBody", {}).get("content", {})
    content = kinds.get("application/json")
    body = None
    if content is not None:
        body = EXAMPLES.get((method, path)) or _example(document, content["schema"])
    reads = method == "GET" or operation.get("x-parlor-scope") == "read"
    needed = {
        parameter["name"]: _example(document, parameter["schema"])
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" and parameter["required"]
    }
    query = f"?{urlencode(needed)}" if needed else ""
    is_admins = operation.get("x-parlor-scope") == "admin"
    return DocumentedCall(method, path, body, "multipart/form-data" in kinds, reads, is_admins, query)


def _example(document: Schema, schema: Schema) -> Any:
    """The smallest value of a schema."""
    if "$ref" in schema:
        return _example(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return _example(document, schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _example(document, schema["properties"][name]) for name in schema.get("required", [])}
        case "array":
            return [_example(document, schema["items"])] * schema.get("minItems", 0)
        case "string":
            return "x" * max(1, schema.get("minLength", 1))
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
    raise TypeError(f"no example of {schema}")
