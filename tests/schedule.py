"""Which tests run one after the other, and which beside each other, when pytest has several workers (``make test``).

The tests of one group run in one worker, in the order of collection, and share what the worker has started. A free
worker takes the next group, so the long ones begin first and the short ones fill what is left.
"""

from __future__ import annotations

import re

import pytest
from xdist.scheduler import LoadScopeScheduling

_KIND = re.compile(r"\[(embedded|private)[-\]]")
_PARTS = ("contract/store", "contract/cache", "chaos/simulation", "chaos/system")
"""Directories whose tests share what is started once."""
_LONG = ("private", "embedded", "cluster", "cluster/test_autoscaler.py", "chaos/system")
_BUSY = ("chaos/simulation", "contract/store", "contract/cache")
_ORDER = {group: position for position, group in enumerate((*_LONG, *_BUSY))}
"""These groups begin first, in this order: one that began last would be waited for alone."""


def group_of(test: str) -> str:
    """The group of a test, by its node id: the kind of the shared installation, the cluster, or else its module.

    A test that makes installations of its own shares nothing, and is a group of its own.
    """
    path, _, name = test.removeprefix("tests/").partition("::")
    top, _, rest = path.partition("/")
    if top in ("browser", "integration") and (kind := _KIND.search(name)) is not None:
        return kind[1]
    if top == "cluster" and rest != "test_autoscaler.py":
        return top
    if path.startswith("integration/lifecycle/") and not path.endswith("/test_whole_life.py"):
        return f"{path}::{name}"
    return next((part for part in _PARTS if path.startswith(part)), path)


def arrange(items: list[pytest.Item]) -> None:
    """Brings the tests into the order in which their groups begin; within a group nothing moves."""
    items.sort(key=lambda item: _ORDER.get(group_of(item.nodeid), len(_ORDER)))


class GroupScheduling(LoadScopeScheduling):
    """A worker is given a group at a time. (`--dist loadgroup` of pytest-xdist 3.8 forms no groups with pytest 9.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
