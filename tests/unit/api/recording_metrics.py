"""What the HTTP edge counts."""

from __future__ import annotations


class RecordingMetrics:
    def __init__(self) -> None:
        self.streams: list[int] = []
        self.codes: list[str] = []

    def open_streams(self, count: int) -> None:
        self.streams.append(count)

    def refused(self, code: str) -> None:
        self.codes.append(code)
