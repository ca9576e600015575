"""Puts right what can be put right safely, each finding by its remedy."""

from __future__ import annotations

from collections.abc import Callable

from parlor.errors import PartitionUnknown, RoomNotFound
from parlor.fsck.findings import (
    Correct,
    DropNotes,
    EntryFinding,
    Finding,
    ForgetApproval,
    InRoom,
    Load,
    NoteCalls,
    PartitionFinding,
    Relist,
    Requeue,
    subject,
)
from parlor.fsck.look import FsckPorts, Looker
from parlor.fsck.view import RoomView
from parlor.model.ids import RoomId, home_of
from parlor.store.calls import CallNotes
from parlor.store.ports import CallNote

TRIES = 3
"""How often bookkeeping that moved since it was looked at is looked at again."""


class Repairs:
    """Raises ``CacheUnavailable`` and ``StoreUnavailable`` throughout. ``report`` gets a line now and then."""

    def __init__(self, ports: FsckPorts, looker: Looker, report: Callable[[str], None]) -> None:
        self._ports = ports
        self._looker = looker
        self._report = report

    async def confirmed(self, finding: Finding, view: RoomView | None) -> bool:
        """Compares bookkeeping once more inside Redis, where nothing moves meanwhile. ``view`` is what the finding is
        from."""
        if view is None or not isinstance(finding.remedy, Correct):
            return True
        return await self._compare_and_set(finding, view, apply=False)

    async def repair(self, finding: Finding) -> None:
        """Looks at the room again first: an earlier repair may have changed it."""
        if isinstance(finding, EntryFinding):
            await self._ports.audit.requeue_entry(finding.partition, finding.position)
        elif not isinstance(finding, PartitionFinding):
            found = await self._again(finding)
            if found is not None:
                await self._repair(*found)

    async def _repair(self, finding: Finding, view: RoomView) -> None:
        match finding.remedy:
            case Load():
                await self._load(view.room_id)
            case Relist():
                gone = view.stored is not None and view.stored.deleted
                await self._ports.audit.repair_list(view.address, gone=gone, activity=self._ports.clock.now_ms())
            case Correct():
                await self._compare_and_set(finding, view, apply=True)
            case NoteCalls() | DropNotes() | ForgetApproval():
                await self._renote(view.room_id, finding.remedy)
            case Requeue(op, seq, message_id) if view.cached is not None:
                await self._ports.audit.requeue(view.cached, op, seq, message_id)

    async def _renote(self, room_id: RoomId, remedy: NoteCalls | DropNotes | ForgetApproval) -> None:
        notes, shard = CallNotes(self._ports.store), await self._ports.store.shard_of(home_of(room_id))
        if isinstance(remedy, ForgetApproval):
            await notes.forget_approval(shard, room_id, remedy.digest)
            return
        await notes.mend(shard, room_id)
        if isinstance(remedy, NoteCalls):
            note = CallNote(room_id, remedy.seq, remedy.version, int(remedy.waits), list(remedy.approved))
            await notes.note(shard, note)

    async def _compare_and_set(self, finding: Finding, view: RoomView, *, apply: bool) -> bool:
        """False when it is not so any more, or moves each time that it is looked at."""
        for _ in range(TRIES):
            assert isinstance(finding.remedy, Correct)  # noqa: S101 - the same subject has the same kind of remedy
            done = await self._ports.audit.correct(view.address, finding.remedy.correction, apply=apply)
            if done is not False:
                return True  # None: too much waits to be counted in one step, and is left as it was found.
            found = await self._again(finding)
            if found is None:
                return False
            finding, view = found
        return False

    async def _again(self, finding: Finding) -> tuple[Finding, RoomView] | None:
        """The same finding as it is now; None when it is gone."""
        if not isinstance(finding, InRoom):
            return None
        look = await self._looker.look_at_room(finding.room_id)
        for again in look.findings:
            if subject(again) == subject(finding):
                return again, look.views[finding.room_id]
        return None

    async def _load(self, room_id: RoomId) -> None:
        try:
            await self._ports.loader.load_room(room_id)
        except (RoomNotFound, PartitionUnknown):
            # Deleted meanwhile, or somebody initialises its partition at this moment: the next look tells.
            self._report(f"{room_id} could not be loaded")
