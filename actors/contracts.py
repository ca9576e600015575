"""The actors and what they may be asked: read this to know the program.

    Supervisor    one, detached     makes every other actor, says where a room lives, sweeps up what an owner left
    RoomActor     a pool, and one   owns the rooms it has claimed; a batch of commands in, a batch of outcomes out
                  a busy room
    StateMachine  one a node        single steps of states, creates and smart deletes, for callers that own no room
    ShardWriter   a pool a shard    takes its partitions' queues into its shard, in batches
    ChatApi       Serve replicas    HTTP; holds no state (``api.deployment``)

Ray is trusted for liveness only. A call that ends in ``RayActorError`` may have happened: it is made again with the
same ids. Commands and outcomes travel as one MessagePack blob (``parlor.rooms.commands``); expected errors are
answers, not exceptions (``parlor.errors.ErrorWire``).
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from parlor.cache.live import RoomAddress
from parlor.model.ids import MessageId, Partition, RoomId
from parlor.model.requests import DeleteReceipt, Idempotency, StateReport
from parlor.model.rooms import NewRoom
from parlor.model.states import MessageState, RoomState

SUPERVISOR = "supervisor"
"""The Supervisor's name in the installation's namespace."""
STATE_MACHINE = "state-machine"
"""The first StateMachine's name."""


class ActorsFailed(Exception):
    """Actors cannot start, and another try would be in vain; the message says which, and why."""


class ActorStatus(msgspec.Struct, frozen=True):
    """One actor, as `parlor status` shows it."""

    name: str
    kind: str
    pid: int
    node: str
    alive: bool
    """Process id 0: it has not started yet, and perhaps waits for a node."""
    rooms: list[str] = []
    served: list[int] = []
    """Commands that each of the rooms has served there."""
    replies: int = 0
    """Replies that it is writing."""
    sends: int = 0
    """Messages that it has acknowledged since its process began."""
    replied: int = 0
    """Replies that it has ended since then."""
    committed: int = 0
    """Operations that a ShardWriter has stored since its process began."""
    partitions: list[int] = []
    leaving: bool = False
    """It lets its rooms go, and ends then."""
    started: bool = True
    """False: a new process that has begun nothing; ``start`` makes it begin."""
    idle_seconds: float = 0.0
    """Since its last call; StateMachines only."""
    trouble: str = ""
    """Why a ShardWriter does not hold its partitions; empty: nothing is wrong."""
    version: str = ""
    """The code that it runs (``parlor.model.release.program_version``); empty: from before there was this field."""
    settings: str = ""
    """Tells the settings that it has from others."""
    compatibility: int = 0
    """The number of its code; 0: from before there were numbers."""


class QueueStatus(msgspec.Struct, frozen=True):
    """One partition's way into its shard."""

    partition: int
    shard: int
    depth: int
    """Operations that wait."""
    lag_seconds: float
    """Age of the oldest of them."""
    dead_letters: int
    trouble: str = ""
    """Why the numbers are not known; empty: they are."""
    stored: int | None = None
    """Operations that its shard has taken from its queue, since the queue began anew; None: the shard does not answer.
    The difference between two reports is its load."""


class SocketAddress(msgspec.Struct, frozen=True):
    """Where a RoomActor takes commands beside Ray's calls: for processes of its node (``actors.room_socket``)."""

    node: str
    path: str
    """Empty: nowhere."""


class InstallationStatus(msgspec.Struct, frozen=True):
    """What `parlor status` prints."""

    namespace: str
    actors: list[ActorStatus]
    queues: list[QueueStatus]
    services: dict[str, str]
    """Each dependency and ``ok``, or what is wrong with it."""
    clusters: dict[str, str] = {}
    """The Ray clusters that serve this installation: ``this one``, and each other that ``lives``."""


class SupervisorContract(Protocol):
    async def ready(self) -> None:
        """Returns when every pool has an actor that has started, and the rest had some time to. Raises
        ``ActorsFailed``."""

    async def missing(self) -> list[str]:
        """What rooms cannot be served without and is not there, and why as far as that is known; empty: ready."""

    async def place_room(self, room_id: RoomId, failed: str | None) -> str | None:
        """The name of the RoomActor that is to hold the room; ``failed`` names one that did not answer. None when every
        actor is full, or none answers."""

    async def state_machine_for(self, node: str) -> str:
        """The name of the StateMachine that processes on this node use; made when first asked for."""

    async def status(self) -> InstallationStatus: ...

    async def renew(self, name: str, seconds: float) -> ActorStatus | None:
        """Gives an actor a new process, or has another one take its place, and returns the status of that when it has
        started: rooms are handed over, each when its reply has ended, at most so many seconds later. None: there is
        none of this name any more. Raises ``ActorsFailed`` when the new one does not start."""

    async def drain(self, seconds: float) -> None:
        """Rooms take no sends, replies end, queues are flushed."""


class PooledActorContract(Protocol):
    """What the Supervisor asks of each actor that it makes."""

    async def start(self) -> None:
        """Begins its work and returns when it has begun; harmless when it has begun before. The pools call it when they
        make an actor, the liveness check when Ray has restarted one."""

    async def status(self) -> ActorStatus:
        """Reports, and starts nothing."""


class RoomActorContract(PooledActorContract, Protocol):
    async def execute(self, commands: bytes, activate: bool) -> bytes:
        """Commands in, outcomes out (``parlor.rooms.commands``), in order. Starts the actor if need be: a room does not
        wait for the liveness check."""

    async def socket(self) -> SocketAddress:
        """Where ``execute`` may also be asked for. Starts the actor if need be."""

    async def give_away(self, room_id: RoomId, seconds: float) -> bool:
        """``parlor.rooms.host.RoomHost.give_away``"""

    async def leave(self, seconds: float) -> None:
        """Lets every room go to another actor, each when its reply has ended, all after ``seconds``; returns then."""

    async def drain(self, seconds: float) -> None: ...


class StateMachineContract(PooledActorContract, Protocol):
    """``parlor.state_machine.StateMachine`` as an actor: an answer is MessagePack of the named type and None, or of
    None and an ``ErrorWire``."""

    async def create_room(
        self, address: RoomAddress, new: NewRoom, by: str, idempotency: Idempotency | None, request_id: str = ""
    ) -> bytes:
        """``RoomId``, of the room that was made first with the idempotency key or the external id"""

    async def transition_room(self, room_id: RoomId, to: RoomState, expected: RoomState | None, by: str) -> bytes:
        """``RoomState``, the one that holds now"""

    async def transition_message(
        self, room_id: RoomId, message_id: MessageId, to: MessageState, expected: MessageState | None, by: str
    ) -> bytes:
        """``MessageState``, the one that holds now"""

    async def get_room_state(self, room_id: RoomId) -> bytes:
        """``StateReport``"""

    async def get_message_state(self, room_id: RoomId, message_id: MessageId) -> bytes:
        """``StateReport``"""

    async def smart_delete_message(
        self, address: RoomAddress, message_id: MessageId, by: str, request_id: str = ""
    ) -> bytes:
        """``DeleteReceipt``"""


class ShardWriterContract(PooledActorContract, Protocol):
    async def assign(self, partitions: list[Partition]) -> None:
        """Has it work for these partitions of its shard from now on, instead of those that it was made with."""

    async def stop(self) -> None:
        """Commits what is queued and gives its partitions up."""


Answers = DeleteReceipt | StateReport | RoomState | MessageState | RoomId
"""What a StateMachine answers."""
