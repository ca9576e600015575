"""HTTP/1.1 as cheap as it gets: one kept connection, a request at a time, and every way in which that can fail named.

The load shares the machine's cores with what it loads, so it must not cost as much (``parlor_bench/load.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec

GRACE = 1.0
"""Seconds beyond a request's deadline that an answer is still waited for: a late one is recorded as late."""


class NoAnswer(Exception):
    """The connection failed. ``how`` is refused, reset, cut or silent."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Answer(msgspec.Struct, frozen=True):
    status: int
    body: dict[str, Any]

    @property
    def retry_after(self) -> float:
        found = self.body.get("retry_after_seconds")
        return float(found) if isinstance(found, int | float) else 0.0


class Connection:
    """To one server, opened when it is needed and again when it broke."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._host, self._port, self._token = host, port, token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float,
    ) -> Answer:
        """Raises ``NoAnswer``."""
        payload = b"" if body is None else msgspec.json.encode(body)
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self._host}:{self._port}",
            f"Authorization: Bearer {self._token}",
            "Content-Type: application/json",
            f"Content-Length: {len(payload)}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        request = "\r\n".join([*lines, "", ""]).encode() + payload
        try:
            async with asyncio.timeout(seconds + GRACE):
                return await self._exchange(request)
        except TimeoutError as error:
            await self.close()
            raise NoAnswer("silent") from error
        except ConnectionRefusedError as error:
            await self.close()
            raise NoAnswer("refused") from error
        except asyncio.IncompleteReadError as error:
            await self.close()
            raise NoAnswer("cut") from error
        except OSError as error:
            await self.close()
            raise NoAnswer("reset") from error
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _exchange(self, request: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if b": " in line)
        raw = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        if fields.get(b"connection") == b"close" or b"content-length" not in fields:
            await self.close()
        # A proxy's own refusal may be plain text.
        is_json = b"json" in fields.get(b"content-type", b"")
        return Answer(status, msgspec.json.decode(raw) if is_json and raw else {})
