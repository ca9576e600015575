"""A Prometheus as docs/ALERTS.md tells an operator to run it, and what Grafana asks of it."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
import yaml

from tests.servers import START_TIMEOUT, STOP_TIMEOUT, Unavailable, free_ports
from tests.sources import ROOT

PAGE = ROOT / "docs/ALERTS.md"
SCRAPE_SECONDS = 5
"""Instead of the page's 15, so that a test has data soon. Ray's processes report every 10 s."""
RATE_SECONDS = 60
"""What Grafana makes of ``$__rate_interval`` with the page's interval: four scrapes."""
_ASK_SECONDS = 20.0


class Series(msgspec.Struct, frozen=True):
    labels: dict[str, str]
    points: list[tuple[float, float]]
    """Seconds since the epoch, and values; those that are no number are left out."""


class Prometheus:
    """One that runs."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> list[Series]:
        """What an expression is now. Raises ``ValueError`` when Prometheus refuses it."""
        found = self._ask("query", query=filled(expression))
        return [_series(one["metric"], [one["value"]]) for one in found["result"]]

    def range(self, expression: str, began: float, ended: float) -> list[Series]:
        """What it was all the time."""
        given = {"start": str(began), "end": str(ended), "step": str(SCRAPE_SECONDS)}
        found = self._ask("query_range", query=filled(expression), **given)
        return [_series(one["metric"], one["values"]) for one in found["result"]]

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, with health and last error."""
        found: list[dict[str, Any]] = self._ask("targets")["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """The alert rules as they stand: health, state, and the error of the last evaluation."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def _ask(self, what: str, **given: str) -> Any:
        answer = httpx2.get(f"{self._url}/api/v1/{what}", params=given, timeout=_ASK_SECONDS)
        if answer.is_error:
            raise ValueError(f"{given}: {answer.text}")
        return answer.json()["data"]


def filled(expression: str) -> str:
    """As Grafana sends it."""
    return expression.replace("$__rate_interval", f"{RATE_SECONDS}s")


def _series(labels: dict[str, str], values: list[tuple[float, str]]) -> Series:
    points = [(at, float(value)) for at, value in values if value not in ("NaN", "+Inf", "-Inf")]
    return Series({name: value for name, value in labels.items() if name != "__name__"}, points)


def configuration(metrics_url: str) -> dict[str, Any]:
    """What the page says, for this installation."""
    (block,) = re.findall(r"```yaml\n(scrape_configs:.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(block)
    (job,) = found["scrape_configs"]
    job["scrape_interval"] = f"{SCRAPE_SECONDS}s"
    (targets,) = job["static_configs"]
    targets["targets"] = [urlsplit(metrics_url).netloc]
    found["rule_files"] = [str(ROOT / name) for name in found["rule_files"]]
    return found


@contextlib.contextmanager
def prometheus(directory: Path, metrics_url: str) -> Iterator[Prometheus]:
    """Raises ``Unavailable`` when it is not installed."""
    program = shutil.which("prometheus")
    if program is None:
        raise Unavailable("prometheus is not installed")
    file, log = directory / "prometheus.yml", directory / "prometheus.log"
    file.write_text(yaml.safe_dump(configuration(metrics_url)), encoding="utf-8")
    (port,) = free_ports(1)
    options = [f"--config.file={file}", f"--storage.tsdb.path={directory / 'series'}"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, *options, f"--web.listen-address=127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(process, f"{url}/-/ready", log)
        yield Prometheus(url)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(url, timeout=5).is_success:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"prometheus did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
