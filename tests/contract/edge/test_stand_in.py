"""HAProxy that is killed: a stand-in serves until Serve has started another one. With real processes, as Serve has
them: Ray's, which starts a manager, which starts HAProxy by the command that Serve is given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from parlor_cli import haproxy, stand_in
from parlor_cli.front_end import haproxy_binary
from tests.integration.waiting import eventually
from tests.servers import free_ports
from tests.unit.parlor_cli.haproxy_front import a_front_end, serves_config

T = TypeVar("T")

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore")]

MANAGER = "import subprocess, sys; subprocess.call(sys.argv[1:])"
"""Starts a process, and ends with it."""
RAY = "import subprocess, sys, time; subprocess.call(sys.argv[1:]); time.sleep(600)"
"""Starts a process, and outlives it."""


class Node:
    """Ray's processes, their managers and their HAProxies, all with one configuration."""

    def __init__(self, directory: Path) -> None:
        self._original = serves_config(directory)
        front, statistics, metrics = free_ports(3)
        for known, port in {"127.0.0.1:8000": front, ":20003": statistics, ":20004": metrics}.items():
            self._original = self._original.replace(known, f"{known.rpartition(':')[0]}:{port}")
        self.config = directory / "haproxy.cfg"
        self.stand_in = directory / "haproxy.cfg.stand-in"
        self._url = f"http://127.0.0.1:{front}/healthz"
        self._rays: list[subprocess.Popen[bytes]] = []
        self._said = directory / "stderr"

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        self.config.write_text(self._original)
        adapter = [sys.executable, "-I", haproxy.__file__, str(a_front_end()), str(haproxy_binary())]
        starters = [sys.executable, "-c", RAY, sys.executable, "-c", MANAGER]
        with self._said.open("ab") as said:
            ray = subprocess.Popen([*starters, *adapter, "-db", "-f", str(self.config), "-dR", *options], stderr=said)
        self._rays.append(ray)
        return ray

    def haproxies(self, config: Path) -> list[int]:
        """Those with this configuration."""
        return [pid for pid, words in _commands() if words[0].endswith("haproxy") and str(config) in words]

    def watchers(self) -> list[int]:
        return [pid for pid, words in _commands() if haproxy.__file__ in words[:3] and str(self.config) in words]

    def answers(self) -> bool:
        """Whether anybody answers; without a replica the answer is 503."""
        try:
            urllib.request.urlopen(self._url, timeout=5).close()  # noqa: S310 - http
        except urllib.error.HTTPError as error:
            return error.code == 503
        except OSError:
            return False
        return True

    async def serving(self) -> int:
        """The HAProxy that Serve has started, when it serves."""
        (pid,) = await eventually(_async(lambda: self.haproxies(self.config)), lambda found: len(found) == 1)
        await eventually(_async(self.answers), bool)
        # Whoever is killed before is one that did not start.
        watched = f"HAProxy {pid} answers and is watched\n"
        await eventually(_async(self._said.read_text), lambda said: watched in said)
        return pid

    def end(self) -> None:
        for ray in self._rays:
            ray.kill()
            ray.wait()
        for pid in [*self.haproxies(self.config), *self.haproxies(self.stand_in)]:
            os.kill(pid, signal.SIGKILL)


def _commands() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if words[0]:
                yield int(entry.name), words


def _async(call: Callable[[], T]) -> Callable[[], Awaitable[T]]:
    async def ask() -> T:
        return call()

    return ask


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    if haproxy_binary() is None:
        pytest.skip("there is no HAProxy for this platform")
    found = Node(tmp_path)
    yield found
    found.end()


async def test_a_killed_haproxy_is_stood_in_for_until_serve_has_another(node: Node) -> None:
    node.start()
    os.kill(await node.serving(), signal.SIGKILL)
    await eventually(_async(node.answers), bool)
    assert len(node.haproxies(node.stand_in)) == 1
    assert not stand_in.answers(stand_in.admin_socket(node.config)), "Serve would not replace its own"
    node.start()
    await node.serving()
    await eventually(_async(lambda: node.haproxies(node.stand_in)), lambda found: not found)
    assert node.answers()


async def test_the_stand_in_of_a_stand_ins_successor(node: Node) -> None:
    for _ in range(2):
        node.start()
        os.kill(await node.serving(), signal.SIGKILL)
        await eventually(_async(lambda: node.haproxies(node.stand_in)), bool)
        await eventually(_async(node.answers), bool)


async def test_a_reload_needs_no_stand_in(node: Node) -> None:
    node.start()
    old = await node.serving()
    (watcher,) = node.watchers()
    node.start("-sf", str(old), "-x", stand_in.admin_socket(node.config))
    await eventually(_async(node.watchers), lambda found: found and watcher not in found)
    assert not node.stand_in.exists()
    assert node.answers()


async def test_after_rays_end_nobody_stands_in(node: Node) -> None:
    ray = node.start()
    await node.serving()
    ray.kill()
    await eventually(_async(node.watchers), lambda found: not found)
    assert not node.stand_in.exists()


async def test_a_stand_in_ends_with_ray(node: Node) -> None:
    ray = node.start()
    os.kill(await node.serving(), signal.SIGKILL)
    await eventually(_async(lambda: node.haproxies(node.stand_in)), bool)
    ray.kill()
    await eventually(_async(lambda: node.haproxies(node.stand_in)), lambda found: not found)


def test_a_stand_in_has_no_admin_socket(tmp_path: Path) -> None:
    original = serves_config(tmp_path)
    path = tmp_path / "haproxy.cfg"
    assert stand_in.admin_socket(path) == str(tmp_path / "a.sock")
    path.write_text(stand_in.without_admin_socket(original))
    assert stand_in.admin_socket(path) == ""
    assert len(path.read_text().splitlines()) == len(original.splitlines()) - 1
    assert not stand_in.answers("")
