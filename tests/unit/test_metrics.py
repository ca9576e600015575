"""docs/METRICS.md lists every metric as it is sent: name, kind, labels, their values, and what it is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from actors import metrics as actor_metrics
from api import metrics as api_metrics
from api.edge import EdgeMetrics
from parlor.metrics import NoMetrics, RoomMetrics, WriterMetrics
from parlor.model.ids import RoomId
from parlor.model.messages import FinishReason
from parlor.rooms.own_actors import name_of

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "METRICS.md"


class Declared(NamedTuple):
    """A metric as it was handed to Ray, and what was sent with it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    description: str
    sent: list[dict[str, str]]


class Recorder:
    """Stands in for Ray's metric classes."""

    def __init__(self) -> None:
        self.metrics: list[Declared] = []

    def kind(self, kind: str) -> Any:
        recorder = self

        class Metric:
            def __init__(
                self,
                name: str,
                description: str,
                tag_keys: tuple[str, ...] = (),
                *,
                boundaries: Sequence[float] = (),
            ) -> None:
                self._declared = Declared(name, kind, tag_keys, description, [])
                self._default: dict[str, str] = {}
                assert list(boundaries) == sorted(boundaries)
                recorder.metrics.append(self._declared)

            def set_default_tags(self, tags: dict[str, str]) -> None:
                self._default = tags

            def set(self, value: float, tags: dict[str, str] | None = None) -> None:
                self._declared.sent.append(self._default | (tags or {}))

            def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
                self.set(value, tags)

            def observe(self, value: float, tags: dict[str, str] | None = None) -> None:
                self.set(value, tags)

        return Metric


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    for module in (actor_metrics, api_metrics):
        for kind in ("Counter", "Gauge", "Histogram"):
            monkeypatch.setattr(module, kind, recorder.kind(kind.lower()), raising=False)
    return recorder


@pytest.fixture
def sinks(recorder: Recorder) -> list[object]:
    """Everything that reports, over the recorder."""
    return [
        actor_metrics.RayRoomMetrics("rooms-000"),
        actor_metrics.RayWriterMetrics("writer-shard1-0", 1),
        api_metrics.RayEdgeMetrics(),
    ]


def page() -> dict[str, tuple[str, list[str], str]]:
    """Kind, labels and description by name."""
    row = re.compile(r"^\| `ray_(parlor_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)
    return {
        name: (kind, re.findall(r"`(\w+)`", labels), what)
        for name, kind, labels, what in row.findall(PAGE.read_text(encoding="utf-8"))
    }


def values(label: str) -> set[str]:
    """The values of a label in the list on the page."""
    lines = re.findall(rf"^- `{label}` of [^:]*: (.*(?:\n  .*)*)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {value for line in lines for value in re.findall(r"`([\w-]+)`", line)}


@pytest.mark.usefixtures("sinks")
def test_the_page_lists_every_metric_as_it_is_made(recorder: Recorder) -> None:
    made = {each.name: (each.kind, list(each.labels), each.description) for each in recorder.metrics}
    assert len(made) == len(recorder.metrics)
    assert page() == made


def test_every_report_is_sent_with_all_of_its_labels(recorder: Recorder, sinks: list[object]) -> None:
    for sink in sinks:
        for name, method in inspect.getmembers(sink, inspect.ismethod):
            if not name.startswith("_"):
                method(*(1 for _ in inspect.signature(method).parameters))
    assert [each.name for each in recorder.metrics if not each.sent] == []
    for each in recorder.metrics:
        assert [sent.keys() for sent in each.sent if sent.keys() != set(each.labels)] == []


@pytest.mark.usefixtures("recorder")
def test_what_a_status_tells_is_counted_with_the_metrics() -> None:
    rooms, writer = actor_metrics.RayRoomMetrics("rooms-000"), actor_metrics.RayWriterMetrics("writer-shard1-0", 1)
    for outcome in ("ok", "duplicate", "ok", "overloaded"):
        rooms.send(outcome)
    rooms.reply("stop")
    writer.batch(1, 50, 0.1)
    writer.batch(1, 7, 0.1)
    assert (rooms.acknowledged, rooms.replied, writer.committed) == (2, 1, 57)


def test_a_room_with_an_actor_of_its_own_is_in_no_label(recorder: Recorder) -> None:
    rooms = actor_metrics.RayRoomMetrics(name_of(RoomId("01a22e99-9272-803e-9e3f-e0b70182a02d")))
    rooms.send("ok")
    rooms.reply("stop")
    rooms.rooms_active(1)
    assert {sent["actor"] for each in recorder.metrics for sent in each.sent} == {"room"}


def test_a_name_says_its_unit(recorder: Recorder, sinks: list[object]) -> None:
    assert sinks
    for each in recorder.metrics:
        assert each.name.endswith("_total") == (each.kind == "counter")
        assert each.name.endswith("_seconds") == each.description.startswith(("Time", "Age"))


def test_the_page_lists_the_outcomes_of_sends_and_replies() -> None:
    assert values("outcome") == {"ok", "duplicate", *FinishReason}
    reported = {
        found
        for file in (ROOT / "parlor").rglob("*.py")
        for found in re.findall(r'\.stale_write_refused\("(\w+)"\)', file.read_text(encoding="utf-8"))
    }
    assert values("what") == reported


@pytest.mark.parametrize("port", [RoomMetrics, WriterMetrics, EdgeMetrics])
def test_every_report_is_explained(port: type) -> None:
    methods = inspect.getmembers(port, inspect.isfunction)
    assert [name for name, method in methods if not name.startswith("_") and not inspect.getdoc(method)] == []


def test_the_silent_ones_take_every_report() -> None:
    reports = {name for port in (RoomMetrics, WriterMetrics) for name in vars(port) if not name.startswith("_")}
    assert reports == {name for name in vars(NoMetrics) if not name.startswith("_")}
