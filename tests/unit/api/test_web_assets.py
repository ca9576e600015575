"""The page's files: what is vendored is what its authors published, and nothing needs a laxer policy."""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from pathlib import Path

import httpx2
import pytest

import api
from api.web_files import CLIENT, asset_names, asset_path

pytestmark = pytest.mark.unit

WEB = Path(api.__path__[0]) / "web"
VENDOR = WEB / "assets" / "vendor"
OWN = sorted(
    path
    for path in [*WEB.rglob("*"), *CLIENT.glob("*.js")]
    if path.suffix in {".html", ".js", ".css", ".svg"} and "vendor" not in path.parts
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


@pytest.mark.parametrize("page", ["index.html", "admin.html"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    named = re.findall(r'(?:src|href)="(assets/[^"]+)"', (WEB / page).read_text(encoding="utf-8"))
    assert named
    for name in named:
        assert (WEB / name).is_file(), name


def test_every_module_that_is_imported_is_there() -> None:
    for name, path in asset_names().items():
        if path.suffix != ".js" or name.startswith("vendor/"):
            continue
        for imported in re.findall(r'(?:from|import\() ?"(\.[^"]+)"', path.read_text(encoding="utf-8")):
            assert asset_path(posixpath.normpath(f"{posixpath.dirname(name)}/{imported}")), f"{name} imports {imported}"


@pytest.mark.parametrize("path", ["/", "/admin", "/assets/js/app.js"])
async def test_the_page_lets_nobody_else_in(client: httpx2.AsyncClient, path: str) -> None:
    found = (await client.get(path)).headers
    policy = found["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert found["cross-origin-opener-policy"] == "same-origin"
    assert (found["x-content-type-options"], found["referrer-policy"]) == ("nosniff", "no-referrer")


async def test_what_the_page_loads_stays_in_the_browser_until_it_changes(client: httpx2.AsyncClient) -> None:
    page = await client.get("/")
    names = set(re.findall(r'"(assets/[^"]+)"', page.text))
    (mark,) = {name.split("/")[1] for name in names}
    # Every module that it starts with is named, so that they load side by side; what is needed later is not.
    loaded = {"/".join(name.split("/")[2:]) for name in names if name.endswith("js")}
    assert loaded >= {
        "js/app.js",
        "js/workspace.js",
        "js/words/ko.js",
        "client/client.js",
        "vendor/marked/marked.esm.js",
    }
    assert not loaded & {"js/import_dialog.js", "client/index.js", "vendor/katex/katex.mjs"}
    for name in names:
        found = await client.get(f"/{name}")
        assert (found.status_code, found.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    # A page of another version has its scripts now, and asks again the next time.
    other = await client.get(f"/assets/{'0' * len(mark)}/js/app.js")
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-cache")


def test_the_page_asks_nobody_but_by_its_client() -> None:
    """One implementation of requests, of trying again, of keys and of streams: the package's."""
    own = [path for path in OWN if path.suffix == ".js" and path.is_relative_to(WEB / "assets")]
    assert own
    for path in own:
        text = path.read_text(encoding="utf-8")
        requests = r"(?<![#\w])fetch\(|XMLHttpRequest|EventSource|Idempotency-Key"
        found = re.findall(rf"{requests}|/(?:transport|sse|retries)\.js", text)
        assert not found, f"{path.name}: {found}"


async def test_what_is_painted_waits_for_one_sheet(client: httpx2.AsyncClient) -> None:
    for page, least in (("/", 9), ("/admin", 4)):
        text = (await client.get(page)).text
        (name,) = re.findall(r'<link rel="stylesheet" href="(assets/[^"]+)">', text)
        parts = [f"css/{stem}.css" for stem in posixpath.basename(name).removesuffix(".css").split("+")]
        assert len(parts) >= least
        sheet = await client.get(f"/{name}")
        assert sheet.headers["content-type"].startswith("text/css")
        assert sheet.text == "\n".join((WEB / "assets" / part).read_text(encoding="utf-8") for part in parts)
        # Modules do not come before it.
        assert text.index(name) < text.index("modulepreload")
        assert text.count('rel="modulepreload"') == text.count('fetchpriority="low"') > 0


@pytest.mark.parametrize("name", ["theme+theme", "theme+none", "theme+../../index", "theme+"])
async def test_only_sheets_are_joined_each_once(client: httpx2.AsyncClient, name: str) -> None:
    assert (await client.get(f"/assets/css/{name}.css")).status_code == 404


async def test_the_page_of_operators_loads_its_own_modules(client: httpx2.AsyncClient) -> None:
    page = await client.get("/admin")
    loaded = {name.partition("/")[2] for name in re.findall(r'"assets/([^"]+\.js)"', page.text)}
    assert loaded >= {"js/admin/app.js", "js/admin/chart.js", "js/words/ko.js", "client/transport.js"}
    assert not loaded & {"js/app.js", "js/workspace.js", "vendor/marked/marked.esm.js"}


@pytest.mark.parametrize("path", ["/", "/admin", "/assets/js/app.js", "/docs/swagger-ui.css"])
async def test_files_are_compressed_and_not_sent_twice(client: httpx2.AsyncClient, path: str) -> None:
    whole = await client.get(path, headers={"Accept-Encoding": "identity, gzip;q=0"})
    assert "content-encoding" not in whole.headers
    small = await client.get(path, headers={"Accept-Encoding": "br, gzip"})
    assert (small.headers["content-encoding"], small.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert int(small.headers["content-length"]) < len(whole.content) / 2
    assert small.content == whole.content
    again = await client.get(path, headers={"If-None-Match": f'"other", W/{whole.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", whole.headers["etag"])


async def test_the_page_is_small(client: httpx2.AsyncClient) -> None:
    """Without what is loaded only when a message needs it."""
    page = await client.get("/")
    sent = len(gzip.compress(page.content))
    for name in set(re.findall(r'"(assets/[^"]+)"', page.text)):
        sent += int((await client.get(f"/{name}", headers={"Accept-Encoding": "gzip"})).headers["content-length"])
    assert sent < 200_000


@pytest.mark.parametrize(
    "path", ["/assets/", "/assets", "/assets/js", "/assets/%2e%2e/index.html", "/assets//etc/passwd"]
)
async def test_only_files_of_the_page_are_handed_out(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404
    assert (await client.post(path)).status_code in (404, 405)
