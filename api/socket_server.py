"""What the web server takes of a WebSocket, for every server that this process starts: Serve gives uvicorn no settings
for it."""

from __future__ import annotations

from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets import auto
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

PING_SECONDS = 20.0
"""Between two pings to a client, which keep a quiet connection alive in every proxy on the way. One that does not
answer for as long is cut."""


def install(frame_max: int) -> None:
    """``frame_max`` in bytes: a longer frame closes the connection (1009; uvicorn's own limit is 16 MiB). Frames are
    not compressed: a compressor keeps more memory for a connection than all the rest of it."""

    class Limited(WebSocketsSansIOProtocol):
        def __init__(self, config: Config, *args: Any, **kwargs: Any) -> None:
            config.ws_max_size = frame_max
            config.ws_per_message_deflate = False
            config.ws_ping_interval = config.ws_ping_timeout = PING_SECONDS
            super().__init__(config, *args, **kwargs)

    auto.AutoWebSocketsProtocol = Limited
