"""The web page at ``/`` and its files under ``/assets``."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

WEB = Path(__file__).parent.parent / "web"
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
    # Revalidated each time, so that a page of one version never runs with the scripts of another.
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    """Static files with ``HEADERS``."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


assets = _Files(directory=WEB / "assets", check_dir=False)
_pages = _Files(directory=WEB, check_dir=False)

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index(request: Request) -> Response:
    """The page. Its token is in the fragment of the URL, which the browser does not send."""
    return await _pages.get_response("index.html", request.scope)
