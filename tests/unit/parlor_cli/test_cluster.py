"""Which Ray `parlor cluster` connects to: the configured one, or Parlor's own on this machine, and nobody else's."""

from __future__ import annotations

import inspect

import pytest

from parlor_cli import cluster, processes, ray_cluster
from parlor_cli.installation import MARKER
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

OURS = ["PATH=/bin", "PARLOR_AUTH__SECRET=s"]


class Machine:
    """The processes of this machine: command line and environment of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._processes: list[tuple[list[str], list[str]]] = []
        self.joined: list[str] = []
        monkeypatch.setattr(processes, "own_pids", lambda: iter(range(len(self._processes))))
        monkeypatch.setattr(processes, "command_line", lambda pid: self._processes[pid][0])
        monkeypatch.setattr(processes, "environment", lambda pid: self._processes[pid][1])
        monkeypatch.setattr(ray_cluster, "join", lambda address, _namespace: self.joined.append(address))
        monkeypatch.setattr(ray_cluster, "leave", lambda: None)

    def run(self, name: str, address: str, *variables: str) -> None:
        self._processes.append(([f"/site-packages/ray/{name}", "--x", f"--gcs-address={address}"], list(variables)))

    def join(self) -> str:
        with cluster._joined():
            pass
        return self.joined.pop()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.mark.parametrize("configured", [None, "auto"])
def test_a_foreign_ray_is_not_touched(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, configured: str | None
) -> None:
    if configured is not None:
        monkeypatch.setenv("PARLOR_RAY__ADDRESS", configured)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.9:6379")
    machine.run("raylet", "10.0.0.1:6379", "PATH=/bin", "PARLOR_URL=http://h", "MY_PARLOR_AUTH__SECRET=x")
    machine.run("gcs_server", "10.0.0.2:6379", *OURS)
    with pytest.raises(Refusal, match="no Ray of a Parlor cluster runs on this machine: set PARLOR_RAY__ADDRESS"):
        machine.join()
    assert machine.joined == []


def test_the_ray_of_an_installation_on_this_machine_is_no_clusters(machine: Machine) -> None:
    machine.run("raylet", "10.0.0.1:6379", *OURS, f"{MARKER}=/tmp/parlor-01234567")
    with pytest.raises(Refusal, match="`parlor status`"):
        machine.join()


def test_parlors_own_is_found_among_others(machine: Machine) -> None:
    machine.run("raylet", "10.0.0.1:6379")
    for _ in range(2):
        machine.run("raylet", "10.0.0.2:6379", *OURS)
    assert machine.join() == "10.0.0.2:6379"


def test_of_several_one_has_to_be_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.run("raylet", "10.0.0.1:6379", *OURS)
    machine.run("raylet", "10.0.0.2:6379", *OURS)
    with pytest.raises(Refusal, match=r"at 10\.0\.0\.1:6379, 10\.0\.0\.2:6379: set PARLOR_RAY__ADDRESS"):
        machine.join()
    monkeypatch.setenv("PARLOR_RAY__ADDRESS", "10.0.0.2:6379")
    assert machine.join() == "10.0.0.2:6379"


def test_a_raylet_says_where_its_cluster_is_as_it_did() -> None:
    from ray._private import services

    assert 'f"--gcs-address={gcs_address}"' in inspect.getsource(services.start_raylet)
