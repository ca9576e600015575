"""``python -m tests.settings_page`` writes docs/CONFIGURATION.md anew: its tables are made of the settings' docstrings.

Everything before the first section is kept as it is in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, SecretStr

from parlor.settings import Settings

PAGE = Path(__file__).parents[1] / "docs/CONFIGURATION.md"


def sections() -> Iterator[tuple[str, BaseModel]]:
    """Each section's name and its defaults, in the order of ``Settings``."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield name, field.default


def shown(default: object) -> str:
    """A default as the page writes it."""
    match default:
        case SecretStr() | "" | ():
            return "empty"
        case timedelta():
            return f"`{default.total_seconds():g} s`"
        case _:
            return f"`{default}`"


def tables() -> str:
    """The page from its first section on."""
    parts: list[str] = []
    for section, defaults in sections():
        parts += [f"## {section}", "", _line(type(defaults).__doc__ or ""), ""]
        parts += ["| setting | default | what |", "|---|---|---|"]
        for name, field in type(defaults).model_fields.items():
            setting = f"PARLOR_{section}__{name}".upper()
            parts.append(f"| `{setting}` | {shown(getattr(defaults, name))} | {_line(field.description or '')} |")
        parts.append("")
    return "\n".join(parts)


def page() -> str:
    """The whole page as it should be."""
    return PAGE.read_text(encoding="utf-8").partition("\n## ")[0] + "\n" + tables()


def _line(docstring: str) -> str:
    """A docstring as one line of Markdown."""
    text = " ".join(docstring.split()).replace("``", "`").replace("|", "\\|")
    return re.sub(r"\bdocs/([A-Z]+\.md)", r"[\1](\1)", text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
