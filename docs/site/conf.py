# ruff: noqa: INP001 - Sphinx reads this file by its path
"""The documentation as a site: `make site`. Sphinx reads the pages where they are, with the links that they have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
INDEX = "docs/README"
GUIDES = sorted(path.stem for path in (ROOT / "docs").glob("*.md") if path.stem != "README")
DECISIONS = sorted(path.stem for path in (ROOT / "docs/adr").glob("*.md"))
PROGRAMS = ["examples/README", "clients/js/README", "clients/python/README"]

project = "Parlor"
html_title = "Parlor"
html_theme = "furo"
html_static_path: list[str] = []
extensions = ["myst_parser"]
root_doc = INDEX
include_patterns = ["*.md", "docs/*.md", "docs/adr/*.md", "clients/*/README.md", "examples/README.md"]
suppress_warnings = ["misc.highlighting_failure"]
"""Of diagrams, which GitHub draws and the site shows as text."""
myst_heading_anchors = 4
"""Levels of headings that links may name, as GitHub does."""


def setup(app: Sphinx) -> None:
    """The index names every page, for the menu; on GitHub it lists those that one begins with."""
    app.connect("source-read", _read)


def _read(_: Sphinx, page: str, source: list[str]) -> None:
    # GitHub lists the folder; the site has a page for each decision, and the menu.
    source[0] = re.sub(r"\]\(((?:docs/)?adr)\)", rf"](\1/{DECISIONS[0]}.md)", source[0])
    if page != INDEX:
        return
    parts = {
        "Guides": [f"/docs/{name}" for name in GUIDES],
        "The project": [f"/{path.stem}" for path in sorted(ROOT.glob("*.md"))],
        "Programs": [f"/{name}" for name in PROGRAMS],
        "Decisions": [f"/docs/adr/{name}" for name in DECISIONS],
    }
    for caption, pages in parts.items():
        source[0] += "\n```{toctree}\n:hidden:\n:caption: " + caption + "\n\n" + "\n".join(pages) + "\n```\n"
