"""compose.yaml as Docker Compose reads it: with its variables put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[1] / "compose.yaml"
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::([-?])([^}]*))?\})")


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """``${A}``, ``${A:-default}``, ``${A:?what is wrong}`` and ``$$``. Raises ``ValueError``."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if name is None:
            return "$"
        if variables.get(name):
            return variables[name]
        if kind == "?":
            raise ValueError(f"{name} {rest}")
        return rest or ""

    return _VARIABLE.sub(value, text)


def services(variables: Mapping[str, str]) -> dict[str, Any]:
    """Each service by its name."""
    found: dict[str, Any] = load(variables)["services"]
    return found


def load(variables: Mapping[str, str]) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    found = _filled(loaded, variables)
    assert isinstance(found, dict)
    return found


def _filled(node: object, variables: Mapping[str, str]) -> object:
    match node:
        case dict():
            return {name: _filled(below, variables) for name, below in node.items()}
        case list():
            return [_filled(below, variables) for below in node]
        case str():
            return substituted(node, variables)
        case _:
            return node
