"""The names of settings, as variables and as keys of `parlor.toml`, and the nearest one to a name that is none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from pydantic import BaseModel

from parlor.settings import Settings

SECTIONS: dict[str, type[BaseModel]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
_OTHERS = re.compile(
    # The command's own, those of a running installation, of clients (examples/), of compose.yaml, of the tests.
    r"PARLOR_(DATA_DIR|OPENAI_API_KEY|RUNTIME_DIR|URL|TOKEN|IMAGE|BIND|TEST_\w+"
    # What Kubernetes sets for services that are called parlor, or parlor-something.
    r"|(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?))"
)
"""Variables with our prefix that are not settings."""
_SERVICE = re.compile(r"(tcp|udp|sctp)://")
"""How Kubernetes' ``PARLOR_PORT`` begins."""


def variable(section: str, field: str) -> str:
    return f"PARLOR_{section}__{field}".upper()


VARIABLES = {
    variable(section, field): (section, field) for section in SECTIONS for field in SECTIONS[section].model_fields
}


def unknown_variable(name: str, value: str) -> str | None:
    """What is wrong with the name of a variable; None when it is a setting, or not meant to be one."""
    upper = name.upper()
    if not upper.startswith("PARLOR_") or upper in VARIABLES or _OTHERS.fullmatch(upper) or _SERVICE.match(value):
        return None
    return "there is no such setting" + nearest(upper, [*VARIABLES, "PARLOR_DATA_DIR"])


def unknown_section(name: str) -> str | None:
    """What is wrong with the name of a table, or of a key outside of the tables; None when it is a section."""
    if name in SECTIONS:
        return None
    sections = [section for section, kind in SECTIONS.items() if name in kind.model_fields]
    if sections:
        return f"it belongs into a section: {' or '.join(f'[{section}]' for section in sections)}"
    return "there is no such section" + nearest(name, SECTIONS)


def unknown_key(section: str, key: str) -> str | None:
    """What is wrong with the name of a key in a section; None when it is a setting."""
    if key in SECTIONS[section].model_fields:
        return None
    elsewhere = [other for other, kind in SECTIONS.items() if key in kind.model_fields]
    if elsewhere:
        return f"there is no such setting in [{section}]; there is one in {' and '.join(f'[{s}]' for s in elsewhere)}"
    return f"there is no such setting in [{section}]" + nearest(key, SECTIONS[section].model_fields)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that is none; empty when no known one is like it."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]}?" if found else ""
