"""The ``Accept`` header (RFC 9110 section 12.5.1), as far as one question goes: JSON or an event stream?"""

from __future__ import annotations

EVENT_STREAM = "text/event-stream"
JSON = "application/json"


def wants_event_stream(accept: str) -> bool:
    """Whether the event stream is named and not liked less than JSON; of equals the first one counts."""
    if EVENT_STREAM not in accept.lower():
        return False
    best, chosen = 0.0, JSON
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality = _quality(parameters)
        if kind in (EVENT_STREAM, JSON) and quality > best:
            best, chosen = quality, kind
    return chosen == EVENT_STREAM


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
