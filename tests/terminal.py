"""A program on a pseudo terminal, read and typed at as a person does."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\-_])")
ROWS, COLUMNS = 40, 100


class Terminal:
    """What the program shows, without colours and movements of the cursor."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self._master = master
        self._process = process
        self._raw = bytearray()
        self._changed = asyncio.Event()
        self._looked_at = 0
        asyncio.get_running_loop().add_reader(master, self._read)

    @property
    def shown(self) -> str:
        return _ESCAPES.sub("", self._raw.decode("utf-8", "replace"))

    async def wait_for(self, text: str, seconds: float) -> None:
        """Until the text is shown, behind what was waited for before."""
        try:
            async with asyncio.timeout(seconds):
                while (found := self.shown.find(text, self._looked_at)) < 0:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} is not shown:\n{self.shown[self._looked_at :]}") from None
        self._looked_at = found + len(text)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    async def ended(self, seconds: float) -> int:
        return await asyncio.wait_for(self._process.wait(), seconds)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def _read(self) -> None:
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # Linux says so when the program's side is closed
            piece = b""
        if not piece:
            asyncio.get_running_loop().remove_reader(self._master)
        # What the program asks the terminal: where the cursor is.
        if b"\x1b[6n" in piece:
            os.write(self._master, b"\x1b[1;1R")
        self._raw += piece
        self._changed.set()


@asynccontextmanager
async def running(*command: str, environment: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """The installed command; it is ended when this is left."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name(command[0])),
        *command[1:],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd="/",
        env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment},
        # A session of its own, whose terminal this is: so Ctrl-C is a signal to it.
        preexec_fn=_take_terminal,
    )
    os.close(slave)
    terminal = Terminal(master, process)
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        terminal.close()


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
