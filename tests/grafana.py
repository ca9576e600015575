"""``python -m tests.grafana`` writes deploy/grafana/parlor.json anew: the dashboard is made here, panel by panel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).parents[1] / "deploy/grafana/parlor.json"
_WIDTH, _HEIGHT = 8, 7
"""Of a panel: three in a row of Grafana's 24 columns."""
_LAST_NAME = "(?:.*[/:])?([^/:.]+).*"


class Query(NamedTuple):
    """One expression, and what its lines are called (``{{actor}}``: by a label)."""

    expression: str
    legend: str


class Panel(NamedTuple):
    title: str
    description: str
    """What it shows, and what to make of it."""
    unit: str
    """Grafana's name for it."""
    queries: Sequence[Query]
    stacked: bool = False


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Per second, over Grafana's interval, which is at least four scrapes long."""
    summed = f"sum by ({by})" if by else "sum"
    return f"{summed} (rate({metric}{where}[$__rate_interval]))"


def quantile(share: float, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))"


def quantiles(metric: str) -> list[Query]:
    return [Query(quantile(share, metric), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)]


def happened(metric: str, by: str, within: str) -> str:
    """How often something rare did. A counter is there from the first time on, which ``increase`` does not count."""
    then = f"({metric} offset {within} or max_over_time({metric}[{within}]) * 0)"
    return f"sum by ({by}) (max_over_time({metric}[{within}]) - {then})"


def by_process(metric: str) -> str:
    """Ray calls a process ``ray::RoomActor``, ``ray::ServeReplica:parlor:ChatApi``, ``ray::Actor.method`` or by the
    path of its program; its agent has two names."""
    named = f'label_replace({metric}{{Component!="ray::DashboardAgent"}}, "process", "$1", "Component", "{_LAST_NAME}")'
    return f"sum by (process) ({named})"


