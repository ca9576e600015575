"""Making the detached actors: names, resources, restarts. Only the Supervisor calls this; the calls block for
milliseconds, so it calls them in a thread, one at a time."""

from __future__ import annotations

from typing import Any

import ray
from ray.actor import ActorClass
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.contracts import STATE_MACHINE
from actors.handles import Handle, find_actor_blocking, start_again
from actors.nodes import HEAD_RESOURCE
from actors.room_actor import RoomActor
from actors.shard_writer import ShardWriter
from actors.state_machine import StateMachine
from parlor.model.ids import Partition, ShardId
from parlor.rooms.own_actors import is_own
from parlor.settings import Settings

CALLS = 10_000
"""Calls that one actor takes side by side: they wait, they do not compute."""
_ROOMS = "rooms-"


class Pools:
    """Handles of everything but the Supervisor. ``ensure_…`` finds an actor or makes it, and is safe to repeat."""

    def __init__(self, settings: Settings, settings_json: str) -> None:
        self._settings = settings
        self._json = settings_json
        self.rooms: dict[str, Handle] = {}
        self.writers: dict[str, Handle] = {}
        self.state_machines: dict[str, Handle] = {}

    @property
    def all(self) -> dict[str, tuple[str, Handle]]:
        """Kind and handle by name."""
        kinds = {"RoomActor": self.rooms, "ShardWriter": self.writers, "StateMachine": self.state_machines}
        return {name: (kind, handle) for kind, handles in kinds.items() for name, handle in handles.items()}

    def adopt(self) -> None:
        """Finds the RoomActors and StateMachines that an earlier Supervisor made."""
        for name in installed_actors(self._settings.ray.namespace):
            of_rooms = name.startswith(_ROOMS) or is_own(name)
            handles = self.rooms if of_rooms else self.state_machines
            if (of_rooms or name.startswith(STATE_MACHINE)) and name not in handles:
                try:
                    handles[name] = find_actor_blocking(name, self._settings.ray.namespace)
                except ValueError:
                    continue  # it has ended since

    def make_room_actors(self, count: int) -> None:
        """So many more, under the lowest free numbers."""
        number = 0
        while count > 0:
            name = f"{_ROOMS}{number:03d}"
            if name not in self.rooms:
                self.rooms[name] = self._make(RoomActor, name, "rooms")
                count -= 1
            number += 1

    def make_own_actor(self, name: str) -> None:
        """A RoomActor for one room."""
        self.rooms[name] = self._make(RoomActor, name, "rooms")

    def ensure_writer(self, shard: ShardId, number: int, partitions: list[Partition]) -> None:
        name = writer_name(shard, number)
        if name not in self.writers:
            self.writers[name] = self._make(ShardWriter, name, "writers", shard, partitions)

    def ensure_state_machine(self, node: str, *, first: bool) -> None:
        """The one of this node; the first one is the head's, and serves all nodes that have none."""
        name = state_machine_name(node, first=first)
        if name not in self.state_machines:
            # Each start is to be on its node: anywhere else it would keep a node that could be given back. That takes a
            # hard affinity, for Ray 2.60 starts an actor that takes no processor on any node when it is a soft one.
            options: dict[str, Any] = {"resources": {HEAD_RESOURCE: 0.001}}
            if not first:
                options = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
            self.state_machines[name] = self._make(StateMachine, name, None, **options)

    def restart(self, name: str) -> None:
        """Ends an actor's process; another one takes its place."""
        if name in self.all:
            start_again(self.all[name][1])

    def end(self, name: str) -> None:
        """Ends an actor for good; its name is free then."""
        for handles in (self.rooms, self.writers, self.state_machines):
            if (handle := handles.pop(name, None)) is not None:
                ray.kill(handle, no_restart=True)

    def _make(self, cls: type, name: str, resource: str | None, *arguments: object, **options: Any) -> Handle:
        """Finds or makes it, and has it start."""
        actor: ActorClass[Any] = ray.remote(cls)
        if resource is not None:
            options["scheduling_strategy"] = "SPREAD"
            if self._settings.ray.placement == "resources":
                options["resources"] = {resource: 1}
        maker = actor.options(
            name=name,
            namespace=self._settings.ray.namespace,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            # A call that may have happened is made again by its caller, with the same ids; never by Ray.
            max_task_retries=0,
            max_concurrency=CALLS,
            enable_task_events=False,
            **options,
        )
        handle: Handle = maker.remote(self._json, name, *arguments)
        # Not waited for: it may have to wait for a node. The liveness check sees to it if this call is lost.
        handle.start.remote()
        return handle


def writer_name(shard: ShardId, number: int) -> str:
    return f"writer-shard{shard}-{number}"


def state_machine_name(node: str, *, first: bool) -> str:
    # The end of a node's id: it is random throughout, but for a simulated cluster's, which begin alike.
    return STATE_MACHINE if first else f"{STATE_MACHINE}-{node[-8:]}"


def installed_actors(namespace: str) -> list[str]:
    """Names of the actors in an installation's namespace: all are the installation's own."""
    # Records, whatever the annotation says, when asked for all namespaces (Ray 2.60).
    found: Any = list_named_actors(all_namespaces=True)
    return sorted(actor["name"] for actor in found if actor["namespace"] == namespace)
