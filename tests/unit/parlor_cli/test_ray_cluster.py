"""How Ray and Serve are configured for an installation."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from parlor_cli import ray_cluster
from parlor_cli.installation import MARKER, Installation
from parlor_cli.options import effective
from parlor_cli.ports import PortPlan

pytestmark = pytest.mark.unit
rays_own_warnings = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
"""Of the first import of ``ray.serve``."""

PORTS = PortPlan(first=20_000, http=8000, dashboard=20_001)


def _environment(home: Installation, command: Path | None) -> dict[str, str]:
    return ray_cluster.environment(home, effective(home, {}), PORTS, command)


@rays_own_warnings
def test_every_variable_of_serve_is_one_that_it_reads(home: Installation) -> None:
    import ray.serve._private as serve

    sources = "".join(path.read_text() for path in Path(serve.__path__[0]).glob("*.py"))
    given = [name for name in _environment(home, Path("/x")) if name.startswith("RAY_SERVE_")]
    assert len(given) > 15
    assert [name for name in given if f'"{name}"' not in sources] == []


def test_the_cluster_asks_for_this_installations_token(home: Installation) -> None:
    found = _environment(home, None)
    assert found["RAY_AUTH_MODE"] == "token"
    assert found["RAY_AUTH_TOKEN_PATH"] == str(home.ray_token_path)
    assert found[MARKER] == str(home.runtime_dir)


def test_streams_outlive_a_reload_of_haproxy(home: Installation) -> None:
    lifetime = effective(home, {}).api.stream_lifetime.total_seconds()
    assert int(_environment(home, Path("/x"))["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"]) >= lifetime


@rays_own_warnings
def test_a_dead_haproxy_is_replaced_within_seconds(home: Installation) -> None:
    from ray.serve._private.constants import PROXY_HEALTH_CHECK_UNHEALTHY_THRESHOLD

    period = float(_environment(home, Path("/x"))["RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S"])
    assert period * PROXY_HEALTH_CHECK_UNHEALTHY_THRESHOLD <= 5


def test_a_client_that_stalls_holds_its_connection_for_a_minute_at_the_most(home: Installation) -> None:
    heartbeat = effective(home, {}).api.heartbeat.total_seconds()
    assert 2 * heartbeat <= int(_environment(home, Path("/x"))["RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S"]) <= 60


def test_haproxys_files_are_all_in_the_runtime_directory(home: Installation) -> None:
    found = _environment(home, Path("/x"))
    for name in ("CONFIG_FILE_LOC", "SOCKET_PATH", "SERVER_STATE_BASE", "SERVER_STATE_FILE"):
        assert found[f"RAY_SERVE_HAPROXY_{name}"].startswith(f"{home.runtime_dir}/")


def test_serve_parses_no_line_for_each_request(home: Installation) -> None:
    assert _environment(home, Path("/x"))["RAY_SERVE_HAPROXY_METRICS_ENABLED"] == "0"


def test_without_haproxy_serves_own_proxy_takes_the_requests(home: Installation) -> None:
    found = _environment(home, None)
    assert found["RAY_SERVE_ENABLE_HA_PROXY"] == "0"
    assert found["RAY_SERVE_ENABLE_DIRECT_INGRESS"] == "0"


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:6379", True),
        ("10.1.2.3:6379", False),
        ("127.0.0.10:6379", False),
        ("auto", False),
    ],
)
def test_only_what_ray_itself_takes_for_loopback_is_left_as_it_is(address: str, loopback: bool) -> None:
    assert ray_cluster.is_loopback(address) == loopback


@rays_own_warnings
def test_ray_keeps_loopback_only_where_it_is_told_to() -> None:
    from ray._private import services

    for loopback in (True, False):
        with ray_cluster._our_way(loopback=loopback):
            assert (services.resolve_ip_for_localhost("127.0.0.1") == "127.0.0.1") == loopback


def test_every_process_of_a_private_cluster_keeps_loopback(home: Installation) -> None:
    script = "from ray._private import services; print(services.resolve_ip_for_localhost('127.0.0.1'))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=os.environ | _environment(home, None),
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "127.0.0.1"


def test_a_late_environment_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", sys)
    with pytest.raises(RuntimeError, match="imported before"):
        ray_cluster.enter({})


def test_the_command_starts_without_ray() -> None:
    script = (
        "import sys, parlor_cli.commands;"
        "sys.exit(any(name.split('.')[0] in ('ray', 'fastapi') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)


# What `ray.init` has no arguments for


def test_ray_init_takes_the_port_of_the_dashboards_agent_from_its_parameters() -> None:
    from ray._private import parameter, worker

    plain = parameter.RayParams
    with ray_cluster._our_way(20_007):
        assert parameter.RayParams().dashboard_agent_listen_port == 20_007
        assert parameter.RayParams(num_cpus=3).num_cpus == 3
    assert parameter.RayParams is plain
    with ray_cluster._our_way(loopback=False):
        assert parameter.RayParams is plain
    source = inspect.getsource(worker.init)
    assert "ray._private.parameter.RayParams(" in source
    assert "dashboard_agent_listen_port" not in source


def test_ray_init_leaves_the_signals_of_the_process_alone() -> None:
    from ray._private import node, utils, worker

    before = signal.getsignal(signal.SIGTERM)
    with ray_cluster._our_way(loopback=False):
        utils.set_sigterm_handler(lambda *_: None)  # type: ignore[no-untyped-call] # Ray's
        assert signal.getsignal(signal.SIGTERM) == before
    for module in (node, worker):
        source = inspect.getsource(module)
        assert "ray._private.utils.set_sigterm_handler(" in source
        assert "signal.signal(signal.SIGTERM" not in source


def test_every_port_that_ray_has_a_fixed_one_for_is_of_the_plan(home: Installation) -> None:
    from ray.autoscaler._private import constants
    from ray.dashboard import consts

    found = _environment(home, Path("/x"))
    for module, name in ((constants, "AUTOSCALER_METRIC_PORT"), (consts, "DASHBOARD_METRIC_PORT")):
        assert f'env_integer("{name}"' in inspect.getsource(module)
        assert int(found[name]) in range(PORTS.first, PORTS.first + 20)


def test_temporary_files_are_in_the_runtime_directory_and_sockets_fit_there(home: Installation) -> None:
    directory = _environment(home, None)["TMPDIR"]
    assert directory.startswith(f"{home.runtime_dir}/")
    assert len(f"{directory}/pymp-01234567/listener-01234567") < 100