ROWS: dict[str, list[Panel]] = {
    "What people notice": [
        Panel(
            "Sends",
            "Messages acknowledged per second, and those refused, by the error's code.",
            "reqps",
            [
                Query(rate("ray_parlor_sends_total", where='{outcome="ok"}'), "ok"),
                Query(rate("ray_parlor_sends_total", "outcome", '{outcome!="ok"}'), "{{outcome}}"),
            ],
        ),
        Panel(
            "Time to acknowledge a send",
            "From a send's turn in the mailbox to its acknowledgement by Redis.",
            "s",
            quantiles("ray_parlor_append_seconds"),
        ),
        Panel(
            "Errors answered",
            "Requests answered with an error per second, by code.",
            "reqps",
            [Query(rate("ray_parlor_problems_total", "code"), "{{code}}")],
            stacked=True,
        ),
        Panel(
            "Replies by how they ended",
            "Replies per second; error and interrupted are those that people see as failed.",
            "ops",
            [Query(rate("ray_parlor_replies_total", "outcome"), "{{outcome}}")],
            stacked=True,
        ),
        Panel(
            "Time to the first token",
            "From the start of an attempt to the language model's first token.",
            "s",
            quantiles("ray_parlor_first_token_seconds"),
        ),
        Panel(
            "Open streams",
            "Event streams that the replicas have open.",
            "short",
            [Query("sum(ray_parlor_open_streams)", "streams")],
        ),
    ],
    "Rooms": [
        Panel(
            "Rooms by actor",
            "Rooms that each RoomActor holds; those with an actor of their own together, as room.",
            "short",
            [Query("sum by (actor) (ray_parlor_rooms_active)", "{{actor}}")],
            stacked=True,
        ),
        Panel(
            "Sends by actor",
            "Which RoomActor does the work.",
            "reqps",
            [Query(rate("ray_parlor_sends_total", "actor", '{outcome="ok"}'), "{{actor}}")],
            stacked=True,
        ),
        Panel(
            "Commands in one call",
            "How much batching there is: the mean over all actors. It grows with the load.",
            "short",
            [
                Query(
                    f"{rate('ray_parlor_call_commands_sum')} / {rate('ray_parlor_call_commands_count')}",
                    "commands a call",
                )
            ],
        ),
        Panel(
            "Stale writes refused",
            "Writes of an owner that another one has replaced. Each is harmless; many mean that rooms move often.",
            "ops",
            [Query(rate("ray_parlor_stale_writes_refused_total", "what"), "{{what}}")],
        ),
    ],
    "Saving": [
        Panel(
            "Lag",
            "Age of the oldest operation that its shard does not have. Ordinarily below 3 s.",
            "s",
            [Query("max by (actor, shard) (ray_parlor_queue_lag_seconds)", "shard {{shard}}, {{actor}}")],
        ),
        Panel(
            "Operations that wait",
            "In the queues of the partitions that the writers hold.",
            "short",
            [Query("sum by (shard) (ray_parlor_queue_depth)", "shard {{shard}}")],
            stacked=True,
        ),
        Panel(
            "Operations stored",
            "Per second, by shard.",
            "ops",
            [Query(rate("ray_parlor_operations_stored_total", "shard"), "shard {{shard}}")],
            stacked=True,
        ),
        Panel(
            "Operations in a batch",
            "How much batching there is: the mean of a shard's batches. It grows with the load.",
            "short",
            [
                Query(
                    f"{rate('ray_parlor_operations_stored_total', 'shard')}"
                    f" / {rate('ray_parlor_batch_operations_count', 'shard')}",
                    "shard {{shard}}",
                )
            ],
        ),
        Panel(
            "Time of a commit",
            "Of one batch's transaction.",
            "s",
            [
                Query(quantile(0.95, "ray_parlor_commit_seconds", "shard"), "p95, shard {{shard}}"),
                Query(quantile(0.5, "ray_parlor_commit_seconds", "shard"), "p50, shard {{shard}}"),
            ],
        ),
        Panel(
            "Partitions not held",
            "Nothing of these is stored while it lasts; the label says why.",
            "short",
            [Query("sum by (shard, reason) (ray_parlor_partitions_not_held) > 0", "shard {{shard}}: {{reason}}")],
        ),
        Panel(
            "Dead letters and stale batches",
            "In an hour: operations set aside because the shard refused them; batches refused because another writer "
            "has the partition.",
            "short",
            [
                Query(happened("ray_parlor_operations_parked_total", "shard", "1h"), "dead letters, shard {{shard}}"),
                Query(happened("ray_parlor_stale_batches_refused_total", "shard", "1h"), "stale, shard {{shard}}"),
            ],
        ),
    ],
    "Processes": [
        Panel(
            "API replicas that are healthy",
            "Serve's own count.",
            "short",
            [Query("sum by (deployment) (ray_serve_deployment_replica_healthy)", "{{deployment}}")],
        ),
        Panel(
            "Processor by kind of process",
            "100 % is one core.",
            "percent",
            [Query(by_process("ray_component_cpu_percentage"), "{{process}}")],
        ),
        Panel(
            "Memory by kind of process",
            "Resident, as Ray measures it.",
            "decmbytes",
            [Query(by_process("ray_component_rss_mb"), "{{process}}")],
            stacked=True,
        ),
        Panel(
            "Nodes",
            "Memory in use, by node.",
            "bytes",
            [Query("sum by (instance) (ray_node_mem_used)", "{{instance}}")],
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        panels.append(_placed(len(panels), 0, y, 24, 1) | {"type": "row", "title": title, "collapsed": False})
        y += 1
        for number, panel in enumerate(row):
            column = number % 3
            panels.append(_placed(len(panels), column * _WIDTH, y, _WIDTH, _HEIGHT) | _panel(panel))
            if column == 2 or number == len(row) - 1:
                y += _HEIGHT
    return {
        "uid": "parlor",
        "title": "Parlor",
        "description": "Rooms, replies and what is stored. Made by `python -m tests.grafana`.",
        "tags": ["parlor", "ray"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
        },
        "annotations": {"list": []},
        "panels": panels,
    }


def _placed(number: int, x: int, y: int, width: int, height: int) -> dict[str, Any]:
    return {"id": number + 1, "gridPos": {"x": x, "y": y, "w": width, "h": height}}


def _panel(panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    custom = {"fillOpacity": 10, "showPoints": "never", "stacking": {"mode": "normal" if panel.stacked else "none"}}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": source,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for number, query in enumerate(panel.queries)
        ],
    }


def text() -> str:
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
