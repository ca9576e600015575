"""Which code a process runs, and which other code it can work beside: what `parlor upgrade` goes by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

COMPATIBILITY = 1
"""Programs whose numbers are at most one apart understand each other's commands, rows, scripts and actors, in both
directions. It is raised by one with the first change that the release before could not live with; such a change has to
be readable for one number before anything writes it."""

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("parlor", "actors", "api", "sql")
_SUFFIXES = frozenset({".py", ".lua", ".sql"})


class Incompatible(Exception):
    """Two programs are too far apart; the message says what to do."""


def require_compatible(other: int, what: str, own: int = COMPATIBILITY) -> None:
    """``other`` is the number of ``what``. Raises ``Incompatible``."""
    if abs(other - own) <= 1:
        return
    between = "an older one first" if own > other else "the version that is there, or a newer one,"
    raise Incompatible(
        f"{what} has compatibility number {other}, and this version has {own}: they may be one apart. "
        f"Install {between} whose number is at most one from both, or stop everything (`parlor down`) and start anew"
    )


@cache
def program_version() -> str:
    """The package's version and eight hexadecimal digits of its code, as the files are when it is first asked for: two
    states of a checkout have one version. A process asks when it begins, before somebody replaces the files."""
    try:
        released = version("parlor")
    except PackageNotFoundError:
        released = "0"
    return f"{released}+{_fingerprint(_ROOT)}"


def digest(text: str) -> str:
    """Eight hexadecimal digits, by which settings are told apart without being shown."""
    return hashlib.blake2s(text.encode(), digest_size=4).hexdigest()


def _fingerprint(root: Path) -> str:
    found = hashlib.blake2s(digest_size=4)
    for path in _code(root):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _code(root: Path) -> Iterator[Path]:
    for package in _PACKAGES:
        yield from sorted(path for path in (root / package).rglob("*") if path.suffix in _SUFFIXES and path.is_file())
