"""``GET /v1/socket``: one connection for many sends and subscriptions (WebSocket, RFC 6455, subprotocol ``parlor.v1``).

A frame passes the same limits as a request over HTTP, and its answer has the same status and body. Frames for one room
are served one after the other, each when the one before it was answered; frames for different rooms at once, up to
``WINDOW`` of a connection. Beyond that nothing is read, so that the client's own writes wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial

import structlog
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from api import answers, socket_frames
from api.auth import Authenticator, require_scope
from api.callers import Caller
from api.edge import Edge
from api.headers import checked_cursor, checked_key
from api.idempotency import digest
from api.path_ids import message_id_of, room_id_of
from api.problems import deny, invalid, refusal, respond
from api.rates import charge
from api.request_context import SOCKET as PATH
from api.sending import command_of
from api.socket_frames import Authenticate, Frame, Malformed, Ping, Ref, Stop, Subscribe, Unsubscribe
from api.sse import GRACE, STALL, allowance
from api.subscriptions import Follower
from parlor.errors import InternalError, Overloaded, ParlorError, Unauthenticated
from parlor.model.ids import RoomId
from parlor.model.requests import Idempotency
from parlor.model.wire import encode

SUBPROTOCOL = "parlor.v1"
WINDOW = 32
"""Frames of one connection that are served at a time."""
FIRST_FRAME = 5.0
"""Seconds for the token of a client whose handshake had none."""
GOING_AWAY, NO_TEXT, POLICY = 1001, 1003, 1008
"""Codes of RFC 6455 section 7.4.1."""
_log = structlog.get_logger(__name__)


async def socket(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of a connection."""
    edge: Edge = scope["app"].state.edge
    authenticator: Authenticator = scope["app"].state.authenticator
    await receive()  # websocket.connect
    with ExitStack() as held:
        try:
            subprotocol = _subprotocol(scope)
            caller = await _caller_of_handshake(edge, authenticator, scope)
            if caller is not None:
                _admit(edge, caller, scope, held)
        except ParlorError as error:
            await deny(await refusal(edge, error, scope), scope, receive, send)
            return
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        try:
            if caller is None:
                caller = await _caller_of_first_frame(edge, authenticator, scope, receive)
                _admit(edge, caller, scope, held)
        except ParlorError as error:
            problem = await refusal(edge, error, scope)
            body = bytes(respond(problem, scope).body)
            await send({"type": "websocket.send", "text": socket_frames.answer(None, problem.status, body)})
            await send({"type": "websocket.close", "code": POLICY, "reason": problem.code})
            return
        await _Connection(edge, caller, scope, receive, send).serve()


def _subprotocol(scope: Scope) -> str | None:
    """Raises ``InvalidRequest`` for a client that speaks other protocols only."""
    offered = scope["subprotocols"]
    if offered and SUBPROTOCOL not in offered:
        raise invalid(("header", "Sec-WebSocket-Protocol"), f"This socket speaks `{SUBPROTOCOL}`")
    return SUBPROTOCOL if offered else None


async def _caller_of_handshake(edge: Edge, authenticator: Authenticator, scope: Scope) -> Caller | None:
    """None: the handshake has no credential. Raises ``Unauthenticated`` and what resolving the account raises."""
    # A page of another origin could open it with somebody's cookie, and a connection changes things.
    async with _counting(edge, authenticator, scope):
        return await authenticator.handshake_caller(edge, Headers(scope=scope), "POST")


async def _caller_of_first_frame(edge: Edge, authenticator: Authenticator, scope: Scope, receive: Receive) -> Caller:
    """Raises ``Unauthenticated`` and what resolving the account raises."""
    give_back = edge.limits.take_stranger(scope)
    try:
        async with asyncio.timeout(FIRST_FRAME):
            message = await receive()
        frame = socket_frames.read(message.get("text") or "")
    except (TimeoutError, Malformed):
        frame = None
    finally:
        give_back()
    if not isinstance(frame, Authenticate):
        raise Unauthenticated("The first frame of a connection without a token has to be `authenticate`, at once")
    async with _counting(edge, authenticator, scope):
        return await authenticator.token_caller(edge, frame.token)


