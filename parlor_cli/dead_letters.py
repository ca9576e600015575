"""`parlor dead-letters`: operations that their shard refused for their content."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from parlor.cache.dead_letters import DeadLetter
from parlor.model.administration import Action
from parlor.persistence.dead_letters import DeadLetters
from parlor.wiring import Wiring
from parlor_cli.audit import note
from parlor_cli.live_stores import ask
from parlor_cli.refusal import Refusal
from parlor_cli.tables import Plain, write


class DeadLetterLine(msgspec.Struct, frozen=True):
    """A dead letter, without anybody's text."""

    id: str
    parked_at: str
    partition: int
    op: str
    account_id: str
    room_id: str
    seq: int | None
    message_id: str | None
    reason: str


class DeadLetterResult(msgspec.Struct, frozen=True):
    """What became of a dead letter."""

    id: str
    result: str


def show(data_dir: Path, *, as_json: bool, wide: bool) -> None:
    """Lists them, oldest first."""
    lines = [_line(one) for one in ask(data_dir, lambda wiring: wiring.dead_letters().all())]
    if as_json:
        _write(lines)
        return
    if not lines:
        print("no dead letters")
        return
    rows: list[Plain] = msgspec.to_builtins(lines)
    write({"dead_letters": rows}, as_json=False, wide=wide)


def replay(data_dir: Path, ids: list[str], *, every: bool, as_json: bool) -> None:
    """Puts them back into their queues."""

    async def work(dead_letters: DeadLetters, dead_letter: DeadLetter) -> str:
        return "queued again" if await dead_letters.replay(dead_letter) else "it was not parked any more"

    if every == bool(ids):
        raise Refusal("give the ids of dead letters (`parlor dead-letters list`), or --all")
    _each(data_dir, ids, Action.DEAD_LETTER_REPLAYED, work, as_json=as_json)


def drop(data_dir: Path, ids: list[str], *, as_json: bool) -> None:
    """Gives them up for good."""

    async def work(dead_letters: DeadLetters, dead_letter: DeadLetter) -> str:
        return "dropped: " + (await dead_letters.drop(dead_letter)).effect

    _each(data_dir, ids, Action.DEAD_LETTER_DROPPED, work, as_json=as_json)


def _each(
    data_dir: Path,
    ids: list[str],
    action: Action,
    work: Callable[[DeadLetters, DeadLetter], Awaitable[str]],
    *,
    as_json: bool,
) -> None:
    """Works on each, oldest first, and on none unless all ids are known."""

    async def all_of(wiring: Wiring) -> list[DeadLetterResult]:
        dead_letters = wiring.dead_letters()
        known = {one.id: one for one in await dead_letters.all()}
        if unknown := [name for name in ids if name not in known]:
            raise Refusal(f"there is no dead letter {', '.join(unknown)}")
        chosen = [one for one in known.values() if not ids or one.id in ids]
        results = []
        for one in chosen:
            await note(wiring, action, one.id)
            results.append(DeadLetterResult(one.id, await work(dead_letters, one)))
        return results

    results = ask(data_dir, all_of)
    if as_json:
        _write(results)
    else:
        for result in results:
            print(f"{result.id}  {result.result}")


def _line(dead_letter: DeadLetter) -> DeadLetterLine:
    entry = dead_letter.entry
    return DeadLetterLine(
        id=dead_letter.id,
        parked_at=f"{datetime.fromtimestamp(dead_letter.parked_at / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
        partition=entry.partition,
        op=entry.op,
        account_id=entry.address.account_id,
        room_id=entry.address.room_id,
        seq=entry.seq or None,
        message_id=entry.message_id,
        reason=dead_letter.reason,
    )


def _write(lines: list[DeadLetterLine] | list[DeadLetterResult]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(lines) + b"\n")
    sys.stdout.flush()
