"""What HAProxy is told of the settings."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from parlor_cli.configuration import Value
from parlor_cli.front_end import front_end, install_command
from parlor_cli.installation import Installation
from parlor_cli.options import effective

pytestmark = pytest.mark.unit

Given = dict[str, Value]


def test_times_are_those_of_the_settings(home: Installation) -> None:
    found = front_end(effective(home, {}))
    # Longer than the longest wait for a commit, and than two heartbeats.
    assert (found.answer, found.stream) == (25_000, 45_000)
    assert (found.head, found.body) == (10_000, 30_000)
    # Proxies close theirs after 60 s.
    assert found.idle > 60_000


@pytest.mark.parametrize(
    ("api", "connections", "most"),
    [
        ({}, {}, 10_000),
        ({"max_streams": 5000, "max_requests": 1000, "replicas_max": 2}, {}, 24_000),
        ({"max_streams": 5000}, {"most": 500}, 500),
    ],
)
def test_there_are_connections_for_all_that_replicas_take(
    home: Installation, api: Given, connections: Given, most: int
) -> None:
    assert front_end(effective(home, {"api": api, "connections": connections})).connections == most


def test_limits_can_be_turned_off(home: Installation) -> None:
    given: Given = {"per_address": "off", "proxies": "10.0.0.0/8, 192.0.2.7"}
    found = front_end(effective(home, {"connections": given}))
    assert (found.per_address, found.proxies) == (0, ["10.0.0.0/8", "192.0.2.7/32"])


def test_health_checks_have_a_port_when_one_is_given(home: Installation) -> None:
    assert front_end(effective(home, {})).health == ""
    given: Given = {"health_host": "192.0.2.1", "health_port": 8001}
    assert front_end(effective(home, {"connections": given})).health == "192.0.2.1:8001"


def test_the_command_adapts_the_file_and_becomes_haproxy(home: Installation, tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        "global\n    stats socket /x mode 666 level admin\ndefaults\n    mode http\n"
        "frontend http_frontend\n    bind 127.0.0.1:8000\nbackend parlor\n"
    )
    settings = effective(home, {"api": {"host": "192.0.2.1", "port": 8123}})
    command = install_command(home, settings, Path("/bin/echo"))
    done = subprocess.run([command, "-db", "-f", config, "-dR"], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == f"-db -f {config}\n", "-dR would keep the next one from the port"
    adapted = config.read_text()
    assert "mode 600" in adapted
    assert "bind 192.0.2.1:8123 proto h1 maxconn " in adapted
    assert "127.0.0.1:8000" not in adapted