@asynccontextmanager
async def _counting(edge: Edge, authenticator: Authenticator, scope: Scope) -> AsyncIterator[None]:
    """Counts a credential that is not valid. Raises ``RateLimited`` when there were too many."""
    authenticator.admit(edge, scope)
    try:
        yield
    except Unauthenticated:
        await edge.limits.token_refused(scope)
        raise


def _admit(edge: Edge, caller: Caller, scope: Scope, held: ExitStack) -> None:
    """A connection counts as a stream. Raises ``RateLimited``, ``Forbidden`` or ``Overloaded``."""
    scope["state"]["caller"] = caller
    charge(edge.limits.requests, caller.session.account_id, scope)
    require_scope(caller, "read")
    held.enter_context(edge.streams.take(caller.session.account_id))


class _Connection:
    """A connection whose caller is known."""

    def __init__(self, edge: Edge, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        self._edge = edge
        self._caller = caller
        self._account = caller.session.account_id
        self._scope = scope
        self._receive = receive
        self._send = send
        self._window = asyncio.Semaphore(WINDOW)
        self._running: set[asyncio.Task[None]] = set()
        self._last: dict[str, asyncio.Task[None]] = {}
        """The last frame of each room; ``""``: of the account."""
        self._followers: dict[str, Follower] = {}
        self._lost = asyncio.Event()
        """The client is gone, or does not read."""

    async def serve(self) -> None:
        seconds, reason = allowance(self._edge, self._caller)
        reading = asyncio.create_task(self._read())
        lost = asyncio.create_task(self._lost.wait())
        deadline = asyncio.create_task(self._edge.clock.sleep(seconds))
        tasks = (reading, lost, deadline)
        try:
            with self._edge.open_streams.watch(self._caller) as revoked:
                await asyncio.wait((*tasks, revoked), return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    reading.result()
                elif not lost.done():
                    reading.cancel()
                    await self._end(revoked.result() if revoked.done() else reason)
        except OSError:
            _log.debug("socket_cut")
        finally:
            left = (*tasks, *self._running, *(follower.task for follower in self._followers.values()))
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _end(self, reason: str) -> None:
        """Has what was begun end, tells every subscription where to go on, and closes. Raises ``OSError``."""
        if self._running:
            await asyncio.wait(self._running, timeout=GRACE)
        for follower in list(self._followers.values()):
            await follower.stop(reason)
        await self._close(POLICY if reason.startswith("token-") else GOING_AWAY, reason)

    async def _read(self) -> None:
        """Serves frames until the client goes."""
        while True:
            await self._window.acquire()
            message: Message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                await self._close(NO_TEXT, "frames are text")
                return
            self._begin(text)

    def _begin(self, text: str) -> None:
        room = None
        try:
            frame = socket_frames.read(text)
        except Malformed as wrong:
            serving = self._refuse(wrong.ref, wrong.error)
        else:
            room = _room_of(frame)
            serving = self._serve(frame, None if room is None else self._last.get(room))
        task = asyncio.create_task(serving)
        self._running.add(task)
        if room is not None:
            self._last[room] = task
        task.add_done_callback(partial(self._served, room))

    def _served(self, room: str | None, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._window.release()
        if room is not None and self._last.get(room) is task:
            del self._last[room]
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, OSError):
            _log.error("frame_failed", exc_info=error)

    async def _serve(self, frame: Frame, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        try:
            with self._admitted(frame):
                status, body = await self._perform(frame)
        except ParlorError as error:
            await self._refuse(frame.ref, error)
        except Exception:  # noqa: BLE001 - logged; the other frames of the connection go on
            _log.exception("request_failed", path=PATH)
            await self._refuse(frame.ref, InternalError())
        else:
            await self._write(socket_frames.answer(frame.ref, status, body))
            if isinstance(frame, Subscribe) and (follower := self._followers.get(_key(frame))) is not None:
                follower.begin()

    @contextmanager
    def _admitted(self, frame: Frame) -> Iterator[None]:
        """What a request passes before its handler, and what it holds meanwhile. Raises ``Overloaded``,
        ``RateLimited`` or ``Forbidden``."""
        with ExitStack() as held:
            self._edge.under_way += 1
            held.callback(self._ended)
            if self._edge.is_full:
                raise Overloaded("Too many requests are under way")
            charge(self._edge.limits.requests, self._account, self._scope)
            require_scope(self._caller, "write" if isinstance(frame, socket_frames.Send | Stop) else "read")
            held.callback(self._edge.limits.requests_at_once.take(self._account))
            yield

    def _ended(self) -> None:
        self._edge.under_way -= 1

    async def _perform(self, frame: Frame) -> tuple[int, bytes]:
        gateway, session = self._edge.gateway, self._caller.session
        match frame:
            case socket_frames.Send():
                return await self._perform_send(frame)
            case Stop():
                room, message = room_id_of(frame.room_id), message_id_of(frame.message_id)
                reply = await gateway.stop_reply(session, room, message, frame.attempt)
                return 200, bytes(answers.message_answer(reply).body)
            case Subscribe():
                return 200, _said(cursor=await self._subscribe(frame))
            case Unsubscribe():
                follower = self._followers.get(_key(frame))
                if follower is not None:
                    await follower.stop()
                return 200, _said()
            case Ping():
                return 200, _said()
            case Authenticate():
                raise invalid(("op",), "The connection has a caller already")

    async def _perform_send(self, frame: socket_frames.Send) -> tuple[int, bytes]:
        room = room_id_of(frame.room_id)

        def idempotency(*asked: object) -> Idempotency | None:
            key = frame.idempotency_key
            return None if key is None else Idempotency(checked_key(key), digest(*asked))

        command = command_of(frame.body, self._edge.settings, idempotency)
        await self._edge.limits.admit_send(self._account, self._scope)
        receipt = await self._edge.gateway.send_message(self._caller.session, room, command)
        status = 200 if receipt.replayed else 201
        return status, bytes(answers.send_answer(receipt, status, {}).body)

    async def _subscribe(self, frame: Subscribe) -> str:
        """Returns the cursor at which the events begin."""
        key = _key(frame)
        if key in self._followers:
            raise invalid(("room_id" if key else "account",), "This connection has subscribed to it already")
        room = RoomId(key) if key else None
        after = None if frame.after is None else checked_cursor(frame.after, ("after",))
        gateway, session = self._edge.gateway, self._caller.session
        with ExitStack() as held:
            # A subscription counts as a stream, like one over HTTP, and as a request that is under way.
            held.enter_context(self._edge.streams.take(self._account))
            self._edge.under_way += 1
            held.callback(self._ended)
            source = (
                gateway.account_events(session, after) if room is None else gateway.room_events(session, room, after)
            )
            follower = self._followers[key] = Follower(room, source, self._write)
            follower.task.add_done_callback(partial(self._unfollowed, key, held.pop_all()))
        return await follower.open()

    def _unfollowed(self, key: str, held: ExitStack, task: asyncio.Task[None]) -> None:
        held.close()
        del self._followers[key]
        if not task.cancelled():
            task.exception()  # who subscribed was told of it, or the client is gone

    async def _refuse(self, ref: Ref, error: ParlorError) -> None:
        problem = await refusal(self._edge, error, self._scope)
        body = bytes(respond(problem, self._scope).body)
        await self._write(socket_frames.answer(ref, problem.status, body))

    async def _write(self, text: str) -> None:
        """Raises ``OSError`` when the client is gone, or has not read for too long."""
        try:
            async with asyncio.timeout(STALL):
                await self._send({"type": "websocket.send", "text": text})
        except OSError:  # a TimeoutError is one
            self._lost.set()
            raise

    async def _close(self, code: int, reason: str) -> None:
        async with asyncio.timeout(GRACE):
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


def _said(**fields: object) -> bytes:
    return encode({**fields, "errorCode": 0})


def _room_of(frame: Frame) -> str | None:
    """What frames are kept in order by: a room, however its id is written; None: nothing."""
    match frame:
        case Authenticate() | Ping():
            return None
        case _:
            return (frame.room_id or "").lower()


def _key(frame: Subscribe | Unsubscribe) -> str:
    """What is subscribed to: a room, or ``""`` for the account. Raises ``InvalidRequest`` or ``RoomNotFound``."""
    if (frame.room_id is None) == (frame.account is None):
        raise invalid(("room_id",), "Give either room_id or account")
    return "" if frame.room_id is None else room_id_of(frame.room_id)
