"""People who go on talking while nodes come and go, and what must hold of their rooms in the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from tests.cluster.client import Client

WAIT_SECONDS = 90.0


class Load:
    """A person for each room, each sending as soon as the last message was acknowledged."""

    def __init__(self, chats: dict[str, Client]) -> None:
        self._chats = chats
        self._acknowledged: dict[str, dict[str, int]] = {room: {} for room in chats}
        self._told = threading.Condition()
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(len(chats))
        self._running: list[Future[None]] = []

    def __enter__(self) -> Load:
        self._running = [self._threads.submit(self._go_on, room) for room in self._chats]
        return self

    def __exit__(self, *_: object) -> None:
        """Nobody sends any more. Raises what a send raised."""
        self._stop.set()
        self._threads.shutdown(wait=True)
        for one in self._running:
            one.result()

    def go_on(self, more: int) -> None:
        """Waits until every room has acknowledged so many more. Raises when a send fails, or nothing comes."""
        with self._told:
            before = {room: len(sent) for room, sent in self._acknowledged.items()}
            wanted = self._told.wait_for(lambda: self._broken() or self._all_beyond(before, more), WAIT_SECONDS)
        for one in self._running:
            if one.done():
                one.result()
        assert wanted, f"acknowledged before {before}, now {self._acknowledged}"

    def check(self) -> None:
        """In the end, every acknowledged message is there once, at its seq; seq has no holes; every reply has been
        brought to an end."""
        for room, client in self._chats.items():
            found = settled(partial(client.messages, room), _all_replied)
            assert [message["seq"] for message in found] == list(range(1, len(found) + 1)), room
            users = {message["message_id"]: message["seq"] for message in found if message["sender_type"] == "USER"}
            assert users == self._acknowledged[room], room

    def _go_on(self, room: str) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                number += 1
                sent = self._chats[room].send(room, f"message {number}")["message"]
                with self._told:
                    self._acknowledged[room][sent["message_id"]] = sent["seq"]
                    self._told.notify_all()
        finally:
            with self._told:
                self._told.notify_all()

    def _broken(self) -> bool:
        return any(one.done() for one in self._running)

    def _all_beyond(self, before: dict[str, int], more: int) -> bool:
        return all(len(self._acknowledged[room]) >= count + more for room, count in before.items())


def _all_replied(messages: list[dict[str, Any]]) -> bool:
    replies = [message for message in messages if message["sender_type"] == "AI"]
    return all(reply["finish_reason"] is not None for reply in replies)


def settled(look: Callable[[], Any], holds: Callable[[Any], bool], seconds: float = WAIT_SECONDS) -> Any:
    """What is found when it holds. Raises with what was found last."""
    deadline = time.monotonic() + seconds
    while not holds(found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {found}")
        time.sleep(0.2)
    return found
