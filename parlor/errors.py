"""Every error that Parlor raises, each defined once.

    ParlorError
    ├── InternalError            1000  internal              500
    ├── RoomNotActive            1001  room-not-active       409
    ├── RoomNotFound             1002  room-not-found        404
    ├── MessageNotFound          1003  message-not-found     404
    ├── IllegalTransition        1004  illegal-transition    409  from, to
    ├── RoomBusy                 1005  room-busy             409
    ├── IdempotencyMismatch      1006  idempotency-mismatch  422
    ├── InvalidRequest           1007  invalid-request       422  errors
    ├── ContentTooLarge          1008  content-too-large     413
    ├── Unauthenticated          1009  unauthenticated       401
    ├── RateLimited              1010  rate-limited          429
    ├── QuotaExceeded            1010  quota-exceeded        429
    ├── Overloaded               1011  overloaded            503
    ├── Unavailable              1012                        503
    │   ├── CacheUnavailable     1012  cache-unavailable     503
    │   │   └── ForeignCache                                 Redis belongs to another installation
    │   ├── StoreUnavailable     1012  store-unavailable     503
    │   │   ├── ForeignStore                                 a shard belongs to another installation
    │   │   ├── ShardBehind                                  a shard is older than Redis
    │   │   └── PartitionMoves                               a partition is on its way to another shard
    │   └── ProviderUnavailable  1012  provider-unavailable  503
    ├── StreamExpired            1013  stream-expired        410  oldest_cursor
    ├── LimitReached             1021  limit-reached         409
    ├── LlmError                 1014  llm-error             these four only in events and messages, never a status
    │   ├── AnswerEmpty          1014  llm-empty-answer
    │   ├── AnswerOnlyReasoning  1014  llm-only-reasoning
    │   └── AnswerFiltered       1014  llm-content-filter
    ├── KeyNotFound              1022  key-not-found         404
    ├── AccountNotFound          1023  account-not-found     404
    ├── DeadLetterNotFound       1024  dead-letter-not-found 404
    ├── AlreadyDecided           1015  already-decided       409  state
    ├── DigestMismatch           1016  digest-mismatch       409  digest
    ├── FileNotFound             1017  file-not-found        404
    ├── Forbidden                1019  forbidden             403
    ├── AnotherAccount           1025  another-account       409  account_id
    ├── UnsupportedMediaType     1018  unsupported-media-type  415
    ├── MethodNotAllowed         1020  method-not-allowed    405
    └── (internal, never sent to a client)
        ├── Fenced               another owner has claimed the room
        ├── RoomMoved            this actor does not own the room
        ├── OutOfStep            the cache's last seq is not the owner's
        │   └── Uncounted        Redis does not know what the account has used
        ├── PartitionUnknown     Redis has no record of the partition
        └── LeaseLost            another writer holds the partition

``detail`` is safe to show to a client; ``debug`` is for logs only. Every error
survives pickling and the wire form (``to_wire`` and ``from_wire``), because errors cross actor calls.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

Extra = dict[str, str | int | float | bool | list[dict[str, Any]]]
"""Extension members of a problem+json body."""


class ErrorWire(msgspec.Struct, frozen=True):
    """An error as it travels through an actor call."""

    kind: str
    detail: str
    debug: str
    retry_after: float | None
    extra: Extra


ERROR_CLASSES: dict[str, type[ParlorError]] = {}
"""Every error class by name, also those that ports define for themselves."""


class ParlorError(Exception):
    """An expected failure. ``extra`` becomes members of the problem+json body."""

    code: ClassVar[str] = "internal"
    error_code: ClassVar[int] = 1000
    http_status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        ERROR_CLASSES[cls.__name__] = cls

    def __init__(
        self, detail: str = "", *, debug: str = "", retry_after: float | None = None, extra: Extra | None = None
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.debug = debug
        self.retry_after = retry_after
        """Seconds after which a retry is worthwhile; None: not known."""
        self.extra: Extra = extra or {}

    def __reduce__(self) -> tuple[Any, ...]:
        # By class: unpickling then imports the module that defines it.
        return _restore, (type(self), self.to_wire())

    def to_wire(self) -> ErrorWire:
        return ErrorWire(type(self).__name__, self.detail, self.debug, self.retry_after, self.extra)

    @staticmethod
    def from_wire(wire: ErrorWire) -> ParlorError:
        return _rebuild(wire)


ERROR_CLASSES[ParlorError.__name__] = ParlorError


class InternalError(ParlorError):
    """A fault of the program; the log has the details."""


class RoomNotActive(ParlorError):
    """The room's state does not allow the request."""

    code, error_code, http_status = "room-not-active", 1001, 409
    title = "The room does not take this now"


