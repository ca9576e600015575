"""What the streams of all dialects that cannot take text back have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from parlor.model.messages import Event


class ReplyFrames(ABC):
    """The stream of one reply (see ``api.sse.Frames``), made of the frames of its events until one ends it."""

    ping: bytes = b": ping\n\n"

    def __init__(self) -> None:
        self.ended = False
        """Whether the stream has nothing more to say."""

    def write(self, batch: Sequence[Event]) -> bytes:
        """The frames for some events of the reply's room."""
        return b"".join(self._frames(event) for event in batch if not self.ended)

    def end(self, cursor: str, reason: str) -> bytes:
        """What ends a stream that was cut for a reason of the server's."""
        del cursor
        return b"" if self.ended or not reason else self._cut(reason)

    @abstractmethod
    def _frames(self, event: Event) -> bytes:
        """The frames for one event; none for an event that the dialect does not tell."""

    @abstractmethod
    def _cut(self, reason: str) -> bytes:
        """What says that the stream ended before the reply did."""
