"""`parlor bench`: measures a running installation."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from cli import ray_cluster
from cli.configuration import restore
from cli.installation import Installation
from cli.refusal import Refusal

NOOP = "noop"
PREFIX = "/bench"


def send(data_dir: Path, *, seconds: float, rounds: int, as_json: bool) -> int:
    """Deploys a no-op beside the API, on the same ingress, measures both, takes it away again. Raises ``Refusal`` when
    nothing runs."""
    installation = Installation.find(data_dir)
    run = installation.running() if installation else None
    settings_json = installation.read_settings() if installation else None
    if installation is None or run is None or not run.ready or settings_json is None:
        raise Refusal(f"nothing runs in {data_dir}: start it with `parlor up --servers private --detach`")
    settings = restore(settings_json)
    if run.private_ray:
        os.environ.update(ray_cluster.client_environment(installation.ray_token_path))
    ray_cluster.join(run.ray_address, settings.ray.namespace)
    try:
        from ray import serve

        from api.noop import build_noop_app
        from api.tokens import issue
        from bench.send import ACCOUNTS, Target, measure

        now = datetime.now(UTC)
        tokens = [issue(settings.auth, f"bench-{number}", None, now) for number in range(ACCOUNTS)]
        demo = settings.llm.base_url if "demo-model" in run.processes else ""
        where = urlsplit(run.url)
        target = Target(where.hostname or "", where.port or 80, tokens, f"{PREFIX}/v1/noop", demo)
        serve.run(build_noop_app(), name=NOOP, route_prefix=PREFIX)
        try:
            say = (lambda line: None) if as_json else print
            report = asyncio.run(measure(target, seconds=seconds, rounds=rounds, say=say))
        finally:
            serve.delete(NOOP)
    finally:
        ray_cluster.leave()
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        return 0
    first = report.first_token
    print(f"\nsends/s of the no-op's, 64 connections, {len(report.many)} rounds: {report.ratio_many:.2f} (median)")
    print(f"p50 above the no-op's, one connection: {report.extra_p50_ms_one:.2f} ms (median)")
    if first is not None:
        print(
            f"first token: direct p50 {first.direct_p50} p99 {first.direct_p99} ms, "
            f"through Parlor p50 {first.parlor_p50} p99 {first.parlor_p99} ms"
        )
    return 0