class RoomNotFound(ParlorError):
    """There is no such room, or it belongs to somebody else: the answer does not say which."""

    code, error_code, http_status = "room-not-found", 1002, 404
    title = "No such room"


class MessageNotFound(ParlorError):
    """There is no such message in this room."""

    code, error_code, http_status = "message-not-found", 1003, 404
    title = "No such message"


class IllegalTransition(ParlorError):
    """The state machine refused the transition; ``from`` and ``to`` say which."""

    code, error_code, http_status = "illegal-transition", 1004, 409
    title = "Not possible in this state"


class RoomBusy(ParlorError):
    """A reply is being generated, and the request cannot wait for its end, or asked not to."""

    code, error_code, http_status = "room-busy", 1005, 409
    title = "A reply is being generated"


class IdempotencyMismatch(ParlorError):
    """The idempotency key was used with another body."""

    code, error_code, http_status = "idempotency-mismatch", 1006, 422
    title = "The idempotency key belongs to another request"


class InvalidRequest(ParlorError):
    """The request's form is wrong; ``errors`` lists where and why."""

    code, error_code, http_status = "invalid-request", 1007, 422
    title = "The request is not valid"


class ContentTooLarge(ParlorError):
    """The body or the content exceeds its limit."""

    code, error_code, http_status = "content-too-large", 1008, 413
    title = "Too large"


class Unauthenticated(ParlorError):
    """No bearer token, or one that is not valid."""

    code, error_code, http_status = "unauthenticated", 1009, 401
    title = "A valid bearer token is needed"


class RateLimited(ParlorError):
    """The account or the address has used its share for now."""

    code, error_code, http_status = "rate-limited", 1010, 429
    title = "Too many requests"
    retryable = True


class QuotaExceeded(ParlorError):
    """The account's budget of the day or of the month does not allow it; ``limit`` is its name."""

    code, error_code, http_status = "quota-exceeded", 1010, 429
    title = "The account's budget is used up"
    retryable = True


class Overloaded(ParlorError):
    """A limit that protects what is already accepted was reached."""

    code, error_code, http_status = "overloaded", 1011, 503
    title = "Too much to do"
    retryable = True


class Unavailable(ParlorError):
    """A service that Parlor depends on does not answer."""

    code, error_code, http_status = "unavailable", 1012, 503
    title = "A service does not answer"
    retryable = True


class CacheUnavailable(Unavailable):
    """Redis does not answer."""

    code, title = "cache-unavailable", "The live store does not answer"


class StoreUnavailable(Unavailable):
    """A shard or the global database does not answer."""

    code, title = "store-unavailable", "The permanent store does not answer"


class ForeignCache(CacheUnavailable):
    """Redis belongs to another installation: nothing in it is read, nothing is written (I21). Clients see a live store
    that does not answer."""


class ForeignStore(StoreUnavailable):
    """A shard is a database of another installation, or another shard's (I21)."""


class ShardBehind(StoreUnavailable):
    """A shard has forgotten what Redis knows of it (I21). Repeating does not help: `parlor adopt` does."""


class PartitionMoves(StoreUnavailable):
    """A partition is on its way to another shard: for a moment nobody may write there. Repeating helps."""


class ProviderUnavailable(Unavailable):
    """The identity provider does not answer, and the token names a key of it that is not known."""

    code, title = "provider-unavailable", "The identity provider does not answer"


class StreamExpired(ParlorError):
    """The event log no longer reaches back to the cursor; ``oldest_cursor`` is where it begins."""

    code, error_code, http_status = "stream-expired", 1013, 410
    title = "The events after this cursor are gone"


class LimitReached(ParlorError):
    """There is as much of it as there may be; asking again does not help."""

    code, error_code, http_status = "limit-reached", 1021, 409
    title = "A limit is reached"


