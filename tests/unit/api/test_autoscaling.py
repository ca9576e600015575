"""How many replicas Serve is told to have, and what they report for it."""

from __future__ import annotations

import subprocess
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from api.autoscaling import PROCESSOR, REPLIES, STREAMS, ByLoad, Load, Most, load_of, wanted
from api.edge import Edge, NoMetrics
from api.load import ReplicaLoad
from parlor.settings import ApiSettings
from parlor.settings.limits import LimitSettings
from tests.sources import ROOT
from tests.unit.fake_clock import CountingEntropy, FakeClock

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models use what pydantic deprecates
    from ray.serve.config import AutoscalingConfig

pytestmark = pytest.mark.unit

MOST = Most(1600)


@pytest.mark.parametrize(
    ("load", "replicas"),
    [
        (Load(0, 0, 0), 0),
        (Load(1600, 0, 0.1), 1),
        (Load(4000, 100, 0.3), 2.5),  # idle readers
        (Load(900, 1200, 1.2), 3),  # replies of slow models: many, and little to do for each
        (Load(300, 200, 2.6), 4),  # short requests keep the processors busy
    ],
)
def test_the_scarcest_decides(load: Load, replicas: float) -> None:
    assert wanted(load, MOST) == pytest.approx(replicas)


def test_more_of_anything_never_wants_fewer() -> None:
    for streams in range(0, 5000, 500):
        for replies in range(0, 2000, 250):
            for tenths in range(0, 40, 5):
                load = Load(streams, replies, tenths / 10)
                for more in (Load(1, 0, 0), Load(0, 1, 0), Load(0, 0, 0.1)):
                    larger = Load(*(a + b for a, b in zip(load, more, strict=True)))
                    assert wanted(larger, MOST) >= wanted(load, MOST)


def test_the_load_is_the_sum_of_what_replicas_report() -> None:
    reported: dict[str, dict[object, float]] = {
        STREAMS: {"a": 10.0, "b": 20.0},
        REPLIES: {"a": 1.0},
        PROCESSOR: {"a": 0.25, "b": 0.5},
    }
    assert load_of(reported) == Load(30, 1, 0.75)
    assert load_of({}) is None
    assert load_of({STREAMS: {}}) is None


def context(reported: dict[str, dict[object, float]], requests: float) -> Any:
    return SimpleNamespace(aggregated_metrics=reported, total_num_requests=requests)


def test_requests_count_while_nobody_reports() -> None:
    policy = ByLoad(streams=1600, replies=400)
    assert policy(context({}, 1000)) == (2.5, {})
    assert policy(context({STREAMS: {"a": 3200.0}}, 9999)) == (2, {})


def test_serve_takes_the_policy_and_sends_it_by_value() -> None:
    """As its controller does, on a node that has none of Parlor's packages."""
    file = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    (deployment,) = file["applications"][0]["deployments"]
    config = AutoscalingConfig(**deployment["autoscaling_config"])
    config.policy.serialize_policy()
    ask = (
        "import pickle, sys; from types import SimpleNamespace as S; sys.modules['api'] = None;"
        "policy = pickle.loads(sys.stdin.buffer.read())(**{'streams': 1600});"
        "print(policy(S(aggregated_metrics={'parlor_processor': {'a': 1.3}}, total_num_requests=0))[0])"
    )
    policy = config.policy.get_serialized_policy_def()
    assert policy is not None
    done = subprocess.run([sys.executable, "-c", ask], input=policy, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert float(done.stdout) == pytest.approx(2)


async def test_a_replica_reports_what_it_does() -> None:
    clock, used = FakeClock(), [10.0]
    edge = Edge(ApiSettings(), LimitSettings(), clock, CountingEntropy(), NoMetrics())
    load = ReplicaLoad(edge, lambda: used[0])
    held = [edge.streams.take("ada"), edge.streams.take("ada", reply=True)]
    edge.under_way = 5  # the two streams, and three that wait
    await clock.advance(2.0)
    used[0] += 0.5
    assert load.report() == {STREAMS: 2.0, REPLIES: 4.0, PROCESSOR: 0.25}
    for slot in held:
        slot.release()
        slot.release()
    edge.under_way = 0
    await clock.advance(10.0)
    assert load.report() == {STREAMS: 0.0, REPLIES: 0.0, PROCESSOR: 0.0}
