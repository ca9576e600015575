"""The dashboard and the alert rules: what they ask for exists, under these names, with these labels and values."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import ray
import yaml

from parlor import errors
from parlor.metrics import NotHeld
from parlor.model.messages import FinishReason
from tests import grafana
from tests.servers import skip_or_fail
from tests.unit.test_metrics import page

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"
ALERT_TESTS = ROOT / "deploy/prometheus/alerts.test.yaml"
RUNBOOK = ROOT / "docs/ALERTS.md"

_METRIC = re.compile(r"\b(ray_\w+)(?:\{([^}]*)\})?")
_GROUPS = re.compile(r"\bby \(([^)]*)\)")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
RAYS_OWN = {
    "ray_serve_deployment_replica_healthy": {"deployment", "application", "replica"},
    "ray_component_cpu_percentage": {"Component", "process", "instance"},
    "ray_component_rss_mb": {"Component", "process", "instance"},
    "ray_node_mem_used": {"instance"},
}
"""Metrics of Ray and Serve, with the labels that may be asked for: Prometheus adds ``instance``, the dashboard
``process``."""


class Asked(NamedTuple):
    """A metric in an expression, with the labels by which it is chosen and grouped."""

    metric: str
    labels: set[str]
    values: dict[str, set[str]]


def asked(expression: str) -> Iterator[Asked]:
    groups = {label.strip() for found in _GROUPS.findall(expression) for label in found.split(",")}
    for metric, chosen in _METRIC.findall(expression):
        matchers = _MATCHER.findall(chosen)
        assert ",".join(f'{label}{op}"{value}"' for label, op, value in matchers) == chosen.replace(" ", "")
        values = {label: set(value.split("|")) for label, _, value in matchers}
        yield Asked(metric, groups | values.keys(), values)


def known() -> dict[str, set[str]]:
    """Each series that Prometheus has of ours, with its labels."""
    found = dict(RAYS_OWN)
    for name, (kind, labels, _) in page().items():
        if kind == "histogram":
            found |= {f"ray_{name}_{part}": {*labels} for part in ("sum", "count")}
            found[f"ray_{name}_bucket"] = {*labels, "le"}
        else:
            found[f"ray_{name}"] = {*labels}
    return found


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


EXPRESSIONS = {
    **{
        f"{panel.title}: {query.legend}": query.expression
        for row in grafana.ROWS.values()
        for panel in row
        for query in panel.queries
    },
    **{rule["alert"]: rule["expr"] for rule in rules()},
}
CODES = {
    error.code for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, errors.ParlorError)
}
VALUES = {
    "Component": {"ray::DashboardAgent"},
    "code": CODES,
    "outcome": {"ok", "duplicate", *CODES, *FinishReason},
    "reason": set(NotHeld),
    "what": {"room", "reply"},
}


def test_the_dashboard_is_the_one_that_the_code_makes() -> None:
    """Run `python -m tests.grafana` after a change."""
    assert grafana.FILE.read_text(encoding="utf-8") == grafana.text()


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_what_is_asked_for_exists(expression: str) -> None:
    series, found = known(), list(asked(expression))
    assert found, "it asks for nothing"
    for metric, labels, values in found:
        assert metric in series
        assert labels <= series[metric], metric
        for label, named in values.items():
            assert named <= VALUES[label], metric


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_counters_and_histograms_are_asked_for_as_rates(expression: str) -> None:
    kinds = {f"ray_{name}": kind for name, (kind, _, _) in page().items()}
    rated = set(re.findall(r"(?:rate|max_over_time)\((ray_\w+)", expression))
    for metric, _, _ in asked(expression):
        counted = kinds.get(metric, "histogram" if metric not in RAYS_OWN else "gauge") != "gauge"
        assert (metric in rated) == counted, metric


@pytest.mark.parametrize(
    "wrong",
    [
        "sum(ray_parlor_rooms)",
        "sum by (room) (ray_parlor_rooms_active)",
        'rate(ray_parlor_sends_total{outcome="oops"}[1m])',
    ],
)
def test_the_checks_bite(wrong: str) -> None:
    with pytest.raises(AssertionError):
        test_what_is_asked_for_exists(wrong)


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {found.metric for expression in EXPRESSIONS.values() for found in asked(expression)}
    assert {name for name in page() if not any(metric.startswith(f"ray_{name}") for metric in shown)} == set()


@pytest.mark.parametrize("metric", RAYS_OWN)
def test_ray_has_these_metrics(metric: str) -> None:
    modules = Path(ray.__file__).parent
    places = ["dashboard/modules/reporter/reporter_agent.py", "serve/_private/deployment_state.py"]
    texts = [(modules / place).read_text(encoding="utf-8") for place in places]
    assert any(f'"{metric.removeprefix("ray_")}"' in text for text in texts)


def test_legends_name_labels_of_their_expression() -> None:
    for row in grafana.ROWS.values():
        for panel in row:
            assert panel.description.endswith(".")
            for query in panel.queries:
                groups = {label.strip() for found in _GROUPS.findall(query.expression) for label in found.split(",")}
                assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= groups - {"le"}, panel.title


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in grafana.dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        assert all(x < 24 for x, _ in cells)
        taken |= cells


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"]
    path, _, place = rule["annotations"]["runbook"].partition("#")
    assert (ROOT / path, place) == (RUNBOOK, rule["alert"].lower())
    assert f"\n### {rule['alert']}\n\n*" in RUNBOOK.read_text(encoding="utf-8")


def test_the_runbook_has_no_alert_that_there_is_not() -> None:
    named = re.findall(r"^### (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert named == [rule["alert"] for rule in rules()]


def test_prometheus_takes_the_rules() -> None:
    subprocess.run([promtool(), "check", "rules", ALERTS], check=True, timeout=60)


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    command = [promtool(), "test", "rules", str(ALERT_TESTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tried_firing_and_silent() -> None:
    tried: dict[str, set[bool]] = {}
    for case in yaml.safe_load(ALERT_TESTS.read_text(encoding="utf-8"))["tests"]:
        for look in case["alert_rule_test"]:
            tried.setdefault(look["alertname"], set()).add(bool(look.get("exp_alerts")))
    assert tried == {rule["alert"]: {True, False} for rule in rules()}


def promtool() -> str:
    if (found := shutil.which("promtool")) is None:
        skip_or_fail("promtool is not installed")
    return found
