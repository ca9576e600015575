"""Personas: read from ``personas.toml`` and checked before anything starts.

The file is a list of ``[[personas]]`` tables with the fields of ``Entry``. The file that Parlor ships explains them.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec

from parlor.llm.ports import Persona, UnknownPersona
from parlor.llm.tools import ToolError, read_tool
from parlor.model.tools import DeclaredTool, McpServer
from parlor.settings import LlmSettings
from parlor.settings.files import read_text
from parlor.settings.names import nearest

_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]
_Line = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_MAX_TOKENS = 10_000_000
"""More than any model writes; a larger number is a slip of the pen."""
_Price = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
_SHOWN_MAX = 80
"""Characters of a value that an error shows."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[personas]]`` table."""

    name: _Name
    title: _Line
    system_prompt: Annotated[str, msgspec.Meta(min_length=1)]
    model: _Line
    description: Annotated[str, msgspec.Meta(max_length=200)] = ""
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=_MAX_TOKENS)] | None = None
    think_tags: bool = True
    send_reasoning: bool = False
    input_price: _Price = 0.0
    output_price: _Price = 0.0
    max_steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    tools: list[dict[str, Any]] = []


class PersonasError(ValueError):
    """The personas cannot be used; the message names the file, the entry, the field and its value."""


class UnknownDefault(PersonasError):
    """The setting `PARLOR_LLM__DEFAULT_PERSONA` names a persona that is not in the file."""


class Personas:
    """The personas by name."""

    def __init__(self, listed: Sequence[Persona]) -> None:
        self._by_name = {persona.name: persona for persona in listed}

    def listed(self) -> list[Persona]:
        """Returns all personas, in the order of their file."""
        return list(self._by_name.values())

    def named(self, name: str) -> Persona:
        """Returns the persona with this name. Raises ``UnknownPersona``."""
        found = self._by_name.get(name)
        if found is None:
            known = ", ".join(self._by_name)
            problem = {"loc": ["body", "ai_persona"], "msg": f"not a persona; there are {known}", "type": "persona"}
            raise UnknownPersona(extra={"errors": [problem]})
        return found


def load_personas(settings: LlmSettings) -> list[Persona]:
    """Returns the personas in the order of the file; the default one is always among them.

    ``settings.model`` replaces every entry's model. Raises ``PersonasError``.
    """
    source, text = _read(settings.personas_file)
    personas = parse_personas(text, source)
    if settings.model:
        personas = [msgspec.structs.replace(persona, model=settings.model) for persona in personas]
    names = [persona.name for persona in personas]
    if settings.default_persona not in names:
        raise UnknownDefault(
            f"{source} has no such persona, it has {', '.join(names)}{nearest(settings.default_persona, names)}"
        )
    return personas


def parse_personas(text: str, source: str) -> list[Persona]:
    """Parses a ``personas.toml``. ``source`` names the file in errors. Raises ``PersonasError``."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PersonasError(f"{source}: not valid TOML: {error}") from error
    unknown = sorted(set(tables) - {"personas"})
    entries = tables.get("personas")
    if unknown or not isinstance(entries, list) or not entries:
        found = f", but has {', '.join(unknown)}" if unknown else ""
        raise PersonasError(f"{source}: needs one or more [[personas]] tables and nothing else{found}")
    personas = [_persona(entry, f"{source}: entry {number}") for number, entry in enumerate(entries, start=1)]
    names: set[str] = set()
    for number, persona in enumerate(personas, start=1):
        if persona.name in names:
            raise PersonasError(f"{source}: entry {number}: field 'name': {persona.name!r} is already used")
        names.add(persona.name)
    return personas


def _persona(table: object, where: str) -> Persona:
    if not isinstance(table, dict):
        raise PersonasError(f"{where} is {_shown(table)}, not a table [[personas]]")
    if isinstance(table.get("name"), str):
        where = f"{where} ({table['name']})"
    try:
        entry = msgspec.convert(table, Entry)
    except msgspec.ValidationError as error:
        raise PersonasError(f"{where}: {_problem(str(error), table)}") from error
    for field in ("name", "title", "description", "model"):
        text: str = getattr(entry, field)
        if text != text.strip() or not text.isprintable():
            what = "has blanks around it, or characters that cannot be seen"
            raise PersonasError(f"{where}: field '{field}' is {_shown(text)}: it {what}")
    if not entry.system_prompt.strip():
        raise PersonasError(f"{where}: field 'system_prompt': is blank")
    for field in ("temperature", "input_price", "output_price"):
        if (number := getattr(entry, field)) is not None and math.isnan(number):
            raise PersonasError(f"{where}: field '{field}' is nan: it has to be a number")
    declared = _declared(entry.tools, where)
    return Persona(
        name=entry.name,
        title=entry.title,
        description=entry.description,
        system_prompt=entry.system_prompt.strip(),
        model=entry.model,
        temperature=entry.temperature,
        max_tokens=entry.max_tokens,
        think_tags=entry.think_tags,
        send_reasoning=entry.send_reasoning,
        input_price=entry.input_price,
        output_price=entry.output_price,
        max_steps=entry.max_steps,
        tools=tuple(tool for tool in declared if not isinstance(tool, McpServer)),
        servers=tuple(tool for tool in declared if isinstance(tool, McpServer)),
    )


def _declared(tables: list[dict[str, Any]], where: str) -> list[DeclaredTool | McpServer]:
    tools: list[DeclaredTool | McpServer] = []
    for number, table in enumerate(tables, start=1):
        try:
            tool = read_tool(table, os.environ)
        except ToolError as error:
            raise PersonasError(f"{where}: tool {number}: {error}") from error
        if any(tool.name == other.name for other in tools):
            raise PersonasError(f"{where}: tool {number}: field 'name': {tool.name!r} is already used")
        tools.append(tool)
    return tools


def _problem(message: str, table: Mapping[str, object]) -> str:
    """What msgspec says ("Expected `int`, got `str` - at `$.max_tokens`"), with the field and its value first."""
    problem, _, path = message.partition(" - at `$.")
    if problem.startswith("Object contains unknown field `"):
        name = problem.split("`")[1]
        return f"field '{name}': there is no such field{nearest(name, Entry.__struct_fields__)}"
    if problem.startswith("Object missing required field `"):
        return f"field '{problem.split('`')[1]}' is missing"
    field = path.rstrip("`")
    return f"field '{field}' is {_shown(table.get(field))}: {problem}" if field else problem


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_MAX else f"{shown[:_SHOWN_MAX]}..."


def _read(personas_file: str) -> tuple[str, str]:
    if not personas_file:
        shipped = resources.files("parlor.llm") / "personas.toml"
        return "personas.toml (shipped)", shipped.read_text(encoding="utf-8")
    try:
        return personas_file, read_text(Path(personas_file).expanduser())
    except OSError as error:
        raise PersonasError(f"{personas_file}: it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PersonasError(f"{personas_file}: it cannot be read: {error}") from error
