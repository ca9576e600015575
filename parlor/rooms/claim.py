"""Ownership of a room: its claim, whether its owner is in step with Redis, and how it ends.

Safety does not rest on this object: every write carries the claim, and a stale owner is refused by the script (I3).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from parlor.cache.changes import Claimed
from parlor.cache.live import RoomAddress
from parlor.cache.reads import CacheReader
from parlor.cache.rooms import RoomCache
from parlor.errors import CacheUnavailable, Fenced, OutOfStep, PartitionUnknown, RoomMoved, RoomNotFound, Uncounted
from parlor.model.access import Session
from parlor.model.budgets import Payer
from parlor.model.ids import Claim, RoomId, home_of
from parlor.reading.loading import Loader

_T = TypeVar("_T")

CLAIM_ATTEMPTS = 3
"""How often a room that is out of step is loaded again before the caller is told to come back."""

TakeUp = Callable[[Claimed], Awaitable[Callable[[], None]]]
"""Finds out what an earlier owner left undone; what it returns begins that work once the room is owned."""


class Ownership:
    """One object's hold on a room. ``on_lost`` is called once, when the room belongs to another owner or is gone;
    ``on_stale_write`` for each write that was refused because it does."""

    def __init__(
        self,
        room_id: RoomId,
        claim: Claim,
        cache: RoomCache,
        reader: CacheReader,
        loader: Loader,
        *,
        take_up: TakeUp,
        on_stale_write: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.claim = claim
        """Stays the same for the object's life, so that a reply that it is writing goes on when it claims again."""
        self.lost = False
        self.gone = False
        """Whether it is lost because there is no such room: what still waits for it gets that answer."""
        self.address: RoomAddress | None = None
        """None until the room was claimed for the first time."""
        self.persona = ""
        self.last_seq = 0
        self._room_id = room_id
        self._cache = cache
        self._reader = reader
        self._loader = loader
        self._take_up = take_up
        self._on_stale_write = on_stale_write
        self._on_lost = on_lost
        self._ticket: int | None = None
        """What it claims with: the number of its own claim, or the ticket of the command that is being served."""
        self._in_step = False
        self._uncounted = False
        """Whether Redis may not know what the account has used."""

    async def admit(self, ticket: int | None) -> None:
        """Has a command served under a claim that is newer than its ticket, which refuses its other copies (ADR 0013).
        Raises ``RoomMoved`` for a copy from before the claim that this owner took the room over from."""
        if ticket is None:
            return
        if self._ticket is not None and ticket < self._ticket - 1:
            if await self._reader.claims(self._room_id) >= self._ticket:
                raise RoomMoved
            self._ticket = None  # Redis came back without its memory: numbers begin anew
        if self._ticket is None or ticket >= self._ticket:
            self._ticket = ticket
            self._in_step = False

    def doubt(self) -> None:
        """What is known here may not be what Redis has: the room is claimed again before the next action."""
        self._in_step = False
        self._uncounted = True

    async def run(self, session: Session | None, action: Callable[[RoomAddress], Awaitable[_T]]) -> _T:
        """Runs the action as the room's owner, claimed and loaded again as often as it takes.

        ``session`` None is the program itself. Raises ``RoomMoved`` when another owner has the room, ``RoomNotFound``
        when there is no such room or it belongs to another account (I16), ``CacheUnavailable``, and what the action
        raises.
        """
        for _ in range(CLAIM_ATTEMPTS):
            if self.lost:
                raise RoomNotFound if self.gone else RoomMoved
            try:
                address = self.address if self._in_step and self.address else await self._activate()
                if session is None or session.account_id == address.account_id:
                    return await action(address)
            except Uncounted:
                self.doubt()
            except (OutOfStep, PartitionUnknown):
                self._in_step = False
            except Fenced as error:
                self._on_stale_write()
                self.lose()
                raise RoomMoved from error
            except RoomNotFound:
                # There is no such room, or it is gone: nothing to hold, whatever ids are asked for.
                self.lose(gone=True)
                raise
            else:
                raise RoomNotFound
        raise CacheUnavailable(debug="the room stays out of step", retry_after=1.0)

    def lose(self, *, gone: bool = False) -> None:
        """Gives the room up; harmless when repeated. ``gone``: nobody has it, because there is no such room."""
        if not self.lost:
            self.lost = True
            self.gone = gone
            self._on_lost()

    async def release(self) -> None:
        """Lets another owner claim the room at once; harmless when it has another claim. Raises
        ``CacheUnavailable``."""
        if self.address is not None:
            await self._cache.release(self.address, self.claim)

    async def _activate(self) -> RoomAddress:
        """Claims the room, which is loaded first when Redis does not have it."""
        if self._ticket is None:
            self._ticket = await self._reader.claims(self._room_id)
        try:
            claimed = await self._cache.claim(self._room_id, self.claim, self._ticket)
        except PartitionUnknown:
            await self._loader.open_partition(home_of(self._room_id))
            claimed = await self._cache.claim(self._room_id, self.claim, self._ticket)
        if claimed is None:
            await self._loader.load_room(self._room_id)
            self._uncounted = True
            claimed = await self._cache.claim(self._room_id, self.claim, self._ticket)
        if claimed is None:
            raise OutOfStep
        self._ticket = claimed.number
        if self._uncounted:
            payer = Payer(claimed.account_id, claimed.account_db_key, home_of(self._room_id))
            await self._loader.load_budget(payer)
            self._uncounted = False
        begin = await self._take_up(claimed)
        # Last: an object that cannot find out what is left to do is not the owner yet, and tries again.
        self.address = RoomAddress(self._room_id, claimed.account_id, claimed.account_db_key)
        self.persona = claimed.persona
        self.last_seq = claimed.last_seq
        self._in_step = True
        begin()
        return self.address
