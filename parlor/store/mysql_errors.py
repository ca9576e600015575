"""From MySQL's and MariaDB's error numbers to the store's errors.

Rules, in this order: our own SIGNALs by their text; a procedure that is not there; numbers that tell of a row's
content; SQLSTATE classes 22 (data exception) and 23 (integrity) likewise; all the rest is ``StoreUnavailable``.
Numbers: dev.mysql.com "Server Error Message Reference" and mariadb.com "MariaDB Error Codes".
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from asyncmy import errors

from parlor.errors import InvalidRequest, ParlorError, StoreUnavailable
from parlor.store.ports import RowRefused, SeqConflict
from parlor.store.procedure_store import NoSuchProcedure

RETRY_AFTER = 1.0
"""Seconds that a client is told to wait while a database does not answer."""

REPEAT = frozenset({1020, 1205, 1213})
"""Record changed since the snapshot, lock wait timeout, deadlock: the transaction is repeated whole."""

LOST = frozenset({1927, 2006, 2013, 2055, 4031})
"""The connection is gone: killed, the server restarted, or idle for too long."""

UNKNOWN_DATABASE = 1049
COLUMN_EXISTS = 1060

_SIGNAL = 1644
_NO_PROCEDURE = 1305
_ARGUMENTS = 1318
_ROW = frozenset(
    {
        1048,  # column cannot be null
        1062,  # duplicate key
        1153,  # packet bigger than max_allowed_packet
        1264,  # out of range
        1265,  # data truncated
        1292,  # wrong value
        1366,  # wrong value for the column's type or character set
        1406,  # data too long
        3819,  # CHECK violated (MySQL)
        4025,  # CHECK violated (MariaDB)
        *range(3140, 3159),  # JSON text and paths (MySQL)
        *range(3665, 3670),  # JSON_TABLE (MySQL)
        *range(4035, 4045),  # JSON text and paths (MariaDB)
        *range(4173, 4181),  # JSON_TABLE (MariaDB)
    }
)


def number_of(error: BaseException) -> int:
    """The server's or the driver's error number, 0 for none."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


def translate(error: BaseException, label: str) -> ParlorError | NoSuchProcedure:
    """The store's error for what the driver raised; ``label`` is for the log."""
    if isinstance(error, UnicodeError):
        return RowRefused(debug=f"{label}: {error!r}")
    if isinstance(error, TimeoutError):
        return StoreUnavailable(debug=f"{label}: timed out", retry_after=RETRY_AFTER)
    number = number_of(error)
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    debug = f"{label}: ({number}) {text}" if number else f"{label}: {error!r}"
    if number == _SIGNAL and text.startswith("seq-conflict"):
        return SeqConflict(debug=debug)
    if number == _SIGNAL and text.startswith("row-refused"):
        return RowRefused(debug=debug)
    if number == _NO_PROCEDURE:
        return NoSuchProcedure(debug)
    if number == _ARGUMENTS:
        return InvalidRequest("The procedure takes other arguments", debug=debug)
    state = error.sqlstate if isinstance(error, errors.MySQLError) else None
    if number in _ROW or str(state or "")[:2] in {"22", "23"}:
        return RowRefused(debug=debug)
    return StoreUnavailable(debug=debug, retry_after=RETRY_AFTER)


@contextlib.contextmanager
def translated(label: str) -> Iterator[None]:
    """For who reads or writes a whole database of either kind: in the block its errors become the store's. ``label``
    names the database."""
    try:
        yield
    except (errors.MySQLError, OSError, TimeoutError) as error:
        raise translate(error, label) from error
    except sqlite3.Error as error:
        raise StoreUnavailable(debug=f"{label}: {error}") from error
