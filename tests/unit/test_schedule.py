"""Which tests share a worker: those that share an installation, a cluster or servers."""

from __future__ import annotations

import pytest

from tests.schedule import group_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/integration/test_stop.py::test_one[embedded]", "embedded"),
        ("tests/integration/test_hung.py::test_one[private-Supervisor]", "private"),
        ("tests/browser/test_page.py::test_one[embedded]", "embedded"),
        ("tests/browser/test_modules.py::test_one[x]", "browser/test_modules.py"),
        ("tests/cluster/test_serve_deploy.py::test_one", "cluster"),
        ("tests/cluster/test_serve_deploy.py::test_two", "cluster"),
        ("tests/cluster/test_autoscaler.py::test_one", "cluster/test_autoscaler.py"),
        ("tests/integration/lifecycle/test_whole_life.py::test_one", "integration/lifecycle/test_whole_life.py"),
        (
            "tests/integration/lifecycle/test_embedded.py::test_one[ray]",
            "integration/lifecycle/test_embedded.py::test_one[ray]",
        ),
        ("tests/contract/store/test_accounts.py::test_one[mysql]", "contract/store"),
        ("tests/chaos/simulation/test_simulation.py::test_one", "chaos/simulation"),
        ("tests/unit/rooms/test_room.py::test_one[embedded]", "unit/rooms/test_room.py"),
    ],
)
def test_tests_that_share_what_is_started_once_are_one_group(test: str, group: str) -> None:
    assert group_of(test) == group
