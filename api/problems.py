"""Errors as RFC 9457 problem details; every error answer is built here (I18).

``type`` is ``/docs/errors#<code>``, a relative reference into the documentation of this installation. HTTP adds one
code to those of ``parlor.errors``, with errorCode 1000: ``not-found`` (no such path).
Errors that are internal to the program (``Fenced`` and others) and ``LlmError`` are answered as ``internal``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from api.dialects.refusals import refusal_form
from api.edge import Edge, edge_of
from api.methods import MethodTable
from parlor.errors import (
    ERROR_CLASSES,
    ContentTooLarge,
    Extra,
    InternalError,
    InvalidRequest,
    LlmError,
    MethodNotAllowed,
    ParlorError,
    QuotaExceeded,
    RateLimited,
    Unauthenticated,
    UnsupportedMediaType,
)

MEDIA_TYPE = "application/problem+json"
DEFAULT_RETRY_AFTER = 1.0
"""Seconds, for a retryable error that does not name its own."""
_ERRORS_MAX = 20
_HEADERS: dict[type[ParlorError], dict[str, str]] = {
    Unauthenticated: {"WWW-Authenticate": "Bearer"},
    UnsupportedMediaType: {"Accept-Encoding": "identity"},  # RFC 9110 section 15.5.16
}
_log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


def is_public(error: type[ParlorError]) -> bool:
    """Whether clients may see the class: it has an errorCode of its own, and is no ``LlmError``."""
    return error is InternalError or (error.error_code != InternalError.error_code and not issubclass(error, LlmError))


PUBLIC_ERRORS: tuple[type[ParlorError], ...] = tuple(
    found for found in ERROR_CLASSES.values() if is_public(found) and (found is InternalError or "code" in vars(found))
)
"""One for each code: a class that inherits its code (``UnknownPersona``) is answered as its parent."""


class Problem(msgspec.Struct, frozen=True):
    """An error answer before it is serialized."""

    code: str
    error_code: int
    status: int
    title: str
    detail: str
    retry_after: float | None = None
    extra: Extra = {}
    headers: dict[str, str] = {}

    @classmethod
    def of(cls, error: ParlorError) -> Problem:
        """The problem that a client sees for ``error``."""
        if not is_public(type(error)):
            error = InternalError()
        retry_after = error.retry_after
        if retry_after is None and error.retryable:
            retry_after = DEFAULT_RETRY_AFTER
        headers = _HEADERS.get(type(error), {})
        return cls(
            error.code,
            error.error_code,
            error.http_status,
            error.title,
            error.detail,
            retry_after,
            error.extra,
            headers,
        )


def invalid(where: Sequence[str | int], message: str) -> InvalidRequest:
    """An ``InvalidRequest`` with one entry in ``errors``; ``where`` as in ``("body", "title")``."""
    return InvalidRequest(message, extra={"errors": [{"loc": list(where), "msg": message, "type": "value_error"}]})


def invalid_fields(found: Sequence[Mapping[str, Any]], *where: str) -> InvalidRequest:
    """An ``InvalidRequest`` for what pydantic ``found``; ``where`` is put before each place."""
    # `input` is left out: it is the client's text.
    errors: list[dict[str, Any]] = [
        {"loc": [*where, *(_loc_part(part) for part in each["loc"])], "msg": _message(each), "type": each["type"]}
        for each in found[:_ERRORS_MAX]
    ]
    return InvalidRequest("; ".join(_sentence(each) for each in errors[:3]), extra={"errors": errors})


def respond(problem: Problem, scope: Scope) -> Response:
    """The response; ``instance`` and ``request_id`` come from the request's scope."""
    body: dict[str, Any] = {
        **problem.extra,
        "type": f"/docs/errors#{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": _utf8(problem.detail),
        "instance": _utf8(scope["path"]),
        "errorCode": problem.error_code,
        "code": problem.code,
        "request_id": scope["state"]["request_id"],
    }
    headers = {"Cache-Control": "no-store", **problem.headers}
    if problem.retry_after is not None:
        seconds = max(0, math.ceil(problem.retry_after))
        body["retry_after_seconds"] = seconds
        headers["Retry-After"] = str(seconds)
    scope["app"].state.edge.metrics.refused(problem.code)
    errors = problem.extra.get("errors")
    told = errors if isinstance(errors, list) else []
    other = refusal_form(scope["path"], body["detail"], problem.status, problem.code, told, body["request_id"])
    if other is not None:
        form, status = other
        return Response(_encode(form), status, headers, media_type="application/json")
    return Response(_encode(body), problem.status, headers, media_type=MEDIA_TYPE)


