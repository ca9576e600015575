"""RoomActor: a process that owns rooms. The rooms themselves are ``parlor.rooms.room``."""

from __future__ import annotations

import asyncio

import structlog
from msgspec.structs import replace

from actors.contracts import ActorStatus, SocketAddress
from actors.handles import this_node
from actors.logs import observe
from actors.metrics import RayRoomMetrics
from actors.once import Once
from actors.process import ActorProcess
from actors.room_socket import RoomSocket
from actors.status import counted
from actors.threads import serve_calls
from parlor.model.ids import RoomId
from parlor.rooms.commands import decode_commands, encode_outcomes
from parlor.rooms.host import RoomHost
from parlor.wiring import Wiring

_log = structlog.get_logger(__name__)


class RoomActor:
    """See ``actors.contracts.RoomActorContract``."""

    def __init__(self, settings_json: str, name: str) -> None:
        self._process = ActorProcess(name, "RoomActor", settings_json)
        self._settings = self._process.settings
        self._name = name
        self._host = Once(self._open)
        self._metrics = RayRoomMetrics(name)
        self._socket = RoomSocket(self.execute)
        self._housekeeping: asyncio.Task[None] | None = None
        observe(self._settings, name)
        serve_calls()

    async def execute(self, commands: bytes, activate: bool) -> bytes:
        host = await self._host()
        return encode_outcomes(await host.execute(decode_commands(commands), activate=activate))

    async def socket(self) -> SocketAddress:
        await self._host()
        return SocketAddress(this_node(), self._socket.path)

    async def start(self) -> None:
        await self._host()

    async def status(self) -> ActorStatus:
        host = self._host.result
        if host is None:
            return self._process.status(started=False)
        # Ray forgets a gauge that was not set for 20 s; rooms may stay for longer. The Supervisor asks every second.
        self._metrics.rooms_active(len(host.rooms))
        return replace(
            self._process.status(),
            rooms=[str(room) for room in host.rooms],
            served=host.served,
            replies=host.replies,
            sends=self._metrics.acknowledged,
            replied=self._metrics.replied,
            leaving=host.leaving,
        )

    async def give_away(self, room_id: RoomId, seconds: float) -> bool:
        return await (await self._host()).give_away(room_id, seconds)

    async def leave(self, seconds: float) -> None:
        await (await self._host()).leave(seconds)

    async def drain(self, seconds: float) -> None:
        await (await self._host()).drain(seconds)

    async def _open(self) -> RoomHost:
        wiring = await Wiring.open(self._settings)
        await wiring.follow_limits()
        host = RoomHost(wiring.room_ports(wiring.chat_service(), self._metrics, self._process.cluster))
        self._housekeeping = asyncio.create_task(host.run())
        try:
            await self._socket.open(f"parlor-{wiring.mint.token()}")
        except OSError as error:
            # Ray's calls carry the commands then, only slower.
            _log.warning("room_socket_not_opened", debug=str(error))
        return host

    def __repr__(self) -> str:
        # Ray shows an actor as it was right after its constructor, when it holds no room; debuggers show it as it is.
        if (host := self._host.result) is None:
            return f"RoomActor({self._name})"
        return f"RoomActor({self._name}, {counted(len(host.rooms), 'room')}, {counted(host.replies, 'reply')})"
