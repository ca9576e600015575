"""Waiting for the actors at the start: what ends it, what does not, and what is said."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError

from actors import bootstrap
from actors.contracts import ActorsFailed
from parlor.errors import StoreUnavailable
from parlor.settings import Settings

pytestmark = pytest.mark.unit

LIMIT = Settings().ray.start_timeout.total_seconds()


def raised(cause: Exception) -> RayTaskError:
    return RayTaskError("ready", "traceback", cause)  # type: ignore[no-untyped-call]  # Ray's


DIED = RayActorError(error_msg="The actor is dead because it was killed by `ray.kill`.")
RESTARTING = ActorUnavailableError("it restarts", None)
LATE = GetTimeoutError("Get timed out")


class Cluster:
    """Stands in for Ray: the answers of the Supervisor, each of which takes a while; None: every pool has started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Exception | None, takes: float = 1.0) -> None:
        self.now = 0.0
        self.timeouts: list[float] = []
        self.missing_answer: list[str] | Exception = ["no RoomActor answers, of 1"]
        self._answers = list(answers)
        self._takes = takes
        self.supervisor = SimpleNamespace(
            ready=SimpleNamespace(remote=lambda: self._ready), missing=SimpleNamespace(remote=lambda: self._missing)
        )
        monkeypatch.setattr(bootstrap, "obtain_supervisor", lambda _settings: self.supervisor)
        monkeypatch.setattr(ray, "get", lambda call, timeout: call(timeout))

    def start(self) -> object:
        return bootstrap.ensure_supervisor(Settings(), lambda: self.now, self._sleep)

    def _ready(self, timeout: float) -> None:
        self.timeouts.append(timeout)
        answer = self._answers.pop(0)
        self.now += timeout if answer is LATE else self._takes
        if answer is not None:
            raise answer

    def _missing(self, timeout: float) -> list[str]:
        if isinstance(self.missing_answer, Exception):
            raise self.missing_answer
        return self.missing_answer

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


def test_it_returns_when_every_pool_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, None)
    assert cluster.start() is cluster.supervisor
    assert cluster.timeouts == [LIMIT]


@pytest.mark.parametrize("death", [DIED, RESTARTING])
def test_a_supervisor_that_is_restarted_is_waited_for_again(monkeypatch: pytest.MonkeyPatch, death: Exception) -> None:
    cluster = Cluster(monkeypatch, death, death, None)
    assert cluster.start() is cluster.supervisor
    pause = bootstrap.AGAIN_SECONDS
    assert cluster.timeouts == [LIMIT, LIMIT - 1 - pause, LIMIT - 2 - 2 * pause]


def test_but_not_longer_than_the_start_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, *[DIED] * 4, takes=LIMIT / 3)
    with pytest.raises(TimeoutError, match=f"not ready within {LIMIT:g} s: the Supervisor died again and again"):
        cluster.start()
    assert len(cluster.timeouts) == 3


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (
            ["no RoomActor answers, of 1: Redis does not answer", "b"],
            "no RoomActor answers, of 1: Redis does not answer; b",
        ),
        ([], "slow"),
        (DIED, "the Supervisor does not answer"),
        (raised(StoreUnavailable("No store")), "supervisor: No store"),
    ],
)
def test_what_is_missing_in_the_end_is_said(
    monkeypatch: pytest.MonkeyPatch, missing: list[str] | Exception, said: str
) -> None:
    cluster = Cluster(monkeypatch, RESTARTING, LATE)
    cluster.missing_answer = missing
    with pytest.raises(TimeoutError, match=f"not ready within {LIMIT:g} s: {said}"):
        cluster.start()


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (raised(ActorsFailed("rooms-000: ValueError: no")), "^rooms-000: ValueError: no$"),
        (raised(OSError("broken")), "^supervisor: OSError: broken$"),
        (raised(StoreUnavailable("No store", debug="h:1")), "^supervisor: No store h:1$"),
        (
            RayActorError(error_msg="died\n  File x\nValueError: no", actor_init_failed=True),
            "^supervisor: ValueError: no$",
        ),
    ],
)
def test_what_an_actor_raised_ends_the_start_at_once(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, said: str
) -> None:
    cluster = Cluster(monkeypatch, failure)
    with pytest.raises(ActorsFailed, match=said):
        cluster.start()
