"""`parlor top`: what an installation does now, in the terminal, actor by actor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from parlor_cli.refusal import Refusal
from parlor_cli.running import joined, running
from parlor_cli.status import nothing_runs
from parlor_cli.tables import WIDTH, write_json

if TYPE_CHECKING:
    # Slow to import, and not needed when nothing runs.
    from actors.contracts import ActorStatus, InstallationStatus, QueueStatus

_HEADERS = ("actor", "pid", "node", "rooms", "sends/s", "replies", "parts", "stored/s", "lag", "lag s", "state")
_NAME, _TAIL, _STATE = 16, 8, 16
"""Characters: of a name at least, of its end, and of what stands beside it at most before it goes over lines."""

Ask = Callable[[], "InstallationStatus"]
"""Asks for the report of the actors. Raises ``Refusal`` when they do not answer."""


class Look(msgspec.Struct, frozen=True):
    """What the actors told, and when."""

    at: float
    """On the monotonic clock."""
    status: InstallationStatus


class ActorRow(msgspec.Struct, frozen=True):
    """One actor, as `top` shows it. What is per second is the mean since the look before; None at the first."""

    name: str
    pid: int
    node: str
    state: str
    """``ok``, ``leaving``, ``starting``, ``silent``, or what is wrong."""
    rooms: int | None = None
    """None: actors of its kind hold none. So below."""
    sends_per_second: float | None = None
    replies: int | None = None
    """Those that are being written."""
    partitions: int | None = None
    stored_per_second: float | None = None
    lag_entries: int | None = None
    """What waits in its partitions."""
    lag_seconds: float | None = None


class Picture(msgspec.Struct, frozen=True):
    """The whole installation, and each actor."""

    rooms: int
    sends_per_second: float | None
    replies: int
    replies_per_second: float | None
    stored_per_second: float | None
    lag_entries: int
    lag_seconds: float
    dead_letters: int
    wrong: dict[str, str]
    """The services that are not ``ok``, and why."""
    actors: list[ActorRow]


def show(data_dir: Path, *, interval: float, once: bool, as_json: bool) -> int:
    """Shows it until Ctrl-C, or ``once`` over one interval; returns the exit code, 3 when nothing runs. Raises
    ``Refusal`` when the actors do not answer at the start."""
    found = running(data_dir)
    if found is None:
        return nothing_runs(data_dir, as_json=as_json)
    with joined(*found) as settings:
        from ray.exceptions import RayError

        from actors import bootstrap

        def ask() -> InstallationStatus:
            try:
                return bootstrap.status(settings)
            except (ValueError, RayError) as error:
                raise Refusal(f"the actors do not answer: {error}") from error

        if once or as_json:
            look_once(ask, interval, as_json=as_json)
        else:
            follow(ask, interval, str(data_dir))
    return 0


def look_once(ask: Ask, interval: float, *, as_json: bool, sleep: Callable[[float], None] = time.sleep) -> None:
    """Prints one picture, of the time between two looks."""
    before = _look(ask)
    sleep(interval)
    found = picture(_look(ask), before)
    if as_json:
        write_json(msgspec.to_builtins(found))
    else:
        Console(highlight=False, markup=False, soft_wrap=True, width=WIDTH).print(drawing(found))


def follow(ask: Ask, interval: float, title: str, sleep: Callable[[float], None] = time.sleep) -> None:
    """Draws a picture every ``interval`` until Ctrl-C. While the actors do not answer, the last one stays."""
    before: Look | None = None
    with _screen() as draw:
        while True:
            try:
                look = _look(ask)
            except Refusal as refusal:
                if before is None:
                    raise
                draw(Text(f"{title}: {refusal.message}"))
            else:
                draw(drawing(picture(look, before), title))
                before = look
            sleep(interval)


@contextmanager
def _screen() -> Iterator[Callable[[object], None]]:
    """Draws on the terminal's other screen, which goes away at the end; into a file or a pipe one after the other."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        yield console.print
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield lambda drawn: live.update(drawn, refresh=True)  # type: ignore[arg-type]  # whatever rich can render


def _look(ask: Ask) -> Look:
    status = ask()
    return Look(time.monotonic(), status)


def picture(look: Look, before: Look | None) -> Picture:
    """What ``look`` shows; rates need the look before."""
    rates = _Rates(look, before)
    queues = look.status.queues
    rows = [_row(actor, rates, {queue.partition: queue for queue in queues}) for actor in look.status.actors]
    replied = [rates.of(actor, "replied") for actor in look.status.actors if actor.kind == "RoomActor"]
    return Picture(
        rooms=_total(row.rooms for row in rows),
        sends_per_second=_sum(row.sends_per_second for row in rows),
        replies=_total(row.replies for row in rows),
        replies_per_second=_sum(replied),
        stored_per_second=_sum(row.stored_per_second for row in rows),
        lag_entries=sum(queue.depth for queue in queues),
        lag_seconds=max((queue.lag_seconds for queue in queues), default=0.0),
        dead_letters=sum(queue.dead_letters for queue in queues),
        wrong={name: state for name, state in look.status.services.items() if state != "ok"},
        actors=rows,
    )


