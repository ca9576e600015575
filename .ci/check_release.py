#!/usr/bin/env python3
"""Whether a tag may be released: it, the package's version and a dated section of the changelog agree.

    python .ci/check_release.py v1.2.3

Exit code 0, or 1 with what disagrees on standard error. Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def disagreements(tag: str, root: Path) -> list[str]:
    """What has to be put right before ``tag`` is released from the tree at ``root``."""
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = []
    if not re.fullmatch(r"v\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?", tag):
        found.append(f"{tag} is not a release's tag: v1.2.3 or v1.2.3rc1")
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, but pyproject.toml has version {version}")
    section = re.search(rf"^## \[{re.escape(version)}\] - (.+)$", changelog, re.MULTILINE)
    if section is None:
        found.append(f"CHANGELOG.md has no section [{version}]")
    elif not re.fullmatch(r"\d{4}-\d\d-\d\d", section[1]):
        found.append(f"CHANGELOG.md gives {version} no date: {section[1]}")
    return found


def main(arguments: list[str]) -> int:
    """The program; returns its exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    found = disagreements(arguments[0], Path(__file__).parents[1])
    for line in found:
        print(f"check_release: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
