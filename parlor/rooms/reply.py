"""Writing one reply: from the LLM into the event log, until it ends.

A reply belongs to its room, not to a connection, so it continues when every reader has left. Deltas are coalesced and
stored as they arrive; the end is one atomic step. An outage of Redis delays the reply but does not end it. The work
stops at once when the claim or the reply's state shows that another owner has taken over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import TypeVar

import structlog
from msgspec import structs

from parlor.cache.changes import Parking
from parlor.cache.live import RoomAddress, milliseconds
from parlor.errors import (
    AnswerEmpty,
    LlmError,
    OutOfStep,
    ParlorError,
    PartitionUnknown,
    QuotaExceeded,
    RoomNotFound,
    StoreUnavailable,
)
from parlor.llm.ports import Completion, Context, ReasoningDelta, TextDelta
from parlor.llm.usage import UsageMeter, total
from parlor.model.ids import Claim
from parlor.model.messages import FinishReason, JsonObject, Usage
from parlor.model.parts import Part, Said, ToolCallPart, said_of
from parlor.model.tracing import span
from parlor.rooms.draft import Draft, ended_calls
from parlor.rooms.estimates import STEP_LEAST, Estimates, step_tokens
from parlor.rooms.reply_job import (
    EVENTS,
    ReplyJob,
    ReplyPorts,
    asked_for,
    ended_row,
    parked_job,
    row_of,
    tokens_had,
    waited,
)
from parlor.rooms.reply_writer import ReplyWriter, insist
from parlor.rooms.tool_steps import ToolSteps, prompt_of, told_of_missing

CHANGES = 1_000_000
"""More than calls change between two rows of a reply."""

_T = TypeVar("_T")

_log = structlog.get_logger(__name__)


class ReplyRun:
    """One attempt at a reply. ``run`` returns when the reply has ended. It raises ``Fenced``, ``RoomNotFound`` or
    ``IllegalTransition`` when this owner may no longer write the reply."""

    def __init__(self, ports: ReplyPorts, address: RoomAddress, claim: Claim, job: ReplyJob) -> None:
        self.job = job
        self._ports = ports
        self._address = address
        self._claim = claim
        self._draft = Draft(job.kept, ports.clock, job.version * CHANGES)
        self._writer = ReplyWriter(ports, address, claim, job, self._draft)
        self._step: list[ToolCallPart] = []
        """The calls with which the reply parks."""
        self.parked: ReplyJob | None = None
        """The same reply as it waits for people, when the run has ended with that."""
        self._meter: UsageMeter | None = None
        """Of the step that is being written; None until the model has been asked."""
        self._told: list[JsonObject] = []
        """What of the files in the prompt the model was not shown, or not whole."""
        self._used: Usage | None = None
        """By the steps before."""
        self._refusal: ParlorError | None = None
        """Why a step could not be recorded."""
        self._ended_as: FinishReason | None = None
        self._llm: asyncio.Task[FinishReason | None] | None = None
        self._estimates = Estimates(ports.model, ports.settings)

    def end(self, reason: FinishReason) -> None:
        """Ends the reply early: closes the connection to the LLM and keeps the text so far."""
        if self._ended_as is None:
            self._ended_as = reason
            self._draft.withdraw()
            if self._llm is not None:
                self._llm.cancel()

    async def take_late(self, call: ToolCallPart) -> bool:
        """Takes what came of a call that was unknown; the model is told with its next step. Returns False when the
        model has said its last."""
        if self._llm is None or self._llm.done():
            return False
        self._draft.put_call(call)
        await self._writer.write()
        return True

    async def run(self) -> None:
        """Begins the attempt, writes the answer as it arrives, and ends the reply or parks it."""
        prompt = await self._prompt()
        try:
            may = await self._begin(prompt)
        except QuotaExceeded as over:
            await self.finish(FinishReason.ERROR, over)
            return
        self._llm = asyncio.create_task(self._generate(prompt, may))
        if self._ended_as is not None:
            self._llm.cancel()
        writing = asyncio.create_task(self._writer.run())
        try:
            await asyncio.wait({self._llm, writing}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done() and not self._llm.done():
                # Only a refused write ends the writer before the text is complete; this raises the refusal.
                await writing
            reason, error = await self._outcome(self._llm)
            self._draft.withdraw()
            await self._writer.finish(writing)
        finally:
            for task in (self._llm, writing):
                task.cancel()
            await asyncio.gather(self._llm, writing, return_exceptions=True)
        if reason is None and self._ended_as is None:
            await self._park()
        else:
            await self.finish(reason or self._ended_as or FinishReason.STOPPED, error)

    async def finish(self, reason: FinishReason, error: ParlorError | None = None, said: Said | None = None) -> None:
        """Ends the reply in one atomic step. ``said`` replaces what this run has, for a run that never began; an
        attempt whose owner died is charged with it."""
        job = self.job
        had = None if said is None or job.waits else tokens_had(job)
        withdrawn: list[Part] = []
        if said is None:
            said = self._draft.said()
        else:
            ended = ended_calls(said.shown)
            withdrawn = [now for now, was in zip(ended, said.shown, strict=True) if waited(was)]
            said = said_of(ended)
        row = structs.replace(row_of(job, said, self._writer.version), usage=self._usage_of_all())
        doc = ended_row(row, reason, error)
        if self._told:
            doc = structs.replace(doc, metadata={"files": self._told})
        cost, before = self._estimates.cost(job.persona, self._usage()), job.before or Usage(0, 0)
        complete = partial(self._ports.cache.complete_reply, before=before, withdrawn=withdrawn)
        await self._insist(partial(complete, self._address, self._claim, job.seq, doc, EVENTS[reason], cost, had))
        self._ports.metrics.reply(reason)
        room_id, message_id = self._address.room_id, job.message_id
        _log.info("reply_ended", room_id=room_id, message_id=message_id, attempt=job.attempt, reason=reason)
        self._ports.observer.reply_ended(self._address, self._claim, job.persona, job.seq, reason)

    async def count_withdrawn(self) -> None:
        """Counts what a reply used that was deleted while it was written, and so has no end that counts it."""
        if self._meter is not None:
            add, job, usage = self._ports.usage.add, self.job, self._usage() or Usage(0, 0)
            cost = self._estimates.cost(job.persona, usage)
            call = f"{job.message_id}:{job.attempt}"
            await self._insist(partial(add, self._address, "reply", call, usage, cost, job.message_id, job.attempt))

    async def _park(self) -> None:
        """Records the step whose calls wait for people, in the cache and for the shard, and gives up what the reply
        holds: lease and reservation."""
        job, used = self.job, self._usage() or Usage(0, 0)
        deadline = self._ports.clock.now_ms() + milliseconds(self._ports.settings.rooms.approval_ttl)
        step = [asked_for(call, deadline) for call in self._step]
        parts = self._draft.parked(step)
        doc = structs.replace(self._writer.slot_row(), usage=self._usage_of_all())
        parking = Parking(doc, deadline, parts, used, self._estimates.cost(job.persona, used))
        park = self._ports.calls.park
        await self._insist(partial(park, self._address, self._claim, job.seq, job.attempt, parking))
        self.parked = structs.replace(parked_job(job, doc), waits=True)
        message_id, calls = job.message_id, len(step)
        _log.info("reply_parked", room_id=self._address.room_id, message_id=message_id, calls=calls)

    async def _outcome(self, llm: asyncio.Task[FinishReason | None]) -> tuple[FinishReason | None, ParlorError | None]:
        if self._refusal is not None and llm.done():
            raise self._refusal
        try:
            return await llm, None
        except LlmError as error:
            if isinstance(error, AnswerEmpty) and self.job.kept.content:
                return FinishReason.STOP, None  # There was nothing to add.
            _log.warning("llm_failed", room_id=self._address.room_id, detail=error.detail, debug=error.debug)
            return FinishReason.ERROR, error
        except QuotaExceeded as over:
            return FinishReason.ERROR, over
        except asyncio.CancelledError:
            if self._ended_as is None or not llm.cancelled():
                raise
            return self._ended_as, None
        except Exception as error:  # noqa: BLE001 - a bug in the model's client ends the reply: another attempt would hit it again
            _log.exception("llm_faulty", room_id=self._address.room_id)
            return FinishReason.ERROR, LlmError(debug=repr(error))

    async def _prompt(self) -> Context | Exception:
        """What the model is asked, or why it cannot be: then the attempt begins all the same, and fails."""
        job, model = self.job, self._ports.model
        # What was said before a call of a tool is told with the call.
        said = "" if any(isinstance(part, ToolCallPart) for part in job.kept.shown) else job.kept.content
        try:
            return await self._insist(
                partial(model.mem, self._address.room_id, persona=job.persona, before_seq=job.seq, said=said)
            )
        except StoreUnavailable as error:
            return LlmError("The conversation could not be read", debug=error.debug)
        except (OutOfStep, PartitionUnknown, RoomNotFound):
            raise
        except Exception as error:  # noqa: BLE001 - as a fault of the model's client: it ends the reply
            return error

    async def _begin(self, prompt: Context | Exception) -> int | None:
        """Starts the attempt with what its prompt needs; returns the tokens that the answer may have."""
        job = self.job
        ask = self._estimates.of_prompt(job.persona, prompt.estimated_tokens) if isinstance(prompt, Context) else None
        start = partial(self._ports.cache.start_attempt, version=job.version, woken=job.woken)
        had = 0 if job.woken else tokens_had(job)
        about = (self._address, self._claim, job.message_id, job.seq, job.attempt, self._draft.opening())
        return await self._insist(partial(start, *about, had, ask))

    def _usage(self) -> Usage | None:
        """What all steps have used since the reply began or woke."""
        now = self._meter.usage if self._meter is not None else None
        return self._used if now is None else total(self._used, now)

    def _usage_of_all(self) -> Usage | None:
        """What all steps have used."""
        now = self._usage()
        return self.job.before if now is None else total(self.job.before, now)

    async def _generate(self, prompt: Context | Exception, may: int | None) -> FinishReason | None:
        """Has the model speak, and use its tools, until it is done; None when it waits for people then."""
        if isinstance(prompt, Exception):
            raise prompt
        self._told = [
            {"file_id": file.file_id, "state": file.state, "shown": file.shown, "characters": file.characters}
            for file in prompt.files
            if file.state != "whole"
        ]
        persona = self._ports.model.persona(self.job.persona)
        ports, slot = self._ports, f"{self.job.message_id}\n{self.job.first}"
        offer = await ports.toolbox.offer(persona.tools, persona.servers)
        asked = told_of_missing(prompt.turns, offer.missing)
        steps = ToolSteps(ports.toolbox, offer.tools, self._draft, self, ports.clock, slot, ports.nonce)
        await steps.finish()
        inherited = steps.taken > 0
        while True:
            stands = prompt_of(self._draft.shown) if steps.taken else []
            size, needs = said_of(self._draft.shown).characters, prompt.estimated_tokens + step_tokens(stands)
            if inherited or self._meter is not None:
                may = await self._reserve(needs)
            context = structs.replace(
                prompt,
                turns=[*asked, *stands],
                estimated_tokens=needs,
                said=size,
                answer_tokens=may,
                tools=offer.tools,
            )
            with span("model", model=persona.model):
                end = await self._speak(context)
            if not end.calls:
                return end.finish_reason
            if steps.taken >= persona.max_steps:
                return FinishReason.TOOL_LIMIT
            self._step = await steps.take(end.calls)
            if self._step:
                return None

    async def _reserve(self, prompt_tokens: int) -> int | None:
        """Reserves the next step beside those before (I23); returns the tokens that its answer may have."""
        job, used = self.job, self._usage() or Usage(0, 0)
        next_one = self._estimates.of_prompt(job.persona, prompt_tokens)
        ask = structs.replace(
            next_one, prompt=used.input_tokens + next_one.prompt, answer=used.output_tokens + next_one.answer
        )
        reserve = self._ports.cache.reserve_step
        call = partial(reserve, self._address, self._claim, job.message_id, job.attempt, ask)
        may = await self._or_end(self._insist(call))
        if may is None:
            return None
        if may - used.output_tokens < STEP_LEAST:
            raise QuotaExceeded("The account's budget leaves too little for another step")
        return may - used.output_tokens

    async def write(self) -> None:
        """Has a step written before what follows from it."""
        await self._or_end(self._writer.write())

    async def stored(self, tool_call_id: str, within: float) -> bool:
        """Returns whether the shard has the row that says that the call is sent, in that many seconds."""
        return await self._writer.stored(tool_call_id, within)

    async def approved_before(self, digest: str) -> bool:
        """Returns whether the same call was approved in this room."""
        return await self._ports.history.approved_before(self._address.room_id, digest)

    async def _or_end(self, work: Awaitable[_T]) -> _T:
        """Does what a step needs. A refusal ends the run, for the reply is not this owner's any more; a budget that is
        used up only ends the reply."""
        try:
            return await work
        except QuotaExceeded:
            raise
        except ParlorError as error:
            self._refusal = error
            raise

    async def _speak(self, context: Context) -> Completion:
        """Takes one answer of the model, up to its end or its calls of tools."""
        clock, texts = self._ports.clock, list[str]()
        began = clock.monotonic()
        self._used, self._meter = self._usage(), UsageMeter(context.estimated_tokens, texts)
        async with aclosing(self._ports.model.chat(self.job.persona, context)) as parts:
            async for part in parts:
                if isinstance(part, TextDelta | ReasoningDelta):
                    if not texts and self._used is None:
                        self._ports.metrics.first_token_seconds(clock.monotonic() - began)
                    texts.append(part.text)
                    self._draft.add(part.text, reasoning=isinstance(part, ReasoningDelta))
                    self._writer.news.set()
                    await self._writer.wanted.wait()
                    continue
                self._meter.take(part)
                if isinstance(part, Completion):
                    return part
        raise LlmError("The answer ended without an end")

    async def _insist(self, work: Callable[[], Awaitable[_T]]) -> _T:
        return await insist(self._ports, self._address, work)
