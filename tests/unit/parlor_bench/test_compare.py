"""Two services are measured by turns, and compared by the ratio of each pair."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from demo_model.http import Connection, Request
from parlor_bench import compare as under_test
from parlor_bench.compare import MANY, Side, compare, send_to
from parlor_bench.load import Figures
from tests.unit.parlor_bench.http_peer import serving

pytestmark = pytest.mark.unit


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Which side was measured with how many connections; the new one is half as fast again, and refuses more."""
    found: list[tuple[str, int]] = []

    async def run(side: Side, connections: int, seconds: float) -> Figures:
        found.append((side.name, connections))
        errors, rate, wait = (1, 100.0, 4.0) if side.name == "base" else (2, 150.0, 3.0)
        return Figures(connections, seconds, 10, errors, rate, wait, 9.0)

    monkeypatch.setattr(under_test, "_run", run)
    return found


async def test_ratios_are_of_the_base_which_comes_first_every_other_time(order: list[tuple[str, int]]) -> None:
    said: list[str] = []
    found = await compare(Side("base", "", 0, []), Side("new", "", 0, []), seconds=1, rounds=2, say=said.append)
    both = [("base", "new"), ("new", "base")]
    assert order[2:] == [(name, connections) for turn in both for connections in (1, MANY) for name in turn]
    assert (found.rate, found.wait) == (1.5, 0.75)
    assert found.errors == 4 * (1 + 2)
    assert len(said) == 4


async def test_a_side_is_sent_to() -> None:
    taken: list[str] = []

    async def take(request: Request, connection: Connection) -> None:
        taken.append(f"{request.method} {request.path}")
        connection.respond(HTTPStatus.CREATED, b"{}")

    async with serving(take) as port:
        side = Side("new", "127.0.0.1", port, [send_to("127.0.0.1", port, "r", "token")])
        found = await under_test._run(side, 1, 0.2)
    assert found.errors == 0
    assert set(taken) <= {"POST /v1/rooms/r/messages"}
