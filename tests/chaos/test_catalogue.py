"""The faults that are made are those that the guarantees name."""

from __future__ import annotations

import re

import pytest

from tests.chaos.system.catalogue import FAULTS
from tests.sources import ROOT

pytestmark = pytest.mark.chaos


def test_every_fault_that_is_made_is_told_and_the_other_way_round() -> None:
    page = (ROOT / "docs/GUARANTEES.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`((?:kill|stop|empty|fill|flush|foreign|hold|lock|make|move)-[a-z-]+)`", page))
    assert told == FAULTS.keys()
