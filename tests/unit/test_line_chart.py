"""The picture of a cluster's timeline."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.line_chart import Line, Mark, Panel, line_chart

pytestmark = pytest.mark.unit

SVG = "{http://www.w3.org/2000/svg}"


def test_every_line_is_drawn_to_the_scale_of_its_panel() -> None:
    nodes = Panel("nodes", [Line("nodes", [(0, 1), (50, 3), (100, 1)])])
    rooms = Panel("rooms", [Line("head", [(0, 10), (100, 5)]), Line("node <1>", [(0, 0), (100, 20)])])
    picture = ET.fromstring(line_chart("Nodes & rooms", [nodes, rooms], [Mark(50, "upgrade")], 100))  # noqa: S314 - our own text
    lines = [
        [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        for line in picture.iter(f"{SVG}polyline")
    ]
    (one, three, again), (ten, five), (nothing, twenty) = lines
    assert one[0] < three[0] < again[0]
    assert three[0] - one[0] == pytest.approx(again[0] - three[0], abs=0.2)
    assert one[1] == again[1] > three[1], "more is higher"
    assert nothing[1] - ten[1] == pytest.approx(2 * (nothing[1] - five[1]), abs=0.2)
    assert nothing[1] - twenty[1] == pytest.approx(2 * (nothing[1] - ten[1]), abs=0.2), "one scale for both"
    texts = [found.text for found in picture.iter(f"{SVG}text")]
    assert {"Nodes & rooms", "upgrade", "nodes", "rooms", "head", "node <1>"} <= set(texts)


def test_nothing_is_a_line_at_the_bottom() -> None:
    picture = ET.fromstring(line_chart("x", [Panel("errors", [Line("errors", [(0, 0), (9, 0)])])], [], 9))  # noqa: S314
    (line,) = picture.iter(f"{SVG}polyline")
    assert len({point.split(",")[1] for point in line.attrib["points"].split()}) == 1
