"""Text files that a person wrote, with whichever editor: a byte order mark at their beginning is no part of them."""

from __future__ import annotations

import tomllib
from pathlib import Path


def read_text(path: Path) -> str:
    """Raises ``OSError``, or ``ValueError`` when it is not UTF-8."""
    return path.read_text(encoding="utf-8-sig")


def read_toml(path: Path) -> dict[str, object]:
    """Raises ``OSError``, or ``ValueError`` that says in which line it is not TOML."""
    return tomllib.loads(read_text(path))
