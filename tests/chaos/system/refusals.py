"""How many stale writes were refused, from Ray's metrics: a fault test that sees none of them has tested little."""

from __future__ import annotations

import asyncio
import re

import httpx2
import msgspec

from tests.chaos.system.target import Target

_SERIES = re.compile(r"^(ray_parlor_stale_(?:writes|batches)_refused(?:_total)?\{[^}]*\}) ([0-9.e+]+)$", re.MULTILINE)
SECONDS = 5.0
LAG = 2.5
"""Seconds until a counter is on the metrics page: its report interval, which the site sets to one second, and the
agent's."""


class Refusals:
    """Counts what is new. A process that died takes its counter with it, so each one is looked at by itself."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._seen: dict[str, float] = {}

    async def new(self) -> int:
        """Since the last call; what a page that does not answer would have said comes with the next."""
        await asyncio.sleep(LAG)
        found: dict[str, float] = {}
        async with httpx2.AsyncClient(timeout=SECONDS, verify=False) as http:
            for target in self._targets():
                try:
                    text = (await http.get(f"http://{target}/metrics")).text
                except httpx2.HTTPError:
                    continue
                found |= {name: float(value) for name, value in _SERIES.findall(text)}
        fresh = sum(max(0.0, value - self._seen.get(name, 0.0)) for name, value in found.items())
        self._seen |= found
        return round(fresh)

    def _targets(self) -> list[str]:
        """Ray's own list of its nodes' metrics pages."""
        path = self._target.ray_dir / "prom_metrics_service_discovery.json"
        try:
            listed = msgspec.json.decode(path.read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):
            return []
        return [target for entry in listed for target in entry["targets"]]
