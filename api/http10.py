"""Answers to clients of HTTP/1.0, which cannot read chunks (RFC 9112 section 6.1).

uvicorn with httptools answers every request as HTTP/1.1: what has no length goes out in chunks. HAProxy passes the
client's version on to a replica, and its answer back as it is.
"""

from __future__ import annotations

import sys

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http import httptools_impl

_Cycle = httptools_impl.RequestResponseCycle


class _PlainCycle(_Cycle):
    """A request and its answer. An answer without a length is sent to a client of HTTP/1.0 as it is, and ends with the
    connection, which uvicorn closes after each of them."""

    _until_close = False

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
