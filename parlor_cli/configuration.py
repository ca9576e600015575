"""The settings as the commands read them, hand them on and print them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from pydantic import ValidationError

from parlor.settings import Settings
from parlor.settings.loading import Configuration, ConfigurationError, Key
from parlor_cli.refusal import Refusal

Value: TypeAlias = str | int | float | bool | list[str] | None
Overrides: TypeAlias = dict[str, dict[str, Value]]
"""section -> field -> value, as in a settings file."""


def read(overrides: Overrides | None = None, names: Mapping[Key, str] | None = None) -> Configuration:
    """The settings and their places; ``overrides`` take precedence over every other source, ``names`` are those of the
    options that gave them. Raises ``Refusal`` with everything that is wrong."""
    try:
        return Configuration(overrides or {}, names)
    except ConfigurationError as error:
        raise Refusal(str(error)) from error


def load(overrides: Overrides | None = None) -> Settings:
    """The settings; ``overrides`` take precedence over every other source. Raises ``Refusal`` for invalid ones."""
    return read(overrides).settings


def merge(first: Overrides, second: Overrides) -> Overrides:
    """Both, merged field by field; ``second`` takes precedence."""
    return {section: {**first.get(section, {}), **second.get(section, {})} for section in [*first, *second]}


def restore(settings_json: str) -> Settings:
    """The settings that ``Settings.dump_secrets`` wrote, whatever the environment says now. Raises ``Refusal``."""
    try:
        return Settings.model_validate_json(settings_json)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, found["loc"])) for found in error.errors()}))
        raise Refusal(f"the running installation has settings that this version cannot read: {fields}") from None


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
