"""`make site`: Sphinx finds every page in the menu and every link's target, headings among them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]


def build(source: Path, to: Path) -> subprocess.CompletedProcess[str]:
    """Reads all pages and resolves their links, without writing them as HTML."""
    words = ["-q", "-W", "--keep-going", "-b", "dummy", "-c", str(source / "docs/site"), str(source), str(to)]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *words], capture_output=True, text=True, timeout=300, check=False
    )


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    built = build(ROOT, tmp_path)
    assert (built.returncode, built.stderr) == (0, "")
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    read = {
        path.relative_to(tmp_path / ".doctrees").with_suffix(".md").as_posix() for path in tmp_path.rglob("*.doctree")
    }
    assert pages | {"README.md", "ARCHITECTURE.md", "SECURITY.md"} <= read


def test_a_link_to_what_is_not_there_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "docs/site").mkdir(parents=True)
    (source / "docs/adr").mkdir()
    (source / "docs/site/conf.py").write_bytes((ROOT / "docs/site/conf.py").read_bytes())
    (source / "docs/adr/0001-first.md").write_text("# 0001 First\n")
    (source / "docs/README.md").write_text("# Docs\n\n[one](adr/0001-first.md#second) [two](NOWHERE.md)\n")
    built = build(source, tmp_path / "built")
    assert built.returncode != 0
    assert re.search(r"second", built.stderr)
    assert re.search(r"NOWHERE", built.stderr)
