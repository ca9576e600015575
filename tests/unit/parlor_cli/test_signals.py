"""A signal interrupts the start, wherever it arrives."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from parlor_cli import signals as module
from parlor_cli.signals import Stopped, StopSignals

pytestmark = pytest.mark.unit

LONG = 20.0


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[StopSignals]:
    monkeypatch.setattr(module, "_AGAIN_S", 0.05)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    found = StopSignals()
    found.begin_start()
    found.install()
    yield found
    found.end_start()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_it_interrupts_a_wait(signals: StopSignals) -> None:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(Stopped):
        threading.Event().wait(LONG)
    assert signals.interrupted


def test_it_is_not_lost_in_a_destructor(signals: StopSignals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python drops what is raised."""
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: lost.append(dropped.exc_type))

    class Destroyed:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            # The handler runs between two instructions.
            str(self)

    with pytest.raises(Stopped):
        _wait_without(Destroyed())
    assert lost == [Stopped]
    assert signals.interrupted
    assert not signals.forced


def _wait_without(last: object) -> None:
    del last
    threading.Event().wait(LONG)


def _send_and_wait() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(LONG)


def test_it_insists_no_longer_than_the_start(signals: StopSignals) -> None:
    with pytest.raises(Stopped):
        _send_and_wait()
    signals.end_start()
    assert not threading.Event().wait(0.2)
    signals._insist(signal.SIGALRM, None)  # one that was on its way


def test_a_second_one_forces_the_stop(signals: StopSignals) -> None:
    with pytest.raises(Stopped):
        _send_and_wait()
    signals.begin_stop()
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.wait(LONG)
    assert signals.forced
