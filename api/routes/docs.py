"""The documentation: Swagger UI from vendored files (no CDN), and a page of all errors."""

from __future__ import annotations

import re
from html import escape

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from api.problems import PUBLIC_ERRORS
from api.web_files import HEADERS, REVALIDATED, WEB, file_answer, web_file
from parlor.errors import ERROR_CLASSES, LlmError, ParlorError

router = APIRouter(include_in_schema=False)

_FILES = frozenset({"swagger-ui.css", "swagger-ui-bundle.js"})
# Swagger UI writes style attributes and uses images in data: URLs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parlor: HTTP API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""


@router.get("/docs")
async def docs() -> Response:
    """Swagger UI over ``/openapi.json``."""
    return HTMLResponse(_PAGE, headers={**HEADERS, "Cache-Control": REVALIDATED, "Content-Security-Policy": _POLICY})


@router.get("/docs/errors")
async def errors() -> Response:
    """All errors; the `type` of a problem points here."""
    rows = "\n".join(
        _row(found, str(found.http_status)) for found in sorted(PUBLIC_ERRORS, key=lambda found: found.error_code)
    )
    of_replies = "\n".join(_row(found, "") for found in ERROR_CLASSES.values() if issubclass(found, LlmError))
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<title>Parlor: errors</title><link rel="stylesheet" href="/assets/css/errors.css"></head><body>\n'
        "<h1>Errors</h1>\n<table><thead><tr><th>errorCode</th><th>code</th><th>status</th><th>meaning</th></tr></thead>"
        f"<tbody>\n{rows}\n"
        '<tr id="not-found"><td>1000</td><td><code>not-found</code></td><td>404</td><td>No such path.</td></tr>\n'
        f"{of_replies}\n</tbody></table>\n"
        "<p>Those without a status are the reason of a reply that failed, in its <code>error</code>.</p>\n"
        "</body></html>\n"
    )
    return HTMLResponse(page, headers={**HEADERS, "Cache-Control": REVALIDATED, "Content-Security-Policy": _POLICY})


def _row(error: type[ParlorError], status: str) -> str:
    meaning = " ".join((error.__doc__ or error.title).split())
    return (
        f'<tr id="{escape(error.code)}"><td>{error.error_code}</td><td><code>{escape(error.code)}</code></td>'
        f"<td>{status}</td><td>{_marked_up(meaning)}</td></tr>"
    )


def _marked_up(text: str) -> str:
    """What stands in backquotes, as code."""
    return re.sub(r"(`+)(.+?)\1", r"<code>\2</code>", escape(text))


@router.get("/docs/start.js")
async def start() -> Response:
    """The script that starts Swagger UI; a file, because the policy forbids inline scripts."""
    return Response(_START, media_type="text/javascript", headers={**HEADERS, "Cache-Control": REVALIDATED})


@router.get("/docs/{name}")
async def swagger_file(request: Request, name: str) -> Response:
    """The files of Swagger UI."""
    if name not in _FILES:
        raise HTTPException(404)
    return file_answer(request, web_file(WEB / "vendor" / "swagger" / name), REVALIDATED)
