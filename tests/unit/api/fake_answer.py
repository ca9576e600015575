"""An answer outside of any room, whose events a test writes."""

from __future__ import annotations

from typing import Self

from parlor.model.messages import Message
from tests.unit.api.fake_subscription import FakeSubscription


class FakeAnswer(FakeSubscription):
    """An answer outside of any room."""

    def __init__(self, cursor: str, message: Message) -> None:
        super().__init__(cursor)
        self.message = message

    async def __aenter__(self) -> Self:
        if self.refusal is not None:
            raise self.refusal
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed.set()
