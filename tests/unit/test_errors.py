"""Every error: its code, and its way through pickling and through actor calls."""

from __future__ import annotations

import inspect
import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parlor.llm.ports
import parlor.model.cursors
import parlor.store.procedure_store  # noqa: F401 - the errors of its own
from parlor import errors
from parlor.errors import ERROR_CLASSES, ErrorWire, InternalError, ParlorError
from parlor.store import ports

pytestmark = pytest.mark.unit

TABLE = """
1000 internal 500
1001 room-not-active 409
1002 room-not-found 404
1003 message-not-found 404
1004 illegal-transition 409
1005 room-busy 409
1006 idempotency-mismatch 422
1007 invalid-request 422
1008 content-too-large 413
1009 unauthenticated 401
1010 rate-limited 429
1010 quota-exceeded 429
1011 overloaded 503
1012 cache-unavailable 503
1012 store-unavailable 503
1012 provider-unavailable 503
1013 stream-expired 410
1014 llm-error -
1014 llm-empty-answer -
1014 llm-only-reasoning -
1014 llm-content-filter -
1022 key-not-found 404
1023 account-not-found 404
1024 dead-letter-not-found 404
1025 another-account 409
1015 already-decided 409
1016 digest-mismatch 409
1017 file-not-found 404
1019 forbidden 403
1018 unsupported-media-type 415
1020 method-not-allowed 405
1021 limit-reached 409
"""
"""The public table, as its readers know it."""

INSIDE = {
    errors.Fenced,
    errors.RoomMoved,
    errors.OutOfStep,
    errors.Uncounted,
    errors.PartitionUnknown,
    errors.LeaseLost,
    errors.PartitionMoves,
    errors.Unavailable,
    errors.ForeignCache,
    errors.ForeignStore,
    errors.ShardBehind,
    ports.RowRefused,
    ports.SeqConflict,
}
"""Never answered, or as what they are a kind of."""


def classes(root: type[ParlorError] = ParlorError) -> list[type[ParlorError]]:
    return [root, *(found for child in root.__subclasses__() for found in classes(child))]


answered = [kind for kind in classes(errors.ParlorError) if kind.__module__ == errors.__name__ and kind not in INSIDE]
every = pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)


def test_codes_are_those_of_the_public_table() -> None:
    table = {tuple(row.split()) for row in TABLE.strip().splitlines()}
    found = {
        (str(kind.error_code), kind.code, "-" if issubclass(kind, errors.LlmError) else str(kind.http_status))
        for kind in answered
    }
    assert found == table


def test_two_errors_that_are_answered_never_share_a_code() -> None:
    codes = [kind.code for kind in answered if kind is not ParlorError]
    assert len(codes) == len(set(codes))


def test_errors_that_are_answered_with_the_same_code_have_one_title() -> None:
    """The OpenAPI document promises it by code; what is special is said in the detail."""
    titles = {kind.title for kind in classes(errors.InvalidRequest)}
    assert titles == {errors.InvalidRequest.title}


def test_every_error_has_a_code_of_its_own_and_stands_in_the_register() -> None:
    for kind in classes():
        assert ERROR_CLASSES[kind.__name__] is kind
        assert kind.code == kind.code.lower()
        assert kind.title
        assert 400 <= kind.http_status < 600
    assert len({kind.__name__ for kind in classes()}) == len(classes())


def test_every_error_is_drawn_in_the_tree() -> None:
    drawn = set((errors.__doc__ or "").replace("├──", " ").replace("└──", " ").replace("│", " ").split())
    for kind in classes():
        if kind.__module__ == errors.__name__:
            assert kind.__name__ in drawn


def test_what_is_retryable_is_what_a_retry_can_help() -> None:
    retryable = {kind.code for kind in answered if kind.retryable}
    assert retryable == {
        *("rate-limited", "quota-exceeded", "overloaded"),
        *("cache-unavailable", "store-unavailable", "provider-unavailable"),
    }


@every
def test_an_error_survives_pickling(kind: type[ParlorError]) -> None:
    error = kind("shown", debug="not shown", retry_after=1.5, extra={"from": "A", "errors": [{"loc": ["x"]}]})
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is kind
    assert (again.detail, again.debug, again.retry_after, again.extra) == (
        "shown",
        "not shown",
        1.5,
        {"from": "A", "errors": [{"loc": ["x"]}]},
    )
    assert str(again) == "shown"


@every
def test_an_error_survives_an_actor_call(kind: type[ParlorError]) -> None:
    error = kind(debug="d", extra={"n": 1})
    wire = msgspec.msgpack.decode(msgspec.msgpack.encode(error.to_wire()), type=ErrorWire)
    again = ParlorError.from_wire(wire)
    assert type(again) is kind
    assert (again.detail, again.debug, again.retry_after, again.extra) == (kind.title, "d", None, {"n": 1})


@given(
    detail=st.text(),
    debug=st.text(),
    retry_after=st.none() | st.floats(0, 1e6),
    extra=st.dictionaries(st.text(), st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans()),
)
def test_any_content_survives(
    detail: str, debug: str, retry_after: float | None, extra: dict[str, str | int | bool]
) -> None:
    error = errors.Overloaded(detail, debug=debug, retry_after=retry_after, extra=dict(extra))
    wire = msgspec.msgpack.decode(msgspec.msgpack.encode(error.to_wire()), type=ErrorWire)
    again = ParlorError.from_wire(wire)
    assert (again.detail, again.debug, again.retry_after, again.extra) == (
        detail or errors.Overloaded.title,
        debug,
        retry_after,
        extra,
    )


def test_an_error_of_a_newer_program_is_an_internal_one() -> None:
    again = ParlorError.from_wire(ErrorWire("FromTheFuture", "detail", "debug", 2.0, {}))
    assert type(again) is InternalError
    assert (again.detail, again.retry_after) == ("detail", 2.0)


def test_extras_are_not_shared_between_errors() -> None:
    one, other = errors.RoomBusy(), errors.RoomBusy()
    one.extra["x"] = 1
    assert other.extra == {}


def test_every_error_says_in_its_docstring_what_is_wrong() -> None:
    assert all(inspect.getdoc(kind) for kind in classes())
