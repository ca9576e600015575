"""What Serve logs in a replica."""

from __future__ import annotations

import inspect
import logging
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models use what pydantic deprecates
    from ray.serve._private import replica

    from api import serve_log

pytestmark = pytest.mark.unit


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def serves(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    logger = logging.Logger("serve", logging.INFO)  # noqa: LOG001 - one that this test has to itself
    logger.manager = logging.Manager(logging.RootLogger(logging.WARNING))
    monkeypatch.setitem(vars(replica), "logger", logger)
    return logger


def test_no_record_is_made_for_a_request_and_warnings_stay(serves: logging.Logger) -> None:
    records = Records()
    serves.addHandler(records)
    serve_log.install()
    quiet: logging.Logger = vars(replica)["logger"]
    assert not quiet.isEnabledFor(logging.INFO)
    assert serves.isEnabledFor(logging.INFO), "ours go through it: Serve redirects standard error there"
    quiet.parent = serves
    quiet.info("a request")
    quiet.warning("a fault")
    assert records.messages == ["a fault"]


def test_serve_still_logs_each_request_by_the_name_that_is_replaced() -> None:
    source = inspect.getsource(replica)
    assert "logger = logging.getLogger(SERVE_LOGGER_NAME)" in source
    assert "logger.info(\n            access_log_msg(" in source
