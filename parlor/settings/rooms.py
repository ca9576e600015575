"""Settings of rooms."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from parlor.settings.section import Section, in_order
from parlor.settings.values import Lifetime, Pause, TimeLimit


class RoomSettings(Section):
    """Rooms and the actors that hold them."""

    actors_min: int = Field(default=1, ge=1)
    """RoomActors that are always kept running."""
    actors_max: int = Field(default=0, ge=0)
    """Most RoomActors; each is a process of about 50 MB. 0: one for every two cores of the Supervisor's machine,
    because few actors batch better than many (docs/PERFORMANCE.md)."""
    spare: bool | None = None
    """Whether one more RoomActor (about 95 MB) waits without rooms, and takes over those of one that dies. Empty:
    `parlor up` decides, yes where 4 GB of memory are free."""
    shrink_after: Lifetime = timedelta(minutes=10)
    """How long a RoomActor beyond `actors_min` must be empty before it ends, so that its node can be removed. The same
    time, without a call, ends a StateMachine beyond the first."""
    own_actors: int | None = Field(default=None, ge=0)
    """Most rooms that get a RoomActor of their own, beyond the pool: those that are talked in, the busiest first;
    while the processors are busy, only those that make a tenth of the load or more. Unset: eight for each core, in a
    quarter of the memory at most; with `PARLOR_RAY__PLACEMENT=resources` none, because the pool grows with the rooms
    there."""
    max_rooms_per_actor: int = Field(default=5000, ge=1)
    """Most rooms in one RoomActor. 1 forbids sharing: a full pool then answers `overloaded`."""
    idle_after: Lifetime = timedelta(seconds=300)
    """How long a room must be without a command or a reply before its actor lets it go."""
    mailbox_limit: int = Field(default=1000, ge=1)
    """Most commands that wait for one room; more are refused as `overloaded`."""
    reply_lease: TimeLimit = timedelta(seconds=5)
    """How long a reply in progress counts as alive after its owner's last renewal."""
    crash_policy: Literal["retry", "fail"] = "retry"
    """What happens to a reply whose owner died: `retry` begins it again (`message.reset`), `fail` ends it as
    `interrupted` with the text so far."""
    max_attempts: int = Field(default=2, ge=1)
    """Most runs of the language model for one reply whose owners died, with `crash_policy` `retry`."""
    approval_ttl: Lifetime = timedelta(days=7)
    """How long a call of a tool waits for a person's decision, or for the result of a tool that its caller executes.
    Then it expires, and the reply goes on without it."""
    drain_timeout: Pause = timedelta(seconds=10)
    """Time that replies in progress get at shut-down before they end as `interrupted`."""

    @model_validator(mode="after")
    def _the_pool_has_room(self) -> RoomSettings:
        if self.actors_max:
            in_order(self, "actors_min", "actors_max")
        return self

    @property
    def pool_limit(self) -> int:
        """Most RoomActors, with 0 resolved for this machine."""
        return max(self.actors_min, self.actors_max or (os.cpu_count() or 1) // 2)
