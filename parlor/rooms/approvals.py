"""What people decide about the calls of a reply that waits for them, and what their programs post.

A room's owner serves these one at a time, like any other command. What was decided is in the row that keeps the reply's
slot; a request that comes again is compared with it first (I26).
"""

from __future__ import annotations

from hashlib import sha256

from msgspec import structs

from parlor.cache.calls import CallCache
from parlor.cache.changes import CallChange, LateCall
from parlor.cache.live import RoomAddress
from parlor.clock import Clock
from parlor.errors import AlreadyDecided, DigestMismatch, InvalidRequest, MessageNotFound, OutOfStep
from parlor.llm.ports import ChatService, UnknownPersona
from parlor.model.ids import Claim, MessageId
from parlor.model.messages import Message, MessageDoc
from parlor.model.parts import Part, Said, ToolCallPart, said_of
from parlor.model.tools import ToolResult, ToolState
from parlor.reading.internal import InternalHistory
from parlor.rooms.commands import Decide, PostResult
from parlor.rooms.reply_job import ReplyJob, parked_job
from parlor.rooms.reply_queue import ReplyQueue
from parlor.tools.arguments import ArgumentsError, canonical_arguments, digest_of
from parlor.tools.toolbox import Toolbox

_DONE = {True: ToolState.FAILED, False: ToolState.DONE}


