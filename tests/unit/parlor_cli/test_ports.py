"""Ports are checked and chosen before anything starts."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from parlor_cli import ports
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener.getsockname()[1]


def test_a_port_with_a_listener_is_refused_with_the_reason(taken: int) -> None:
    with pytest.raises(Refusal, match=f"127.0.0.1:{taken}: another program listens there"):
        ports.require("127.0.0.1", taken)
    assert not ports.is_free(taken)


def test_a_free_port_is_accepted() -> None:
    ports.require("127.0.0.1", ports.one())


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104 - it only asks
def test_nothing_is_wrong_with_a_host_of_this_machine(host: str) -> None:
    assert ports.why_not(host, 0) == ""


@pytest.mark.parametrize("host", ["192.0.2.123", "999.1.1.1", "0.0.0.0:80", "no-such-host.invalid"])
def test_what_is_wrong_with_a_host_is_found_without_a_port(host: str) -> None:
    assert ports.why_not(host, 0)


def test_a_foreign_address_is_refused_with_the_reason() -> None:
    with pytest.raises(Refusal, match="not one of this machine"):
        ports.require("192.0.2.123", 8000)  # TEST-NET-1


def test_all_ports_of_a_plan_differ_and_stay_below_the_ephemeral_ones() -> None:
    plan = ports.choose(http=0, dashboard=0, seed="one")
    single = [
        plan.http,
        plan.dashboard,
        plan.metrics_export,
        plan.haproxy_stats,
        plan.haproxy_metrics,
        plan.fallback_http,
        plan.fallback_grpc,
        plan.dashboard_agent,
        plan.monitor_metrics,
        plan.dashboard_metrics,
        plan.health,
    ]
    every = [*single, *plan.replicas, *plan.replicas_grpc]
    assert len(set(every)) == len(every)
    assert min(every) >= 20_000
    assert max(every) < 32_768
    assert len(plan.replicas) >= 50


def test_given_ports_are_kept() -> None:
    plan = ports.choose(http=8123, dashboard=8456, seed="one")
    assert (plan.http, plan.dashboard) == (8123, 8456)


def test_a_block_with_a_taken_port_is_passed_over() -> None:
    first = ports.choose(http=0, dashboard=0, seed="one")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", first.replicas[5]))
        listener.listen(1)
        assert ports.choose(http=0, dashboard=0, seed="one").first != first.first


def test_installations_begin_their_search_at_different_blocks() -> None:
    assert len({ports.choose(http=0, dashboard=0, seed=str(seed)).first for seed in range(5)}) > 1
