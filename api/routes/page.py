"""The web page at ``/`` and that of operators at ``/admin``; their files are below ``/assets``."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache

from fastapi import APIRouter, Request, Response

from api.web_files import (
    REVALIDATED,
    WEB,
    WebFile,
    asset_path,
    file_answer,
    fingerprint,
    joined_name,
    made_file,
    web_file,
)

_IMPORT = re.compile(r'^(?:import|export) [^;]*?from "(\.[^"]+)"|^import "(\.[^"]+)"', re.MULTILINE)
_SHEETS = re.compile(r'(?: *<link rel="stylesheet" href="assets/[^"]+">\n)+')

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index(request: Request) -> Response:
    """The page. A code that signs in is in the fragment of the URL, which the browser does not send."""
    return _page(request, "index.html", "js/app.js")


@router.get("/admin")
async def admin(request: Request) -> Response:
    """The operators' page. It shows what ``/v1/admin`` gives the caller: without the scope, nothing."""
    return _page(request, "admin.html", "js/admin/app.js")


def _page(request: Request, name: str, first: str) -> Response:
    # Revalidated each time, so that a page of one version never runs with the scripts of another.
    return file_answer(request, _made(fingerprint(), web_file(WEB / name), first), REVALIDATED)


@lru_cache(maxsize=4)
def _made(mark: str, template: WebFile, first: str) -> WebFile:
    """The page with the fingerprint in the paths of its files.

    Nothing is painted before the style has come, so its sheets are one file, which does not wait for others. All
    modules are named, so that they load side by side, and behind it.
    """
    modules = sorted(_with_imports(first))
    preloads = "\n  ".join(f'<link rel="modulepreload" href="assets/{name}" fetchpriority="low">' for name in modules)
    text = _SHEETS.sub(_one_sheet, template.body.decode()).replace("<!-- modules -->", preloads)
    return made_file(text.replace('"assets/', f'"assets/{mark}/').encode(), "text/html")


def _one_sheet(links: re.Match[str]) -> str:
    name = joined_name(re.findall(r'"assets/([^"]+)"', links[0]))
    return f'  <link rel="stylesheet" href="assets/{name}">\n'


def _with_imports(first: str) -> set[str]:
    """The module and all that it cannot start without; what it imports when something needs it is not among them."""
    found, names = {first}, [first]
    while names:
        name = names.pop()
        path = asset_path(name)
        text = web_file(path).body.decode() if path is not None else ""
        imported = {posixpath.normpath(f"{posixpath.dirname(name)}/{one or two}") for one, two in _IMPORT.findall(text)}
        names += imported - found
        found |= imported
    return found
