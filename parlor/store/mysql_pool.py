"""Connections to one MySQL database.

asyncmy's own pool is not used: its acquire has no timeout, it connects while it holds the pool's lock (one slow
connect stops everybody), and it hands out connections that the server has closed. This one opens at most ``size``
connections, and keeps one only when its last call went well: after an error, a timeout or a cancelled call nobody
knows what is still under way on it, and a new one costs about a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from asyncmy.connection import Connection, connect

from parlor.clock import Clock
from parlor.errors import StoreUnavailable
from parlor.store.addresses import MySqlAddress
from parlor.store.mysql_errors import RETRY_AFTER

LOCK_WAIT = 5
"""Seconds that a statement waits for a row lock. Below the query timeout, so that the server gives up before we do and
no abandoned statement goes on holding locks."""
IDLE_LIMIT = 300.0
"""Seconds after which an idle connection is not trusted any more: firewalls forget connections without a word."""

CONNECT_TIMEOUT = 5.0
"""Seconds for connecting when the program starts: somebody waits for `parlor up`."""
_SESSION = (
    "SET NAMES utf8mb4",
    # READ COMMITTED takes no gap locks; the variable's name differs between the servers, this statement does not.
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    f"SET SESSION sql_mode = 'TRADITIONAL', innodb_lock_wait_timeout = {LOCK_WAIT}, sql_notes = 0",
)

_UPSERT = "'VALUES function' is deprecated"
"""MySQL warns so of each upsert when it is defined. What MySQL has instead, MariaDB does not know."""
logging.getLogger("asyncmy").addFilter(lambda record: _UPSERT not in record.getMessage())


async def open_connection(address: MySqlAddress, *, connect_timeout: float, database: bool = True) -> Connection:
    """A connection with our session settings, committing each statement; to no database unless ``database``.
    ``connect_timeout``: seconds for all of it.

    Raises asyncmy's errors, ``OSError`` or ``TimeoutError``.
    """
    # asyncmy's own limit ends with TCP: a server that accepts and says nothing would be waited for without end.
    async with asyncio.timeout(connect_timeout):
        connection = await connect(
            host=address.host,
            port=address.port,
            unix_socket=address.unix_socket,
            user=address.user,
            password=address.password,
            database=address.database if database else None,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=connect_timeout,
            ssl=address.ssl_context(),
        )
        try:
            async with connection.cursor() as cursor:
                for statement in _SESSION:
                    await cursor.execute(statement)
        except BaseException:
            connection.close()
            raise
    return connection


class MySqlPool:
    """At most ``size`` connections; see the module."""

    def __init__(self, address: MySqlAddress, *, size: int, acquire_timeout: float, clock: Clock) -> None:
        self._address = address
        self._acquire_timeout = acquire_timeout
        self._clock = clock
        self._slots = asyncio.Semaphore(size)
        self._idle: list[tuple[Connection, float]] = []
        self._closed: bool = False

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One connection, kept afterwards if the block ends without an exception.

        Raises ``StoreUnavailable`` when none is free or can be opened in time, asyncmy's errors when the server
        refuses.
        """
        try:
            async with asyncio.timeout(self._acquire_timeout):
                await self._slots.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(
                debug=f"{self._address.label}: no free connection", retry_after=RETRY_AFTER
            ) from error
        try:
            self._check_open()
            connection = self._take_idle()
            if connection is None:
                connection = await self._open()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._keep(connection)
        finally:
            self._slots.release()

    async def _open(self) -> Connection:
        try:
            async with asyncio.timeout(self._acquire_timeout):
                return await open_connection(self._address, connect_timeout=self._acquire_timeout)
        except TimeoutError as error:
            raise StoreUnavailable(
                debug=f"{self._address.label}: connect timed out", retry_after=RETRY_AFTER
            ) from error

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable(debug=f"{self._address.label}: closed")

    def _keep(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append((connection, self._clock.monotonic()))

    def _take_idle(self) -> Connection | None:
        """The connection that was used last, if it is alive as far as one can tell without asking the server."""
        while self._idle:
            connection, since = self._idle.pop()
            # _stream_broken is what asyncmy's own pool looks at; ``connected`` does not notice that the server left.
            broken = bool(getattr(connection, "_stream_broken"))  # noqa: B009  # not in its type stub
            if not broken and self._clock.monotonic() - since < IDLE_LIMIT:
                return connection
            connection.close()
        return None

    def drop_idle(self) -> None:
        """When one connection was found dead: the others were made to the same server, and are not worth a try."""
        while self._idle:
            self._idle.pop()[0].close()

    async def close(self) -> None:
        """Closes idle connections now and the others when their call is over."""
        self._closed = True
        while self._idle:
            connection, _ = self._idle.pop()
            with contextlib.suppress(Exception):  # a goodbye to a server that may be gone
                async with asyncio.timeout(1):
                    await connection.ensure_closed()
            connection.close()
