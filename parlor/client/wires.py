"""What both kinds of WebSockets have in common: their limits, and what the errors of ``websockets`` mean."""

from __future__ import annotations

from collections.abc import Mapping
from ssl import SSLContext
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from parlor.client.connection import CONNECT_SECONDS
from parlor.client.errors import BadAnswer, ClientError, NoAnswer, refusal
from parlor.client.exchange import FrameTooLong
from parlor.client.socket_frames import SUBPROTOCOL

CLOSE_SECONDS = 5.0
PING_SECONDS = 20.0
"""Between two pings. A server that does not answer one for as long is given up."""
FRAME_MAX = 16 * 2**20
"""Bytes; far more than the longest message, with all its parts, has."""
TOO_LONG = 1009
"""Of RFC 6455 section 7.4.1."""


def options(headers: Mapping[str, str], user_agent: str, ssl: SSLContext | None) -> dict[str, Any]:
    """How a WebSocket is opened. It is not compressed: frames are short, and Parlor does not either."""
    return {
        **({} if ssl is None else {"ssl": ssl}),
        "subprotocols": [Subprotocol(SUBPROTOCOL)],
        "additional_headers": headers,
        "user_agent_header": user_agent,
        "compression": None,
        "open_timeout": CONNECT_SECONDS,
        "close_timeout": CLOSE_SECONDS,
        "ping_interval": PING_SECONDS,
        "ping_timeout": PING_SECONDS,
        "max_size": FRAME_MAX,
    }


def not_opened(error: Exception) -> ClientError:
    """The error for a WebSocket that could not be opened."""
    if isinstance(error, InvalidStatus):
        response = error.response
        if response.status_code >= 300:
            headers = {name.lower(): value for name, value in response.headers.raw_items()}
            return refusal(response.status_code, headers, bytes(response.body or b""))
    elif isinstance(error, OSError | InvalidMessage):  # a TimeoutError is an OSError; what was cut is no message
        return NoAnswer(str(error) or type(error).__name__, error)
    return BadAnswer(f"not a WebSocket of Parlor: {error}")


def ended(error: ConnectionClosed) -> NoAnswer:
    """The error for a WebSocket that is no longer open."""
    close = error.rcvd
    if close is None:
        return NoAnswer("the connection broke off", error)
    kind = FrameTooLong if close.code == TOO_LONG else NoAnswer
    return kind(f"the connection ended: {close.code} {close.reason}".rstrip(), error)


def require_protocol(found: str | None) -> None:
    """Raises ``BadAnswer`` for a server that speaks something else."""
    if found != SUBPROTOCOL:
        raise BadAnswer(f"{found or 'nothing'} instead of {SUBPROTOCOL}")


def require_text(found: str | bytes) -> str:
    """Raises ``BadAnswer``."""
    if not isinstance(found, str):
        raise BadAnswer("a frame that is no text")
    return found


OPENING = (OSError, InvalidHandshake)
"""What opening a WebSocket raises."""
