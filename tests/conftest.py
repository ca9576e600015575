"""What every kind of test shares: one running installation of each kind, for all tests that ask for one.

A test that takes the fixture ``installation`` runs once for each kind that its module names in ``KINDS`` (default:
both). Pytest groups tests by kind, so each is started once, and one at a time.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from tests.installation import Installation, installed, missing_programs
from tests.schedule import GroupScheduling, arrange
from tests.servers import skip_or_fail

KINDS = ("embedded", "private")
TEST_SECONDS = 180.0
"""For one test; the start of the installation has time limits of its own and is not counted. Every wait in a test has a
shorter limit, except on a very busy machine (``tests.integration.waiting``)."""

# How long an example takes says more about the machine than about what is tested.
settings.register_profile("busy", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "installation" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "KINDS", KINDS)
        metafunc.parametrize("installation", kinds, indirect=True, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end: the garbage collector does not look through it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What breaks the installation on purpose (``LAST = True`` in its module) comes after what only uses it."""
    items.sort(key=lambda item: getattr(getattr(item, "module", None), "LAST", False))
    arrange(items)
    for item in items:
        if "installation" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling | None:
    """With ``--dist loadscope`` groups are kept together; otherwise workers are given single tests."""
    return GroupScheduling(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.fixture(scope="session")
def installation(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """A running installation, shared: use accounts of your own."""
    kind = request.param
    if missing := missing_programs(kind):
        skip_or_fail(f"not installed: {', '.join(missing)}")
    with installed(kind) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """The shared installation ends with its group, not with the session: idle it takes a sixth of a core."""
    yield
    if isinstance(item, pytest.Function) and not _shares(nextitem) and _shares(item):
        for definition in item._fixtureinfo.name2fixturedefs["installation"]:
            # The request only names who asks.
            definition.finish(item._request)  # type: ignore[arg-type]


def _shares(item: pytest.Item | None) -> bool:
    # After the last test of all the session ends it.
    return item is None or "installation" in getattr(item, "fixturenames", ())


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An actor that a test makes configures the logs of its whole process; later tests capture lines of every level."""
    configure = structlog.configure

    def without_cache(**options: Any) -> None:
        configure(**options | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", without_cache)
    yield
    structlog.reset_defaults()
