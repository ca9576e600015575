"""Whether a Ray can be at an address: asked before Ray is, which tries for minutes and cannot be interrupted."""

from __future__ import annotations

import os
import socket

_ANSWER_S = 1.0
"""Seconds for the connection, and as many for the answer. A GCS answers at once, without reading anything."""
_FRAME_HEAD = 9
_SETTINGS = 4
"""The type of the first frame of every HTTP/2 server (RFC 9113 section 3.4)."""
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0])


def why_no_ray(address: str) -> str:
    """Why no Ray can be joined at ``address``; empty if a server is there that speaks as Ray does (gRPC), and for
    ``auto``, which Ray looks up on this machine."""
    if address == "auto":
        return ""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        return "it has to be the host:port of Ray's GCS, as in 10.0.0.1:6379, or auto"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("1", "true", "True"):
                return ""  # Its certificates are for Ray to read.
            connection.sendall(_HELLO)
            said = connection.recv(_FRAME_HEAD)
    except TimeoutError:
        return "no Ray answers there: timed out"
    except OSError as error:
        return f"no Ray answers there: {error.strerror or error}"
    return "" if said[3:4] == bytes([_SETTINGS]) else "what answers there is no Ray"
