"""The page's files: what is vendored is what its authors published, and nothing needs a laxer policy."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import httpx2
import pytest

import api

pytestmark = pytest.mark.unit

WEB = Path(api.__path__[0]) / "web"
VENDOR = WEB / "assets" / "vendor"
OWN = sorted(
    path
    for path in WEB.rglob("*")
    if path.suffix in {".html", ".js", ".css", ".svg"} and "vendor" not in path.relative_to(WEB).parts
)


def test_vendored_files_have_their_recorded_digests() -> None:
    lines = (line.split("  ") for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    recorded = {name: digest for digest, name in lines}
    present = {str(path.relative_to(VENDOR)) for path in VENDOR.glob("*/*")}
    assert set(recorded) == present
    for name, digest in recorded.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


def test_every_vendored_library_comes_with_its_licence() -> None:
    for library in (path for path in VENDOR.iterdir() if path.is_dir()):
        assert (library / "LICENSE").is_file(), library.name


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_nothing_is_inline_or_remote(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", text)
    assert not re.search(r"@import|url\((?!#)", text) or path.suffix != ".css"
    if path.suffix == ".html":
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)
        assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    if path.suffix == ".js":
        assert not re.search(r"\.(?:inner|outer)HTML\b|insertAdjacentHTML|document\.write|\beval\(|new Function", text)


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r'(?:src|href)="(assets/[^"]+)"', (WEB / "index.html").read_text(encoding="utf-8"))
    assert named
    for name in named:
        assert (WEB / name).is_file(), name


def test_every_module_that_is_imported_is_there() -> None:
    for module in (WEB / "assets" / "js").glob("*.js"):
        for name in re.findall(r'from "(\.[^"]+)"', module.read_text(encoding="utf-8")):
            assert (module.parent / name).is_file(), f"{module.name} imports {name}"


@pytest.mark.parametrize("path", ["/", "/assets/js/app.js"])
async def test_the_page_lets_nobody_else_in(client: httpx2.AsyncClient, path: str) -> None:
    found = (await client.get(path)).headers
    policy = found["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert found["cross-origin-opener-policy"] == "same-origin"
    assert (found["x-content-type-options"], found["referrer-policy"]) == ("nosniff", "no-referrer")