class KeyNotFound(ParlorError):
    """The account has no API key with this id."""

    code, error_code, http_status = "key-not-found", 1022, 404
    title = "No such API key"


class AccountNotFound(ParlorError):
    """There is no account of this name."""

    code, error_code, http_status = "account-not-found", 1023, 404
    title = "No such account"


class DeadLetterNotFound(ParlorError):
    """There is no dead letter with this id, or not any more."""

    code, error_code, http_status = "dead-letter-not-found", 1024, 404
    title = "No such dead letter"


class AlreadyDecided(ParlorError):
    """The call of a tool was decided otherwise, or does not wait any more."""

    code, error_code, http_status = "already-decided", 1015, 409
    title = "The call has been decided"


class DigestMismatch(ParlorError):
    """The decision names other arguments than the call has."""

    code, error_code, http_status = "digest-mismatch", 1016, 409
    title = "The call has other arguments"


class FileNotFound(ParlorError):
    """There is no such file, or it belongs to somebody else: the answer does not say which."""

    code, error_code, http_status = "file-not-found", 1017, 404
    title = "No such file"


class Forbidden(ParlorError):
    """The credential is valid, but not for this."""

    code, error_code, http_status = "forbidden", 1019, 403
    title = "Not allowed with this credential"


class AnotherAccount(ParlorError):
    """A sign-in code is for another account than the one that was expected; it was not used up."""

    code, error_code, http_status = "another-account", 1025, 409
    title = "The sign-in code is for another account"


class LlmError(ParlorError):
    """The language model failed; reported in events and messages, not as a status."""

    code, error_code, http_status = "llm-error", 1014, 500
    title = "The language model failed"


class AnswerEmpty(LlmError):
    """The language model's answer ended without a visible character."""

    code, title = "llm-empty-answer", "The language model's answer is empty"


class AnswerOnlyReasoning(LlmError):
    """The language model's answer ended before it said anything but its thoughts."""

    code, title = "llm-only-reasoning", "The language model's answer is nothing but reasoning"


class AnswerFiltered(LlmError):
    """The provider's content filter withheld the whole answer. One that is cut short by it is a message that ended by
    ``content_filter``."""

    code, title = "llm-content-filter", "The language model's content filter withheld the answer"


class UnsupportedMediaType(ParlorError):
    """The body is encoded, is not JSON in UTF-8, or is a file of a type that is not taken."""

    code, error_code, http_status = "unsupported-media-type", 1018, 415
    title = "The body is in a form that is not read"


class MethodNotAllowed(ParlorError):
    """The path does not take this method; the header `Allow` has those that it takes."""

    code, error_code, http_status = "method-not-allowed", 1020, 405
    title = "The path does not take this method"


class Fenced(ParlorError):
    """Another owner has claimed the room: the caller drops it, and its own caller tries again."""

    code, title, retryable = "fenced", "The room has another owner", True


class RoomMoved(ParlorError):
    """This actor does not hold the room: the caller asks for its place again."""

    code, title, retryable = "room-moved", "The room is elsewhere", True


class OutOfStep(ParlorError):
    """The cache's last seq is not the owner's: the room has to be loaded again."""

    code, title, retryable = "out-of-step", "The room has to be loaded again", True


class Uncounted(OutOfStep):
    """Redis does not know what the account has used today and this month: it has to be loaded from its shard."""

    code, title = "uncounted", "The account's use has to be loaded"


class PartitionUnknown(ParlorError):
    """Redis has no record of the partition (it came back empty): it must be initialised from its shard first."""

    code, title, retryable = "partition-unknown", "The partition has to be initialised", True


class LeaseLost(ParlorError):
    """Another writer holds the partition; nothing of this batch was applied."""

    code, title, retryable = "lease-lost", "The partition has another writer", True


def _rebuild(wire: ErrorWire) -> ParlorError:
    return _restore(ERROR_CLASSES.get(wire.kind, InternalError), wire)


def _restore(kind: type[ParlorError], wire: ErrorWire) -> ParlorError:
    return kind(wire.detail, debug=wire.debug, retry_after=wire.retry_after, extra=dict(wire.extra))
