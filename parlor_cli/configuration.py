"""Loads the settings (command line, environment, `.env`, `parlor.toml`, defaults, in this order) and prints them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from pydantic import ValidationError
from pydantic_settings import SettingsError

from parlor.settings import Settings
from parlor_cli.refusal import Refusal

Value: TypeAlias = str | int | float | bool | list[str] | None
Overrides: TypeAlias = dict[str, dict[str, Value]]
"""section -> field -> value, as in a settings file."""


def load(overrides: Mapping[str, Mapping[str, Value]] | None = None) -> Settings:
    """The settings; ``overrides`` take precedence over every other source. Raises ``Refusal`` for invalid ones."""
    return _build({section: dict(fields) for section, fields in (overrides or {}).items() if fields})


def _build(given: dict[str, object]) -> Settings:
    try:
        return Settings(**given)  # type: ignore[arg-type] # pydantic reads mappings as sections
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in found['loc'])}: {found['msg']}"
            for found in error.errors(include_input=False, include_url=False)
        ]
        raise Refusal("the settings are not valid:\n" + "\n".join(lines)) from None
    except (SettingsError, ValueError) as error:
        raise Refusal(f"the settings cannot be read: {error}") from error


def merge(first: Overrides, second: Overrides) -> Overrides:
    """Both, merged field by field; ``second`` takes precedence."""
    return {section: {**first.get(section, {}), **second.get(section, {})} for section in [*first, *second]}


def restore(settings_json: str) -> Settings:
    """The settings that ``Settings.dump_secrets`` wrote, whatever the environment says now. Raises ``Refusal``."""
    return _build(json.loads(settings_json))


def to_toml(settings: Settings) -> str:
    """The settings as TOML, secrets masked."""
    lines: list[str] = []
    for section, fields in settings.model_dump(mode="json").items():
        if not isinstance(fields, dict):
            continue
        lines.append(f"[{section}]")
        lines.extend(f"{name} = {_toml(value)}" for name, value in fields.items() if value is not None)
        lines.append("")
    if settings.openai_api_key.get_secret_value():
        lines.append("# OPENAI_API_KEY is set in the environment")
    return "\n".join(lines)


def _toml(value: Value) -> str:
    # JSON's strings, numbers, booleans and lists of strings are TOML's too.
    return json.dumps(value, ensure_ascii=False)
