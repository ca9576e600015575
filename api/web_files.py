"""The files of the page and of the documentation: compressed, and cached by browsers until one of them changes."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

WEB = Path(__file__).parent / "web"
ASSETS = WEB / "assets"
_PACKAGED = ASSETS / "client"
CLIENT = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[1] / "clients" / "js" / "src"
"""The JavaScript client, which the page uses. A package has its files among the assets; a checkout has them once."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A page that opened this one, or that it opened, cannot reach into it.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
REVALIDATED = "no-cache"
FOREVER = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".webmanifest": "application/manifest+json"}
_SMALLEST = 512
"""Bytes. Compression gains nothing on less."""
_MARK = 16
"""Characters of a fingerprint."""
_SHEETS = "css/"
_AND = "+"


class WebFile(NamedTuple):
    """A file as it is sent."""

    body: bytes
    compressed: bytes | None
    etag: str
    media_type: str


def web_file(path: Path) -> WebFile:
    """The file; raises ``FileNotFoundError``. It is read and compressed anew when it has changed."""
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=512)
def _read(path: Path, _changed: int, _size: int) -> WebFile:
    return made_file(path.read_bytes(), _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "")


def made_file(body: bytes, media_type: str) -> WebFile:
    """A file with this content."""
    compressed = gzip.compress(body, mtime=0) if len(body) >= _SMALLEST else None
    smaller = compressed if compressed is not None and len(compressed) < len(body) else None
    return WebFile(body, smaller, f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"', media_type)


def asset_names() -> dict[str, Path]:
    """All assets by their paths below ``/assets``."""
    found = {path.relative_to(ASSETS).as_posix(): path for path in ASSETS.rglob("*") if path.is_file()}
    return found | {f"client/{path.name}": path for path in CLIENT.glob("*.js")}


def asset_path(name: str) -> Path | None:
    """The file of an asset; None when there is none."""
    inside, _, rest = name.partition("/")
    folder, below = (CLIENT, rest) if inside == "client" else (ASSETS, name)
    path = (folder / below).resolve()
    return path if path.is_relative_to(folder.resolve()) and path.is_file() else None


def joined_name(names: list[str]) -> str:
    """The path of one asset that is all of these, ``css/a.css`` and so on, in their order."""
    stems = [name.removeprefix(_SHEETS).removesuffix(".css") for name in names]
    return f"{_SHEETS}{_AND.join(stems)}.css"


def asset_file(name: str) -> WebFile | None:
    """An asset as it is sent; None when there is none."""
    if not (name.startswith(_SHEETS) and _AND in name):
        path = asset_path(name)
        return web_file(path) if path is not None else None
    stems = name.removeprefix(_SHEETS).removesuffix(".css").split(_AND)
    paths = [asset_path(f"{_SHEETS}{stem}.css") for stem in stems]
    # Each at most once: what is kept of such files is bounded by how many of them there are.
    if len(set(stems)) < len(stems):
        return None
    return _joined(tuple(web_file(path) for path in paths if path is not None)) if all(paths) else None


@lru_cache(maxsize=16)
def _joined(files: tuple[WebFile, ...]) -> WebFile:
    return made_file(b"\n".join(file.body for file in files), files[0].media_type)


def fingerprint() -> str:
    """Stands for the content of all assets: the same on every replica that has the same files."""
    found = hashlib.blake2b(digest_size=_MARK // 2)
    for name, path in sorted(asset_names().items()):
        found.update(f"{name} {web_file(path).etag}\n".encode())
    return found.hexdigest()


def file_answer(request: Request, file: WebFile, cache: str, policy: str | None = None) -> Response:
    """The file, or 304 for who has it. ``policy`` is a Content-Security-Policy other than that of the page."""
    headers = {**HEADERS, "Cache-Control": cache, "ETag": file.etag, "Vary": "Accept-Encoding"}
    if policy is not None:
        headers["Content-Security-Policy"] = policy
    if file.etag in (part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    body = file.body
    if file.compressed is not None and _takes_gzip(request.headers.get("accept-encoding", "")):
        body = file.compressed
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type=file.media_type or "application/octet-stream")


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name == "gzip":
            return not any(parameter in ("q=0", "q=0.0", "q=0.00", "q=0.000") for parameter in parameters)
    return False


class Assets:
    """What is below ``/assets``.

    A path that begins with the fingerprint of today is kept by the browser for ever. Another one (a page of another
    version, while replicas are exchanged) gets the file as it is now, and has to ask again.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(405)
        first, _, rest = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/").partition("/")
        marked = len(first) == _MARK and set(first) <= set("0123456789abcdef")
        name = rest if marked else f"{first}/{rest}"
        file = asset_file(name)
        if file is None:
            raise HTTPException(404)
        cache = FOREVER if marked and first == fingerprint() else REVALIDATED
        await file_answer(request, file, cache)(scope, receive, send)
