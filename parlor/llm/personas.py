"""Personas: read from ``personas.toml`` and checked before anything starts.

The file is a list of ``[[personas]]`` tables with the fields of ``Entry``. The file that Parlor ships explains them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from parlor.llm.ports import Persona, UnknownPersona
from parlor.settings import LlmSettings

_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]
_Line = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[personas]]`` table."""

    name: _Name
    title: _Line
    system_prompt: Annotated[str, msgspec.Meta(min_length=1)]
    model: _Line
    description: Annotated[str, msgspec.Meta(max_length=200)] = ""
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None


class PersonasError(ValueError):
    """The personas cannot be used; the message names the file, the entry and the field."""


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
    if settings.default_persona not in {persona.name for persona in personas}:
        raise PersonasError(f"{source}: the default persona {settings.default_persona!r} is not in it")
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
    if isinstance(table, dict) and isinstance(table.get("name"), str):
        where = f"{where} ({table['name']})"
    try:
        entry = msgspec.convert(table, Entry)
    except msgspec.ValidationError as error:
        # msgspec says "Expected `int`, got `str` - at `$.max_tokens`"; put the field first.
        problem, _, path = str(error).partition(" - at `$.")
        field = f"field '{path.rstrip('`')}': " if path else ""
        raise PersonasError(f"{where}: {field}{problem}") from error
    if not entry.system_prompt.strip():
        raise PersonasError(f"{where}: field 'system_prompt': is blank")
    return Persona(
        name=entry.name,
        title=entry.title,
        description=entry.description,
        system_prompt=entry.system_prompt.strip(),
        model=entry.model,
        temperature=entry.temperature,
        max_tokens=entry.max_tokens,
    )


def _read(personas_file: str) -> tuple[str, str]:
    if not personas_file:
        shipped = resources.files("parlor.llm") / "personas.toml"
        return "personas.toml (shipped)", shipped.read_text(encoding="utf-8")
    try:
        return personas_file, Path(personas_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PersonasError(f"{personas_file}: cannot be read: {error}") from error
