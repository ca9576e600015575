"""Items of several callers in one call.

What a call costs hardly depends on what it carries (a round trip, an fsync, an actor call). So items that come in the
same turn of the event loop share one, and while as many calls are under way as may be, what comes in waits for the
next: the busier the process, the larger its calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Send: TypeAlias = Callable[[list[Item]], Awaitable[Sequence[Answer | Exception]]]
"""Makes one call: an answer for each item, in order. An answer that is an exception is raised for its caller alone."""


class Closed(Exception):
    """The item came after ``Coalescer.close``."""


class Coalescer(Generic[Item, Answer]):
    """Every caller gets an answer or an exception, whatever happens:

    - A caller that is cancelled disturbs nobody: its item is sent all the same.
    - A call that raises gives each of its callers ``failure(error)``, one exception each because a traceback grows on
      the one that is raised. Items that wait are sent with the next call, unless ``send`` used ``fail_waiting``.
    - A call that is cancelled (the loop is being taken down) gives its callers and all that wait
      ``failure(CancelledError())``.
    - ``close`` returns when everything that came before it has been answered. What comes later gets
      ``failure(Closed())``.
    """

    def __init__(
        self,
        send: Send[Item, Answer],
        failure: Callable[[BaseException], Exception],
        *,
        batch_size: int,
        calls_in_flight: int,
    ) -> None:
        self._send = send
        self._failure = failure
        self._batch_size = batch_size
        self._calls_in_flight = calls_in_flight
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._senders: set[asyncio.Task[None]] = set()
        self._closed = False

    async def submit(self, item: Item) -> Answer:
        """Sends the item with the next call. Raises what ``failure`` makes of a call that failed."""
        if self._closed:
            raise self._failure(Closed())
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if len(self._senders) < self._calls_in_flight:
            self._start_sender()
        return await answer

    def fail_waiting(self, error: BaseException) -> None:
        """Gives ``failure(error)`` to all whose items have not been sent."""
        waiting, self._waiting = self._waiting, []
        self._fail(waiting, error)

    async def close(self) -> None:
        self._closed = True
        while self._senders:
            await asyncio.wait(self._senders)

    def _start_sender(self) -> None:
        sender = asyncio.create_task(self._send_waiting())
        self._senders.add(sender)
        sender.add_done_callback(self._sender_ended)

    def _sender_ended(self, sender: asyncio.Task[None]) -> None:
        self._senders.discard(sender)
        if sender.cancelled():
            self.fail_waiting(asyncio.CancelledError())
        elif self._waiting and len(self._senders) < self._calls_in_flight:
            # These came between the sender's last look and its end, while it still counted as one under way.
            self._start_sender()

    async def _send_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._batch_size], self._waiting[self._batch_size :]
            try:
                answers = await self._send([item for item, _ in batch])
                for (_, future), answer in zip(batch, answers, strict=True):
                    if future.done():
                        continue
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
            except asyncio.CancelledError as error:
                self._fail(batch, error)
                raise
            except Exception as error:  # noqa: BLE001 - the callers raise it
                self._fail(batch, error)

    def _fail(self, batch: list[tuple[Item, asyncio.Future[Answer]]], error: BaseException) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(self._failure(error))
