"""Where uvicorn with httptools takes HTTP/1 otherwise than we do.

It answers every request as HTTP/1.1: what has no length goes out in chunks, which clients of HTTP/1.0 cannot read (RFC
9112 section 6.1). HAProxy passes the client's version on to a replica, and its answer back as it is. And it puts the
trailers of a body among the headers, where they are past every rule of a proxy: a credential, an address, what only
Serve may say.
"""

from __future__ import annotations

import sys
from typing import Any

from uvicorn._types import ASGISendEvent, HTTPScope
from uvicorn.protocols.http import httptools_impl

_Cycle = httptools_impl.RequestResponseCycle


class _PlainCycle(_Cycle):
    """A request and its answer. An answer without a length is sent to a client of HTTP/1.0 as it is, and ends with the
    connection, which uvicorn closes after each of them."""

    _until_close = False

    def __init__(self, scope: HTTPScope, *args: Any, **kwargs: Any) -> None:
        # The parser goes on to add to its own list. Trailers are ignored (RFC 9110 section 6.5.1).
        scope["headers"] = list(scope["headers"])
        super().__init__(scope, *args, **kwargs)

    async def send(self, message: ASGISendEvent) -> None:
        if self.scope["http_version"] == "1.0":
            if message["type"] == "http.response.start":
                self._until_close = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
                if self._until_close:
                    self.chunked_encoding = False
                    self.expected_content_length = sys.maxsize
            elif message["type"] == "http.response.body" and self._until_close and not message.get("more_body", False):
                self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


def install() -> None:
    """For every server that this process starts: uvicorn has no setting for it."""
    httptools_impl.RequestResponseCycle = _PlainCycle  # type: ignore[misc]
