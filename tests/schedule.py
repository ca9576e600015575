"""Which tests run one after the other, and which beside each other, when pytest has several workers (``make test``).

Tests of one group run in one worker, in the order of collection, and share what the worker has started. A free worker
takes the next group, so the long ones begin first and the short ones fill what is left.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
KINDS = ("embedded", "private")

_LONG_GROUPS = ("private", "embedded", "cluster", "cluster/test_autoscaler.py", "chaos/simulation", "chaos/system")
"""In this order, before all others. Without an order a long group could begin last and be waited for alone."""


def group_of(item: pytest.Item) -> str:
    """The group of one test: the kind of installation it takes, the cluster, or else its module.

    A test that makes installations of its own (``make_parlor``) shares nothing: it is a group of its own.
    """
    module = item.path.relative_to(TESTS)
    if (kind := kind_of(item)) is not None:
        return kind
    if "make_parlor" in getattr(item, "fixturenames", ()):
        return f"{module}:{item.name}"
    match module.parts:
        case ("cluster", name) if name != "test_autoscaler.py":
            return "cluster"
        case ("chaos", "simulation" | "system" as part, *_):
            return f"chaos/{part}"
    return str(module)


def kind_of(item: pytest.Item) -> str | None:
    """Which installation the test shares with others; None for a test that takes none."""
    callspec = getattr(item, "callspec", None)
    kind = callspec.params.get("installation") if callspec is not None else None
    return kind if kind in KINDS else None


def arrange(items: list[pytest.Item]) -> None:
    """Marks the groups and brings them into the order in which they begin; within a group nothing moves."""
    order = {name: position for position, name in enumerate(_LONG_GROUPS)}
    items.sort(key=lambda item: order.get(group_of(item), len(order)))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
