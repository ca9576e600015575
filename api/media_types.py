"""What a request's body may be: JSON in UTF-8, as it is."""

from __future__ import annotations

import re

from fastapi import Request

from parlor.errors import UnsupportedMediaType

_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json")
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii"})
_HINT = "send JSON with `Content-Type: application/json`"


def require_json(request: Request) -> None:
    """Raises ``UnsupportedMediaType`` for a request with a body that is encoded, or not called JSON."""
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    encodings = [each.strip().lower() for each in ",".join(headers.getlist("content-encoding")).split(",")]
    if any(each not in ("", "identity") for each in encodings):
        raise UnsupportedMediaType("The body is encoded; send it as it is, without `Content-Encoding`")
    content_type = headers.get("content-type", "").strip()
    if not content_type:
        raise UnsupportedMediaType(f"The request has a body but no `Content-Type`; {_HINT}")
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if not _JSON.fullmatch(kind):
        raise UnsupportedMediaType(f"The body's `Content-Type` is not JSON; {_HINT}")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in _UTF8:
            raise UnsupportedMediaType("The body's charset is not UTF-8, which is the only one that JSON is sent in")
