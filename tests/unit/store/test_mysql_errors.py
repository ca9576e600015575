"""Driver errors become the store's."""

from __future__ import annotations

import pytest
from asyncmy.errors import InterfaceError, MySQLError, OperationalError

from parlor.errors import InvalidRequest, StoreUnavailable
from parlor.store.mysql_errors import translate
from parlor.store.ports import RowRefused, SeqConflict
from parlor.store.procedure_store import NoSuchProcedure

pytestmark = pytest.mark.unit


def driver_error(number: int, text: str, state: str | None = None) -> MySQLError:
    error = OperationalError(number, text)
    error.sqlstate = state
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (driver_error(1644, "seq-conflict: r seq 1", "45000"), SeqConflict),
        (driver_error(1644, "row-refused: why", "45000"), RowRefused),
        (driver_error(1644, "somebody else's signal", "45000"), StoreUnavailable),
        (driver_error(1406, "Data too long", "22001"), RowRefused),
        (driver_error(1366, "Incorrect string value"), RowRefused),
        (driver_error(4038, "Syntax error in JSON text", "HY000"), RowRefused),
        (driver_error(3140, "Invalid JSON text", "22032"), RowRefused),
        (driver_error(9999, "a data exception of a later version", "22999"), RowRefused),
        (driver_error(1305, "PROCEDURE does not exist", "42000"), NoSuchProcedure),
        (driver_error(1318, "Incorrect number of arguments", "42000"), InvalidRequest),
        (driver_error(1045, "Access denied", "28000"), StoreUnavailable),
        (driver_error(1049, "Unknown database", "42000"), StoreUnavailable),
        (driver_error(2006, "gone away"), StoreUnavailable),
        (driver_error(1213, "Deadlock", "40001"), StoreUnavailable),
        (InterfaceError(0, "Not connected"), StoreUnavailable),
        (ConnectionResetError(104, "reset"), StoreUnavailable),
    ],
)
def test_each_driver_error_has_its_meaning(error: Exception, kind: type[Exception]) -> None:
    assert type(translate(error, "h:1/d")) is kind


def test_what_a_client_sees_does_not_tell_the_drivers_text() -> None:
    found = translate(driver_error(1045, "Access denied for user 'root'@'db'"), "h:1/d")
    assert isinstance(found, StoreUnavailable)
    assert "root" not in found.detail
    assert "h:1/d" in found.debug
    assert "1045" in found.debug
    assert found.retry_after
