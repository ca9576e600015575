"""Makes ``clients/js/src/openapi.d.ts`` from the OpenAPI document: ``python -m tests.typescript``.

It has the schemas that ``index.d.ts`` names, the events, and what these are made of. A test says when the file is
stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi.openapi.utils import get_openapi

from api.app import build_app
from api.event_documents import event_components
from parlor.gateway import Gateway
from parlor.settings import Settings

SOURCES = Path(__file__).parents[1] / "clients" / "js" / "src"
TARGET = SOURCES / "openapi.d.ts"
HEAD = "// Made from the OpenAPI document by `python -m tests.typescript`; do not change it by hand.\n"
Schema = dict[str, Any]
_REFERENCE = re.compile(r"#/components/schemas/(\w+)")


def declarations() -> str:
    """The file's text."""
    known = _schemas()
    named = re.findall(r'Schemas\["(\w+)"\]', (SOURCES / "index.d.ts").read_text(encoding="utf-8"))
    wanted = _reached([*named, *event_components()], known)
    members = "".join(f"{_comment(known[name], 4)}    {name}: {_type(known[name], 4)};\n" for name in sorted(wanted))
    return f"{HEAD}\nexport interface components {{\n  schemas: {{\n{members}  }};\n}}\n"


def _schemas() -> dict[str, Schema]:
    async def no_gateway() -> Gateway:
        raise RuntimeError("nothing is asked for")

    app = build_app(Settings.model_validate({"auth": {"secret": "only for a document" * 2}}), no_gateway)
    described = get_openapi(title=app.title, version=app.version, routes=app.routes)
    found: dict[str, Schema] = {**described["components"]["schemas"], **event_components()}
    return found


def _reached(names: Iterable[str], known: dict[str, Schema]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _REFERENCE.findall(json.dumps(known[name]))
    return found


def _type(schema: Schema, depth: int) -> str:
    if "$ref" in schema:
        return 'components["schemas"]["%s"]' % _REFERENCE.findall(schema["$ref"])[0]  # noqa: UP031 - braces and quotes
    for word, sign in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if word in schema:
            return sign.join(_type(each, depth) for each in schema[word])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    return _plain(schema, depth)


def _plain(schema: Schema, depth: int) -> str:
    match schema.get("type"):
        case "string":
            return "string"
        case "integer" | "number":
            return "number"
        case "boolean" | "null" as kind:
            return str(kind)
        case "array" if "prefixItems" in schema:
            return f"[{', '.join(_type(each, depth) for each in schema['prefixItems'])}]"
        case "array":
            return f"({_type(schema.get('items', {}), depth)})[]"
        case "object" if schema.get("properties"):
            return _object(schema, depth)
        case "object":
            return "Record<string, unknown>"
        case _:
            return "unknown"


def _object(schema: Schema, depth: int) -> str:
    inner, required = " " * (depth + 2), set(schema.get("required", ()))
    members = ""
    for name, member in schema["properties"].items():
        mark = "" if name in required else "?"
        members += f"{_comment(member, depth + 2)}{inner}{_name(name)}{mark}: {_type(member, depth + 2)};\n"
    return f"{{\n{members}{' ' * depth}}}"


def _name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name)


def _comment(schema: Schema, depth: int) -> str:
    text = " ".join(schema.get("description", "").split()).replace("*/", "* /")
    return f"{' ' * depth}/** {text} */\n" if text else ""


def main() -> None:
    TARGET.write_text(declarations(), encoding="utf-8")


if __name__ == "__main__":
    main()
