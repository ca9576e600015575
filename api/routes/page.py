"""The web page at ``/``; its files are below ``/assets``."""

from __future__ import annotations

from functools import lru_cache

from fastapi import APIRouter, Request, Response

from api.web_files import ASSETS, REVALIDATED, WEB, WebFile, file_answer, fingerprint, made_file, web_file

# Not asked for before something needs them.
_LATER = {"vendor/highlight/highlight.min.js", "vendor/katex/katex.mjs"}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index(request: Request) -> Response:
    """The page. A code that signs in is in the fragment of the URL, which the browser does not send."""
    # Revalidated each time, so that a page of one version never runs with the scripts of another.
    return file_answer(request, _index(fingerprint(), web_file(WEB / "index.html")), REVALIDATED)


@lru_cache(maxsize=4)
def _index(mark: str, template: WebFile) -> WebFile:
    """The page with the fingerprint in the paths of its files, and its modules named, so that they load at once."""
    modules = sorted(
        name
        for path in ASSETS.rglob("*js")
        if (name := path.relative_to(ASSETS).as_posix()) not in _LATER and path.is_file()
    )
    preloads = "\n  ".join(f'<link rel="modulepreload" href="assets/{name}">' for name in modules)
    text = template.body.decode().replace("<!-- modules -->", preloads)
    return made_file(text.replace('"assets/', f'"assets/{mark}/').encode(), "text/html")