class Approvals:
    """Every method raises what the scripts and the history raise, and ``OutOfStep`` when Redis has another row than the
    queue has."""

    def __init__(
        self,
        cache: CallCache,
        history: InternalHistory,
        model: ChatService,
        toolbox: Toolbox,
        clock: Clock,
        claim: Claim,
        replies: ReplyQueue,
    ) -> None:
        self._cache = cache
        self._history = history
        self._model = model
        self._toolbox = toolbox
        self._clock = clock
        self._claim = claim
        self._replies = replies

    async def decide(self, address: RoomAddress, command: Decide) -> ToolCallPart:
        """Approves or denies a call; returns it as it is then. Raises ``MessageNotFound``, ``AlreadyDecided``,
        ``DigestMismatch``, and ``InvalidRequest`` for arguments that the tool does not take."""
        decision = command.decision
        request = _digest("decision", decision.approve, decision.digest, decision.arguments, decision.reason)
        message, call = await self._find(address, command.message_id, command.tool_call_id)
        if call.request == request:
            return call
        if call.state is not ToolState.WAITING:
            raise AlreadyDecided(extra={"state": call.state})
        if call.digest != decision.digest:
            raise DigestMismatch(extra={"digest": call.digest})
        by = command.session.account_id if command.session is not None else None
        decided = structs.replace(call, decided_by=by, decided_at=self._clock.now_ms(), request=request)
        if not decision.approve:
            words = f"A person denied this call: {decision.reason}" if decision.reason else "A person denied this call"
            decided = structs.replace(decided, state=ToolState.DENIED, result=ToolResult(words, is_error=True))
            return await self._change(address, message, call, decided)
        if decision.arguments is not None:
            decided = await self._edited(message, decided, decision.arguments)
        if call.client:
            running = structs.replace(decided, state=ToolState.RUNNING, attempts=1)
            return await self._change(address, message, call, running, by_then=ToolState.APPROVED)
        return await self._change(address, message, call, structs.replace(decided, state=ToolState.APPROVED))

    async def post(self, address: RoomAddress, command: PostResult) -> ToolCallPart:
        """Takes the result of a call that its caller has executed; returns the call. Raises as ``decide``, and
        ``InvalidRequest`` for a call that is not its caller's."""
        posted = command.posted
        request = _digest("result", posted.digest, posted.result.content, posted.result.is_error)
        message, call = await self._find(address, command.message_id, command.tool_call_id)
        if call.request == request:
            return call
        if not call.client:
            raise InvalidRequest("This tool is called by the server")
        if call.state not in (ToolState.RUNNING, ToolState.UNKNOWN):
            raise AlreadyDecided(extra={"state": call.state})
        if call.digest != posted.digest:
            raise DigestMismatch(extra={"digest": call.digest})
        state = _DONE[posted.result.is_error]
        done = structs.replace(call, state=state, result=posted.result, request=request)
        job = self._replies.job(message.message_id)
        if call.state is ToolState.RUNNING or (job is not None and job.waits):
            return await self._change(address, message, call, done)
        return await self._settle_late(address, message, call, done)

    async def expire(self, address: RoomAddress) -> None:
        """Ends the waiting of calls whose time is over; the reply goes on without them."""
        job = self._replies.current
        now = self._clock.now_ms()
        if job is None or not job.waits or any((call.expires_at or 0) > now for _, call in _waiting(job)):
            return
        for _, waiting in _waiting(job):
            message, call = await self._find(address, job.message_id, waiting.tool_call_id)
            if call.waits:
                state = ToolState.EXPIRED if call.state is ToolState.WAITING else ToolState.UNKNOWN
                await self._change(address, message, call, structs.replace(call, state=state, request="-"))

    async def _find(
        self, address: RoomAddress, message_id: MessageId, tool_call_id: str
    ) -> tuple[Message, ToolCallPart]:
        message = await self._history.message(address.room_id, message_id)
        for part in Said(message.content, message.parts).shown:
            if isinstance(part, ToolCallPart) and part.tool_call_id == tool_call_id:
                return message, part
        raise MessageNotFound("The message has no such call")

    async def _change(
        self, address: RoomAddress, message: Message, was: ToolCallPart, call: ToolCallPart, *, by_then: str = ""
    ) -> ToolCallPart:
        row = await self._history.doc(address.room_id, message.seq)
        parts = Said(row.content, row.parts).shown
        at = next((at for at, part in enumerate(parts) if part == was), None)
        job = self._replies.job(message.message_id)
        if at is None or job is None or not job.waits:
            # What was read is not what is waited for any more.
            raise OutOfStep
        parts[at] = call
        row = _with(row, parts)
        woken = parked_job(job, row)
        change = CallChange(
            message.seq,
            row.attempt,
            was.digest,
            at,
            call,
            row,
            by_then,
            still_waits=woken.waits,
            remember=call.once and ToolState.APPROVED in (call.state, by_then),
        )
        await self._cache.decide(address, self._claim, change)
        self._replies.add(address, woken)
        return call

    async def _settle_late(
        self, address: RoomAddress, message: Message, was: ToolCallPart, call: ToolCallPart
    ) -> ToolCallPart:
        """A call whose reply went on without its result, or ended, has one after all."""
        if await self._replies.take_late(message.message_id, call):
            return call
        if message.message_id in self._replies:
            raise OutOfStep
        row = await self._history.doc(address.room_id, message.seq)
        parts = Said(row.content, row.parts).shown
        at = next((at for at, part in enumerate(parts) if part == was), None)
        if at is None:
            raise OutOfStep
        parts[at] = call
        late = LateCall(message.seq, row.version, at, call, _with(row, parts))
        await self._cache.settle_late(address, self._claim, late)
        return call

    async def _edited(self, message: Message, call: ToolCallPart, text: str) -> ToolCallPart:
        if not call.editable:
            raise InvalidRequest("The arguments of this call cannot be changed")
        try:
            persona = self._model.persona(message.ai_persona or "")
        except UnknownPersona:
            raise InvalidRequest("There is no such tool any more") from None
        offer = await self._toolbox.offer(persona.tools, persona.servers)
        tool = next((tool for tool in offer.tools if tool.name == call.name), None)
        if tool is None:
            raise InvalidRequest("There is no such tool now")
        try:
            arguments = canonical_arguments(text, tool.parameters)
        except ArgumentsError as error:
            raise InvalidRequest(str(error)) from error
        return structs.replace(call, arguments=arguments, digest=digest_of(call.name, arguments))


def _with(row: MessageDoc, parts: list[Part]) -> MessageDoc:
    said = said_of(parts)
    return structs.replace(row, content=said.content, parts=said.parts, version=row.version + 2)


def _waiting(job: ReplyJob) -> list[tuple[int, ToolCallPart]]:
    shown = job.kept.shown
    return [(at, part) for at, part in enumerate(shown) if isinstance(part, ToolCallPart) and part.waits]


def _digest(*words: object) -> str:
    return sha256("\n".join(map(repr, words)).encode()).hexdigest()[:32]
