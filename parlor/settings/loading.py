"""Reading the settings, and saying what is wrong with them: which variable or file, which key, and which value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import NamedTuple, TypeAlias

from dotenv.parser import parse_stream
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from parlor.settings import Settings
from parlor.settings.files import read_text, read_toml
from parlor.settings.names import SECTIONS, VARIABLES, unknown_key, unknown_section, unknown_variable, variable
from parlor.settings.urls import without_password

Given: TypeAlias = Mapping[str, Mapping[str, object]]
"""section -> field -> value"""
Key: TypeAlias = tuple[str, str]
"""Section and field; a field of "" is the section itself, or the one setting that is in none."""
_OPENAI: Key = ("OPENAI_API_KEY", "")
_SHOWN_MAX = 100
"""Characters of a value that are shown."""


class ConfigurationError(ValueError):
    """``problems`` says what is wrong, each with its place and, unless it is a secret, its value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the configuration is not valid:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = problems


class _Origin(NamedTuple):
    place: str
    value: object


class Configuration:
    """The settings, and where each of them was given."""

    def __init__(self, overrides: Given, names: Mapping[Key, str] | None = None) -> None:
        """``overrides`` take precedence over the environment, `.env` and `parlor.toml`; ``names`` are those of the
        command-line options that gave them. Raises ``ConfigurationError``."""
        self._origins: dict[Key, _Origin] = {}
        self._problems: list[str] = []
        """Of names. A name that is not known is reported once, here."""
        self._read_toml(Path("parlor.toml").absolute())
        self._read_dotenv(Path(".env").absolute())
        for name, value in os.environ.items():
            self._read_variable(name, value, "the environment")
        for section, fields in overrides.items():
            self._read_overrides(section, fields, names or {})
        self.settings = self._build(overrides)

    def problem(self, section: str, field: str, what: str) -> str:
        """A line about a setting: its place, its value, and what is wrong with it."""
        default = _Origin(f"{variable(section, field)} (default)", getattr(getattr(self.settings, section), field))
        origin = self._origins.get((section, field), default)
        return _line(origin.place, (section, field), origin.value, what)

    def _build(self, overrides: Given) -> Settings:
        given = {section: dict(fields) for section, fields in overrides.items() if fields}
        try:
            settings = Settings(**given)  # type: ignore[arg-type] # pydantic reads mappings as sections
        except ValidationError as error:
            found = [self._explained(details) for details in error.errors(include_url=False)]
            raise ConfigurationError(self._problems + [line for line in found if line]) from None
        if self._problems:
            raise ConfigurationError(self._problems)
        return settings

    def _explained(self, found: ErrorDetails) -> str | None:
        """None for what is wrong with a name: that was reported when the name was read."""
        if found["type"] == "extra_forbidden":
            return None
        what = found["msg"].removeprefix("Value error, ")
        if not found["loc"]:
            return what  # It is about several sections, and names them itself.
        section, field, *entry = map(str, (*found["loc"], "")[: max(2, len(found["loc"]))])
        origin = self._origins.get((section, field))
        place = origin.place if origin else f"[{section}]"
        if entry:
            place += f", entry {int(entry[0]) + 1}"
        # What a check was given may be a whole section, secrets and all, or what another check made of the text.
        value = origin.value if origin and not entry else found["input"]
        value = "" if isinstance(value, dict | BaseModel) else value
        return _line(place, (section, field), value, what)

    def _read_toml(self, path: Path) -> None:
        if not os.path.lexists(path):
            return  # A folder, or a link to nothing, is what a container mounts where a file is missing: that is said.
        try:
            tables = read_toml(path)
        except (OSError, ValueError) as error:
            raise ConfigurationError([f"{path}: it cannot be read: {error}"]) from error
        for section, table in tables.items():
            name = f"[{section}]" if isinstance(table, dict) else section
            self._origins[section, ""] = _Origin(f"{name} in {path}", table)
            if wrong := unknown_section(section):
                self._problems.append(f"{name} in {path}: {wrong}")
            elif isinstance(table, dict):
                self._read_table(section, table, path)

    def _read_table(self, section: str, table: Mapping[str, object], path: Path) -> None:
        for key, value in table.items():
            place = f"[{section}] {key} in {path}"
            self._origins[section, key] = _Origin(place, value)
            if wrong := unknown_key(section, key):
                self._problems.append(f"{place}: {wrong}")

    def _read_dotenv(self, path: Path) -> None:
        if path.is_dir() or not os.path.lexists(path):
            return  # A folder `.env` is what many call their Python environment.
        try:
            bindings = list(parse_stream(StringIO(read_text(path))))
        except (OSError, ValueError) as error:
            raise ConfigurationError([f"{path}: it cannot be read: {error}"]) from error
        broken = []
        for found in bindings:
            # A binding begins with the blank lines before it.
            text = found.original.string.lstrip()
            where = f"{path}, line {found.original.line + found.original.string[: -len(text) or None].count(chr(10))}"
            if found.error:
                # Without what may be a secret.
                broken.append(
                    f"{where}: {text.partition('=')[0].rstrip()}: this is not NAME=value, or a quote is missing"
                )
            elif found.key is not None:
                self._read_variable(found.key, found.value or "", where)
        if broken:
            raise ConfigurationError(broken)

    def _read_variable(self, name: str, value: str, where: str) -> None:
        place = f"{name} in {where}"
        key = _OPENAI if name.upper() == "OPENAI_API_KEY" else VARIABLES.get(name.upper())
        if key is not None:
            self._origins[key] = _Origin(place, value)
        elif wrong := unknown_variable(name, value):
            self._problems.append(f"{place}: {wrong}")

    def _read_overrides(self, section: str, fields: Mapping[str, object], names: Mapping[Key, str]) -> None:
        if wrong := unknown_section(section):
            self._problems.append(f"{section}: {wrong}")
            return
        for field, value in fields.items():
            place = names.get((section, field), f"{section}.{field}")
            self._origins[section, field] = _Origin(place, value)
            if wrong := unknown_key(section, field):
                self._problems.append(f"{place}: {wrong}")


def _line(place: str, key: Key, value: object, what: str) -> str:
    shown = _shown(key, value)
    return f"{place} is {shown}: {what}" if shown else f"{place}: {what}"


def _shown(key: Key, value: object) -> str:
    """A value as it may be shown; empty when it may not."""
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, (_shown(key, entry) for entry in value)))
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str):
        text = without_password(text)
        if _is_secret(key):
            text = text.partition("?")[0] if "://" in text else ""
    shown = repr(text) if text != "" else ""
    return shown if len(shown) <= _SHOWN_MAX else f"{shown[:_SHOWN_MAX]}..."


def _is_secret(key: Key) -> bool:
    section, field = key
    if section not in SECTIONS:
        return True
    found = SECTIONS[section].model_fields.get(field)
    return found is None or "SecretStr" in str(found.annotation)
