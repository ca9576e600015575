"""Serve's own template, adapted: what Ray writes is rendered by Ray's code, so a new Ray is held to this too."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from cli import haproxy, ray_cluster
from parlor.errors import ContentTooLarge, InternalError, InvalidRequest, Overloaded

pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The configuration of a node with one application."""
    from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
    from ray.serve.config import HTTPOptions

    directory = tmp_path_factory.mktemp("h")
    backend = BackendConfig(
        name="parlor",
        path_prefix="/",
        app_name="parlor",
        servers=[ServerConfig("one", "127.0.0.1", 20020)],
        fallback_server=ServerConfig("fallback", "127.0.0.1", 20005),
    )
    config = HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=8000),
        socket_path=str(directory / "a.sock"),
        server_state_base=str(directory),
        server_state_file=str(directory / "state"),
        metrics_socket_path=str(directory / "m.sock"),
        stats_port=20003,
        metrics_port=20004,
        is_head=True,
    )
    api = HAProxyApi(config, {"parlor": backend}, config_file_path=str(directory / "haproxy.cfg"))
    api._generate_config_file_internal()
    return (directory / "haproxy.cfg").read_text()


def test_statistics_and_metrics_listen_on_loopback_only(original: str) -> None:
    assert "bind *:20003" in original
    assert "bind :20004" in original
    adapted = haproxy.adapt(original)
    binds = [line.split()[1] for line in adapted.splitlines() if line.split()[:1] == ["bind"]]
    assert sorted(binds) == ["127.0.0.1:20003", "127.0.0.1:20004", "127.0.0.1:8000"]


def test_the_admin_socket_is_for_its_owner_only(original: str) -> None:
    adapted = haproxy.adapt(original)
    assert "mode 666" in original
    assert "mode 666" not in adapted
    assert "mode 600 level admin" in adapted


def test_serves_plain_error_pages_are_gone(original: str) -> None:
    assert "errorfile 503" in original
    adapted = haproxy.adapt(original)
    assert "errorfile" not in adapted
    assert "not found. Ping" in original
    assert "not found. Ping" not in adapted
    for status in haproxy.ERRORS:
        assert adapted.count(f"http-error status {status} content-type application/problem+json") == 1


def test_headers_that_switch_off_serves_own_limits_are_removed(original: str) -> None:
    adapted = haproxy.adapt(original)
    from ray.serve._private.constants import (
        SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER,
        SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER,
    )

    for header in (SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER, SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER):
        assert f"http-request del-header {header}" in adapted


def test_nothing_is_sent_to_the_machines_syslog(original: str) -> None:
    assert "127.0.0.1:514" in original
    adapted = haproxy.adapt(original)
    assert "127.0.0.1:514" not in adapted
    assert "log stderr format short local0 notice" in adapted


def test_adapting_twice_changes_nothing_more(original: str) -> None:
    once = haproxy.adapt(original)
    assert haproxy.adapt(once) == once


def test_every_other_line_stays(original: str) -> None:
    adapted = haproxy.adapt(original).splitlines()
    lost = [line for line in original.splitlines() if line not in adapted]
    assert len(lost) == 8  # log, stats socket, three errorfiles, two binds, the default backend's 404


def test_the_file_is_rewritten_in_place(original: str, tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(original)
    haproxy.rewrite(path)
    assert path.read_text() == haproxy.adapt(original)
    assert list(tmp_path.iterdir()) == [path]


def test_haproxy_accepts_the_adapted_file(original: str, tmp_path: Path) -> None:
    binary = ray_cluster.haproxy_binary()
    if binary is None:
        pytest.skip("there is no HAProxy for this platform")
    path = tmp_path / "haproxy.cfg"
    path.write_text(haproxy.adapt(original))
    checked = subprocess.run([binary, "-c", "-f", path], capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("status", haproxy.ERRORS)
def test_haproxys_problems_are_those_of_the_error_table(status: int) -> None:
    classes = {error.code: error for error in (InvalidRequest, ContentTooLarge, InternalError, Overloaded)}
    body = json.loads(haproxy.problem(status))
    error = classes[body["code"]]
    assert (body["errorCode"], body["title"]) == (error.error_code, error.title)
    assert body["type"] == f"/docs/errors#{error.code}"
    if error is not InvalidRequest:
        assert body["status"] == error.http_status
    assert ("retry_after_seconds" in body) == error.retryable
