"""Making the detached actors: names, resources, restarts. Only the Supervisor calls this."""

from __future__ import annotations

from typing import Any

import ray
from ray.actor import ActorClass
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.contracts import STATE_MACHINE
from actors.handles import Handle
from actors.room_actor import RoomActor
from actors.shard_writer import ShardWriter
from actors.state_machine import StateMachine
from parlor.ids import Partition, ShardId
from parlor.settings import Settings

CALLS = 10_000
"""Calls that one actor takes side by side: they wait, they do not compute."""


class Pools:
    """Handles of everything but the Supervisor. ``ensure_…`` finds an actor or makes it, and is safe to repeat."""

    def __init__(self, settings: Settings, settings_json: str) -> None:
        self._settings = settings
        self._json = settings_json
        self.rooms: dict[str, Handle] = {}
        self.writers: dict[str, Handle] = {}
        self.state_machines: dict[str, Handle] = {}
        self.state_machine_of_node: dict[str, str] = {}

    def ensure_room_actor(self, number: int) -> str:
        name = f"rooms-{number:03d}"
        if name not in self.rooms:
            self.rooms[name] = self._make(RoomActor, name, "rooms").remote(self._json, name)
        return name

    def ensure_writer(self, shard: ShardId, number: int, partitions: list[Partition]) -> str:
        name = f"writer-shard{shard}-{number}"
        if name not in self.writers:
            maker = self._make(ShardWriter, name, "writers")
            self.writers[name] = maker.remote(self._json, name, shard, partitions)
        return name

    def ensure_state_machines(self) -> None:
        """One on each node that is alive."""
        alive = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])  # type: ignore[no-untyped-call]
        for node in alive:
            if node in self.state_machine_of_node:
                continue
            first = STATE_MACHINE not in self.state_machines
            name = STATE_MACHINE if first else f"{STATE_MACHINE}-{node[:8]}"
            # Soft: when its node is gone, Ray restarts it elsewhere, and its callers go on.
            strategy = NodeAffinitySchedulingStrategy(node, soft=True)
            maker = self._make(StateMachine, name, None, scheduling_strategy=strategy)
            self.state_machines[name] = maker.remote(self._json, name)
            self.state_machine_of_node[node] = name
        for node in set(self.state_machine_of_node) - set(alive):
            del self.state_machine_of_node[node]

    def _make(self, cls: type, name: str, resource: str | None, **options: Any) -> Any:
        actor: ActorClass[Any] = ray.remote(cls)
        if resource is not None:
            options["scheduling_strategy"] = "SPREAD"
            if self._settings.ray.placement == "resources":
                options["resources"] = {resource: 1}
        return actor.options(
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
