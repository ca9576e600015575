"""Batches of commands between processes of one node, over a Unix socket of the RoomActor (ADR 0037).

A frame is a header (length, number of the call, flag) and a body. The flag of a call says whether the actor may make
the rooms its own, that of an answer whether the call failed. The caller numbers its calls, so several are under way on
one connection, and answers come in any order.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TypeAlias, cast

import structlog

_log = structlog.get_logger(__name__)

_HEADER = struct.Struct("!II?")
_PEER = struct.Struct("3i")
"""Of SO_PEERCRED: process, user and group (unix(7))."""

Execute: TypeAlias = Callable[[bytes, bool], Awaitable[bytes]]
"""``RoomActorContract.execute``."""


class _Frames(asyncio.Protocol):
    """One end of a connection: whole frames in and out."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        start = 0
        while len(received) - start >= _HEADER.size:
            length, number, flag = _HEADER.unpack_from(received, start)
            end = start + _HEADER.size + length
            if len(received) < end:
                break
            self.frame(number, flag, bytes(received[start + _HEADER.size : end]))
            start = end
        del received[:start]

    def frame(self, number: int, flag: bool, body: bytes) -> None:
        raise NotImplementedError

    def send(self, number: int, flag: bool, body: bytes) -> None:
        """Does nothing when the connection has ended: whoever waits for the answer is told by that."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines((_HEADER.pack(len(body), number, flag), body))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class RoomLink(_Frames):
    """The caller's end. ``call`` raises ``ConnectionError`` when the connection ends first: it may have happened."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._retired = False

    @classmethod
    async def connect(cls, path: str) -> RoomLink:
        """Raises ``OSError`` when nobody listens."""
        loop = asyncio.get_running_loop()
        made = _unix_socket()
        try:
            await loop.sock_connect(made, path)
            _, link = await loop.create_unix_connection(cls, sock=made)
        except BaseException:
            made.close()
            raise
        return link

    async def call(self, body: bytes, flag: bool) -> bytes:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection has ended")
        self._number = number = self._number + 1 & 0xFFFFFFFF
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self.send(number, flag, body)
        try:
            return await answer
        finally:
            del self._answers[number]
            if self._retired and not self._answers:
                self.close()

    def retire(self) -> None:
        """Closes the connection when the calls that are under way have been answered or given up."""
        self._retired = True
        if not self._answers:
            self.close()

    def frame(self, number: int, flag: bool, body: bytes) -> None:
        answer = self._answers.get(number)
        if answer is None or answer.done():
            return
        if flag:
            answer.set_exception(ConnectionAbortedError(body.decode()))
        else:
            answer.set_result(body)

    def connection_lost(self, exc: Exception | None) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError(f"the connection ended: {exc}"))


class RoomSocket:
    """The actor's end: listens on an abstract socket, which leaves no file behind, for processes of its own user."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._server: asyncio.Server | None = None
        self._callers: set[_Caller] = set()
        self.path = ""
        """Empty until it listens."""

    async def open(self, name: str) -> None:
        """Listens; ``name`` has to be its own on this machine. Raises ``OSError``."""
        path = f"\0{name}"
        made = _unix_socket()
        try:
            made.bind(path)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: _Caller(self._execute, self._callers), sock=made)
        except BaseException:
            made.close()
            raise
        self.path = path

    def close(self) -> None:
        """Ends the connections too. What was asked for is served; nobody is told."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.path = ""
        for caller in self._callers:
            caller.close()


class _Caller(_Frames):
    """What one caller asks for. A caller that goes takes nothing back: what it asked for is served all the same."""

    def __init__(self, execute: Execute, callers: set[_Caller]) -> None:
        super().__init__()
        self._execute = execute
        self._callers = callers
        self._serving: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._callers.add(self)
        if _user(transport) != os.getuid():
            _log.error("foreign_caller_refused")
            self.close()

    def frame(self, number: int, flag: bool, body: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        serving = asyncio.create_task(self._serve(number, flag, body))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        self._callers.discard(self)

    async def _serve(self, number: int, flag: bool, body: bytes) -> None:
        try:
            answer = await self._execute(body, flag)
        except Exception as error:  # noqa: BLE001 - logged, and told to the caller
            # As through Ray: the caller knows that it may have happened, and asks again.
            _log.exception("commands_failed")
            self.send(number, True, repr(error).encode())
        else:
            self.send(number, False, answer)


def _unix_socket() -> socket.socket:
    """Bound and connected here, not by the event loop: uvloop, which Ray uses, takes an abstract name for a C string,
    which ends at its first byte."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


def _user(transport: asyncio.BaseTransport) -> int:
    """Who is at the other end, as the kernel says."""
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as peer:
        _, user, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(user)
