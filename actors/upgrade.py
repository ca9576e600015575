"""The roll of `parlor upgrade`: which processes run something else than is installed, replaced one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from actors.contracts import ActorsFailed, ActorStatus
from actors.replicas import KIND as REPLICA

ORDER = ("Supervisor", "StateMachine", "ShardWriter", "RoomActor", REPLICA)
"""The Supervisor first: its successor knows how to replace the others, and understands older ones. Replicas last: they
call all others, whose answers to older calls are understood."""


class Target(msgspec.Struct, frozen=True):
    """What is to run everywhere."""

    version: str
    settings: str
    """``ActorStatus.settings``"""


class Fleet(Protocol):
    """The processes of an installation. Every method blocks, and raises ``ActorsFailed``."""

    def statuses(self) -> list[ActorStatus]: ...

    def replicas(self) -> int:
        """How many replicas of the API there are, also such as have announced nothing."""

    def restart_supervisor(self) -> None:
        """Returns when its successor has found the other actors."""

    def renew(self, name: str) -> ActorStatus | None:
        """See ``SupervisorContract.renew``."""

    def renew_replicas(self) -> None:
        """Returns when new ones have taken the place of all of them."""


class Done(msgspec.Struct, frozen=True):
    """One step of a roll."""

    kind: str
    name: str
    version: str


Report = Callable[[Done], None]


def outdated(statuses: Iterable[ActorStatus], target: Target) -> list[ActorStatus]:
    """Those that run something else, in the order in which they are replaced."""
    return in_order(one for one in statuses if not _is(one, target))


def in_order(statuses: Iterable[ActorStatus]) -> list[ActorStatus]:
    """Without those that do not run: they begin with what is installed by then."""
    return sorted((one for one in statuses if one.alive), key=lambda one: (ORDER.index(one.kind), one.name))


def roll(fleet: Fleet, target: Target, report: Report, *, every: bool = False) -> list[Done]:
    """Replaces what is outdated, one after the other, each when the one before is healthy; ``every``: also what is
    not. Called again after a failure, it goes on with what is left. Raises ``ActorsFailed``: nothing further is
    replaced."""
    done: list[Done] = []

    def note(kind: str, name: str, version: str) -> None:
        done.append(Done(kind, name, version))
        report(done[-1])

    before = fleet.statuses()
    planned = in_order(before) if every else outdated(before, target)
    if any(one.kind == "Supervisor" for one in planned):
        fleet.restart_supervisor()
        _require(fleet.statuses(), target, "Supervisor")
        note("Supervisor", "supervisor", target.version)
    for one in planned:
        if one.kind not in ("Supervisor", REPLICA):
            successor = fleet.renew(one.name)
            if successor is not None:
                _require([successor], target, one.kind)
                note(one.kind, successor.name, successor.version)
    # Some may have been made meanwhile, by whoever was outdated then.
    for one in outdated(fleet.statuses(), target):
        if one.kind not in ("Supervisor", REPLICA):
            fleet.renew(one.name)
            note(one.kind, one.name, target.version)
    if every or _current(fleet, target) < fleet.replicas():
        fleet.renew_replicas()
        if _current(fleet, target) < fleet.replicas():
            raise ActorsFailed(f"replicas of the API were replaced, and not all of them run {target.version}")
        note(REPLICA, "replicas", target.version)
    return done


def _is(status: ActorStatus, target: Target) -> bool:
    return (status.version, status.settings) == (target.version, target.settings)


def _current(fleet: Fleet, target: Target) -> int:
    """How many replicas run it."""
    return sum(one.kind == REPLICA and _is(one, target) for one in fleet.statuses())


def _require(statuses: Sequence[ActorStatus], target: Target, kind: str) -> None:
    """Raises ``ActorsFailed`` when a new process runs something else than expected."""
    for one in statuses:
        if one.kind == kind and not _is(one, target):
            what = f"{one.version or 'a version without a name'} with settings {one.settings or '?'}"
            raise ActorsFailed(f"{one.name} was started again and runs {what}, not {target.version}")