def _total(counts: Iterable[int | None]) -> int:
    return sum(count or 0 for count in counts)


class _Rates:
    """What actors did in a second, between two looks."""

    def __init__(self, look: Look, before: Look | None) -> None:
        self._earlier = {actor.name: actor for actor in before.status.actors} if before else {}
        self._seconds = look.at - before.at if before else 0.0

    def of(self, actor: ActorStatus, field: str) -> float | None:
        """None for an actor that was not there at the look before."""
        then = self._earlier.get(actor.name)
        if then is None or self._seconds <= 0:
            return None
        # A new process counts from 0.
        known = getattr(then, field) if then.pid == actor.pid else 0
        return float(max(0, getattr(actor, field) - known)) / self._seconds


def _row(actor: ActorStatus, rates: _Rates, queues: dict[int, QueueStatus]) -> ActorRow:
    found = ActorRow(actor.name, actor.pid, actor.node, _state(actor))
    if actor.kind == "RoomActor":
        sends = rates.of(actor, "sends")
        return msgspec.structs.replace(found, rooms=len(actor.rooms), sends_per_second=sends, replies=actor.replies)
    if actor.kind == "ShardWriter":
        held = [queues[partition] for partition in actor.partitions if partition in queues]
        return msgspec.structs.replace(
            found,
            partitions=len(actor.partitions),
            stored_per_second=rates.of(actor, "committed"),
            lag_entries=sum(queue.depth for queue in held),
            lag_seconds=max((queue.lag_seconds for queue in held), default=0.0),
        )
    return found


def _state(actor: ActorStatus) -> str:
    if not actor.alive:
        return "silent" if actor.pid else "waits for a node"
    if actor.leaving:
        return "leaving"
    return actor.trouble or ("ok" if actor.started else "starting")


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def drawing(found: Picture, title: str = "") -> Group:
    """The picture for a terminal: totals, what is wrong, and the actors, the busiest first."""
    totals = (
        f"{found.rooms} rooms · {_per(found.sends_per_second)} sends/s · {found.replies} replies now, "
        f"{_per(found.replies_per_second)}/s · {_per(found.stored_per_second)} stored/s · "
        f"lag {found.lag_entries} in {found.lag_seconds:.1f} s · {found.dead_letters} dead letters"
    )
    lines = [Text(f"{title}  {time.strftime('%H:%M:%S')}", style="bold")] if title else []
    lines += [Text(totals), *(Text(f"{name}: {state}", style="bold red") for name, state in found.wrong.items())]
    return Group(*lines, _Table(found.actors))


class _Table:
    """The actors, as wide as the terminal: a name that is too long gives way in its middle, and nodes are left out
    where all are on one."""

    def __init__(self, actors: list[ActorRow]) -> None:
        self._actors = sorted(actors, key=_busy_first)
        one_node = len({row.node for row in actors}) < 2
        self._shown = [number for number, header in enumerate(_HEADERS) if not (one_node and header == "node")]
        self._rows = [_cells(row) for row in self._actors]
        self._widths = [max(map(len, column)) for column in zip(_HEADERS, *self._rows, strict=True)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rest = [min(self._widths[number], _STATE) for number in self._shown[1:]]
        name = max(_NAME, options.max_width - sum(rest) - len(rest))
        table = Table(box=None, pad_edge=False, collapse_padding=True)
        for number in self._shown:
            header = _HEADERS[number]
            fold, right = header == "state", header not in ("actor", "node", "state")
            width = min(self._widths[number], name) if number == 0 else None
            table.add_column(
                header,
                justify="right" if right else "left",
                no_wrap=not fold,
                overflow="fold" if fold else "ellipsis",
                min_width=width or min(self._widths[number], _STATE),
                max_width=width,
            )
        for row, cells in zip(self._actors, self._rows, strict=True):
            shown = [_shortened(cells[0], name), *(cells[number] for number in self._shown[1:])]
            table.add_row(*shown, style="" if row.state == "ok" else "bold red")
        yield table


def _cells(row: ActorRow) -> list[str]:
    return [
        row.name,
        str(row.pid or "-"),
        row.node[-8:] or "-",
        _count(row.rooms),
        "" if row.rooms is None else _per(row.sends_per_second),
        _count(row.replies),
        _count(row.partitions),
        "" if row.partitions is None else _per(row.stored_per_second),
        _count(row.lag_entries),
        "" if row.lag_seconds is None else f"{row.lag_seconds:.1f}",
        row.state,
    ]


def _shortened(name: str, width: int) -> str:
    """An id differs from its neighbours in its last characters."""
    kept = width - 1 - _TAIL
    return name if len(name) <= width else f"{name[:kept]}…{name[-_TAIL:]}"


def _busy_first(row: ActorRow) -> tuple[bool, float, int, int, str]:
    """What is wrong comes first, then who does most."""
    rate = (row.sends_per_second or 0.0) + (row.stored_per_second or 0.0)
    return row.state == "ok", -rate, -(row.replies or 0), -(row.rooms or 0), row.name


def _count(value: int | None) -> str:
    return "" if value is None else str(value)


def _per(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
