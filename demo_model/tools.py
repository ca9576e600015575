"""What the demo model makes of tools that it is offered, and of schemas: pure functions.

Without a directive it does what a model would: it calls the tools whose name or description shares a word with the
question, once, with arguments made from their schemas, and uses the results in its answer. Under
``tool_choice: required`` it always calls one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

Schema: TypeAlias = Mapping[str, Any]

DEPTH_MAX = 8
"""Levels of a schema that are followed; deeper ones are null."""
QUOTED = 200
"""Characters of a question that an argument quotes, and of a result that an answer does."""
_WORD = re.compile(r"[A-Za-z]{3,}|[^\W\d_A-Za-z]{2,}")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "and any are but can did does for from get give has have her him his how its let may not now one our out per "
        "she that the their them then there they this tool use used uses using was were what when where which who why "
        "will with you your please",
    )
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class Function(msgspec.Struct):
    name: str
    description: str = ""
    parameters: dict[str, Any] = {}


class Tool(msgspec.Struct):
    """A tool as it is offered."""

    function: Function
    type: str = "function"


class Call(msgspec.Struct, frozen=True):
    """A call of a tool; ``arguments`` is what is sent, which need not be JSON."""

    name: str
    arguments: str


def chosen(tools: Sequence[Tool], choice: object, question: str, *, begun: bool) -> list[Call]:
    """The calls that a model would make. ``begun``: it has made some for this question already."""
    named = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    if named is not None:
        return [call_of(tool, question) for tool in tools if tool.function.name == named][:1]
    if choice == "none" or not tools:
        return []
    matching = [tool for tool in tools if words_of(question) & words_of(_about(tool))]
    if choice == "required":
        return [call_of(tool, question) for tool in matching or tools[:1]]
    return [] if begun else [call_of(tool, question) for tool in matching]


def call_of(tool: Tool, question: str) -> Call:
    arguments = example(tool.function.parameters or {"type": "object"}, question)
    return Call(tool.function.name, json.dumps(arguments, ensure_ascii=False))


def words_of(text: str) -> set[str]:
    """The words that say what a text is about, in lower case."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text)
    return {word.lower() for word in _WORD.findall(apart)} - _COMMON


def example(schema: object, question: str) -> object:
    """A value that the schema allows, with the question where a text is asked for."""
    return _example(schema, question, schema if isinstance(schema, dict) else {}, DEPTH_MAX)


def _example(schema: object, question: str, root: Schema, depth: int) -> object:
    if not isinstance(schema, dict) or depth == 0:
        return None
    for known in ("const", "default"):
        if known in schema:
            return schema[known]
    if values := schema.get("enum"):
        return next((value for value in values if str(value).lower() in question.lower()), values[0])
    if "$ref" in schema:
        return _example(_referred(str(schema["$ref"]), root), question, root, depth - 1)
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return _example(schema[choice][0], question, root, depth - 1)
    return _of_type(schema, question, root, depth)


def _of_type(schema: Schema, question: str, root: Schema, depth: int) -> object:
    kinds = schema.get("type", "object" if "properties" in schema else None)
    match kinds[0] if isinstance(kinds, list) and kinds else kinds:
        case "string":
            most = min(schema.get("maxLength", QUOTED), QUOTED)
            return question[:most].ljust(schema.get("minLength", 0), "x")
        case "integer":
            return int(_number(schema, question))
        case "number":
            return _number(schema, question)
        case "boolean":
            return True
        case "array":
            return [_example(schema.get("items"), question, root, depth - 1)] * max(1, schema.get("minItems", 0))
        case "object":
            fields: Schema = schema.get("properties", {})
            asked = schema.get("required") or list(fields)
            return {name: _example(fields.get(name), question, root, depth - 1) for name in asked}
    return None


def _referred(reference: str, root: Schema) -> object:
    found: object = root
    for name in reference.removeprefix("#/").split("/"):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _number(schema: Schema, question: str) -> float:
    found = _NUMBER.search(question)
    value = float(found[0]) if found else 1.0
    value = max(value, float(schema.get("minimum", value)))
    return min(value, float(schema.get("maximum", value)))


def _about(tool: Tool) -> str:
    return f"{tool.function.name} {tool.function.description}"
