"""Installations that are gone after the test, whatever it did to them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parlor_cli import leftovers, processes
from tests.integration.lifecycle.command import Parlor
from tests.servers import PrivateServer, running_redis, valkey_program

MakeParlor = Callable[..., Parlor]


@contextlib.contextmanager
def installations(directory: Path) -> Iterator[MakeParlor]:
    """Makes installations: name of the directory, then options of `parlor up`. They are removed in the end."""
    made: list[Parlor] = []

    def make(name: str = "data", *options: str) -> Parlor:
        parlor = Parlor(directory / name, *options)
        made.append(parlor)
        return parlor

    try:
        yield make
    finally:
        for parlor in made:
            _remove(parlor)


@pytest.fixture
def make_parlor(tmp_path: Path) -> Iterator[MakeParlor]:
    with installations(tmp_path) as make:
        yield make


@pytest.fixture
def external() -> Iterator[PrivateServer]:
    """A Redis that the operator runs."""
    with running_redis(valkey_program) as server:
        yield server


def _remove(parlor: Parlor) -> None:
    if not (parlor.data_dir / "installation.json").exists():
        return
    installation = parlor.installation
    run = installation.running()
    if run is not None:
        os.kill(run.launcher.pid, signal.SIGKILL)
        processes.wait_until_gone([run.launcher], 10)
    leftovers.end(installation)
    installation.remove_runtime_dir()