async def deny(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers the handshake of a WebSocket with the problem; a server that cannot closes it, which a client sees as
    403."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await respond(problem, scope)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1000, "reason": ""})


def install(app: FastAPI) -> None:
    """Registers the exception handlers, so that every error is answered with a problem."""
    app.add_exception_handler(ParlorError, _on_parlor_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)


async def explain(request: Request, error: ParlorError | HTTPException) -> Response:
    """The answer to a request that raised ``error``."""
    return await (_on_parlor_error if isinstance(error, ParlorError) else _on_http_error)(request, error)


async def _on_parlor_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ParlorError):  # never: Starlette's signature is wider
        raise error
    if isinstance(error, QuotaExceeded):
        edge_of(request).limits.note_budget(error, request.state.caller.session.account_id, request.scope)
    return respond(await refusal(edge_of(request), error, request.scope), request.scope)


async def refusal(edge: Edge, error: ParlorError, scope: Scope) -> Problem:
    """The problem of a call that was refused; what a log has to know of it is logged."""
    problem = Problem.of(error)
    if isinstance(error, (RateLimited, QuotaExceeded)):
        await edge.limits.hold_back(scope)
    path = scope["path"]
    if not is_public(type(error)):
        _log.error("internal_error", error=type(error).__name__, debug=error.debug, path=path)
    elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("refused", code=problem.code, debug=error.debug, path=path)
    return problem


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return respond(Problem.of(invalid_fields(error.errors())), request.scope)


async def _on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if request.method == "OPTIONS" and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Allow": _allowed(request)})
    return respond(_from_http(error, request), request.scope)


def _allowed(request: Request) -> str:
    methods: MethodTable = request.app.state.methods
    return methods.allowed(request.scope["path"])


def _from_http(error: HTTPException, request: Request) -> Problem:
    headers = dict(error.headers or {})
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return not_found("There is nothing at this path")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = _allowed(request)
            return _of_class(MethodNotAllowed(f"This path takes {allowed}"), {"Allow": allowed})
        case HTTPStatus.REQUEST_TIMEOUT | HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            refused = _of_class(InvalidRequest(error.detail), headers)
            return msgspec.structs.replace(refused, status=error.status_code)
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return _of_class(ContentTooLarge(error.detail), headers)
        case status if status < HTTPStatus.INTERNAL_SERVER_ERROR:  # FastAPI's 400: a body that is not UTF-8, too deep
            return _of_class(InvalidRequest("The request's body cannot be read"), headers)
        case _:
            return _of_class(InternalError(), headers)


def _of_class(error: ParlorError, headers: Mapping[str, str]) -> Problem:
    problem = Problem.of(error)
    return msgspec.structs.replace(problem, headers={**problem.headers, **headers})


def not_found(detail: str) -> Problem:
    """The problem of a path that nothing is at, which no error class stands for."""
    status = HTTPStatus.NOT_FOUND
    return Problem("not-found", InternalError.error_code, status.value, status.phrase, detail)


def _sentence(error: Mapping[str, Any]) -> str:
    return f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"


def _message(error: Mapping[str, Any]) -> str:
    return "No such field" if error["type"] == "extra_forbidden" else _utf8(error["msg"])


def _loc_part(part: object) -> str | int:
    return part if isinstance(part, int) else _utf8(str(part))[:100]


def _utf8(text: str) -> str:
    """``text`` without lone surrogates, which a client can put into member names and JSON cannot carry."""
    return text.encode("utf-8", "replace").decode()
