"""Operations on the whole installation, for tokens with the scope `admin`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from api import answers
from api.admin_schemas import (
    AdminAccountListResponse,
    AdminAccountResponse,
    AdminAccountUpdateRequest,
    AdminAuditResponse,
    AdminDeadLetterListResponse,
    AdminDeadLetterResponse,
    AdminDeletionResponse,
    AdminListRequest,
    AdminStatusResponse,
)
from api.audit import note
from api.auth import AdminRoute
from api.edge import Edge, edge_of
from api.openapi import WITH_BODY, refusals
from api.problems import invalid, invalid_fields
from api.tokens import is_account_name
from parlor.cache.dead_letters import DeadLetter
from parlor.errors import AccountNotFound, DeadLetterNotFound, IllegalTransition
from parlor.model.access import AccountRow, Deletion, Standing
from parlor.model.administration import AccountReport, Action
from parlor.model.budgets import BILLION
from parlor.model.cursors import InvalidCursor
from parlor.model.ids import AccountId
from parlor.model.wire import JsonForm, timestamp
from parlor.persistence.dead_letters import is_dead_letter_id
from parlor.settings.account_limits import OWN_LIMITS, LimitName, with_own
from parlor.settings.limits import LimitSettings
from parlor.store.account_limits import Changes
from parlor.store.audit_log import NEWEST

router = APIRouter(prefix="/v1/admin", tags=["administration"], route_class=AdminRoute)

_DAYS = 30
_DETAIL = 255
"""Characters of a detail in the audit log."""


@router.get("/status", response_model=AdminStatusResponse, responses=refusals(), summary="Status")
async def get_status(request: Request) -> Response:
    """The services that Parlor needs, its actors, and how far the shards are behind."""
    overview = await edge_of(request).gateway.administration.overview()
    return answers.answer(msgspec.structs.asdict(overview))


@router.get("/accounts", response_model=AdminAccountListResponse, responses=refusals(), summary="Accounts")
async def list_accounts(request: Request, query: Annotated[AdminListRequest, Query()]) -> Response:
    """Every account, in the order in which they were first seen; deleted ones stay, so that their names stay taken."""
    administration = edge_of(request).gateway.administration
    found = await administration.accounts(query.limit + 1, 0 if query.cursor is None else _number(query.cursor))
    page = found[: query.limit]
    more = str(page[-1].account_db_key) if len(found) > query.limit else None
    return answers.answer({"accounts": [_account(row) for row in page], "next_cursor": more})


@router.get(
    "/accounts/{account_id}",
    response_model=AdminAccountResponse,
    responses=refusals(AccountNotFound),
    summary="One account",
)
async def get_account(request: Request, account_id: str) -> Response:
    """An account with what it has, what it used in the last 30 days, and what it may use."""
    return await _account_answer(edge_of(request), _name(account_id))


@router.patch(
    "/accounts/{account_id}",
    response_model=AdminAccountResponse,
    responses=refusals(AccountNotFound, *WITH_BODY),
    summary="Change an account",
)
async def update_account(request: Request, account_id: str, body: AdminAccountUpdateRequest) -> Response:
    """Disables an account, lets it in again, ends what was issued to it, or sets what it may use: within seconds on
    every replica. Streams of an account that is disabled or revoked end too."""
    edge, account = edge_of(request), _name(account_id)
    administration = edge.gateway.administration
    if body.not_before is not None:
        not_before = int(body.not_before.timestamp() * 1000)
        if not_before > edge.clock.now_ms():
            raise invalid(("body", "not_before"), "The time is in the future")
        await note(request, Action.ACCOUNT_REVOKED, account, timestamp(max(0, not_before)))
        await administration.revoke(account, max(0, not_before))
    if body.disabled is not None:
        await note(request, Action.ACCOUNT_DISABLED if body.disabled else Action.ACCOUNT_ENABLED, account)
        await administration.set_disabled(account, body.disabled)
    if body.limits is not None:
        changes = _limit_changes(body.limits, edge.limits.accounts.usual)
        await note(request, Action.ACCOUNT_LIMITED, account, _said(changes))
        await administration.set_limits(account, changes)
    return await _account_answer(edge, account)


@router.delete(
    "/accounts/{account_id}",
    status_code=202,
    response_model=AdminDeletionResponse,
    responses=refusals(AccountNotFound),
    summary="Delete an account",
)
async def delete_account(request: Request, account_id: str) -> Response:
    """Shuts the account out for ever and ends its keys at once. Its rooms with all that is in them, and what it used,
    are deleted in the background. Again: the same receipt, which says when it is done."""
    account = _name(account_id)
    await note(request, Action.ACCOUNT_DELETED, account)
    deletion = await edge_of(request).gateway.administration.delete(account)
    return answers.answer(_receipt(deletion), 202)


@router.get("/dead-letters", response_model=AdminDeadLetterListResponse, responses=refusals(), summary="Dead letters")
async def list_dead_letters(request: Request, query: Annotated[AdminListRequest, Query()]) -> Response:
    """Operations that their shard refused for their content, by partition and age."""
    found = await edge_of(request).gateway.administration.dead_letters(query.limit + 1, query.cursor)
    page = found[: query.limit]
    more = page[-1].id if len(found) > query.limit else None
    return answers.answer({"dead_letters": [_dead_letter(one) for one in page], "next_cursor": more})


@router.post(
    "/dead-letters/{dead_letter_id}/replay",
    response_model=AdminDeadLetterResponse,
    responses=refusals(DeadLetterNotFound),
    summary="Replay a dead letter",
)
async def replay_dead_letter(request: Request, dead_letter_id: str) -> Response:
    """Puts it back into its queue, when the reason for its refusal is gone."""
    await note(request, Action.DEAD_LETTER_REPLAYED, _dead_letter_id(dead_letter_id))
    await edge_of(request).gateway.administration.replay(dead_letter_id)
    return answers.answer({"id": dead_letter_id, "result": "queued again"})


@router.post(
    "/dead-letters/{dead_letter_id}/drop",
    response_model=AdminDeadLetterResponse,
    responses=refusals(DeadLetterNotFound, IllegalTransition),
    summary="Drop a dead letter",
)
async def drop_dead_letter(request: Request, dead_letter_id: str) -> Response:
    """Gives it up: a message becomes a tombstone, a room that was never stored is deleted."""
    await note(request, Action.DEAD_LETTER_DROPPED, _dead_letter_id(dead_letter_id))
    effect = await edge_of(request).gateway.administration.drop(dead_letter_id)
    return answers.answer({"id": dead_letter_id, "result": f"dropped: {effect}"})


@router.get("/audit", response_model=AdminAuditResponse, responses=refusals(), summary="Audit log")
async def list_audit(request: Request, query: Annotated[AdminListRequest, Query()]) -> Response:
    """Who did what to whom, newest first: what was asked for and allowed, written down before it was done."""
    below = NEWEST if query.cursor is None else _number(query.cursor)
    found = await edge_of(request).gateway.audit.page(query.limit + 1, below)
    page = found[: query.limit]
    more = str(page[-1].entry_id) if len(found) > query.limit else None
    entries = [{**msgspec.structs.asdict(entry), "at": timestamp(entry.at)} for entry in page]
    return answers.answer({"entries": entries, "next_cursor": more})


async def _account_answer(edge: Edge, account: AccountId) -> Response:
    last = datetime.fromtimestamp(edge.clock.now_ms() / 1000, UTC).date()
    first = last - timedelta(days=_DAYS - 1)
    report = await edge.gateway.administration.account(account, first, last)
    return answers.answer(_report(report, first, last, with_own(edge.limits.accounts.usual, report.own_limits)))


def _limit_changes(asked: Mapping[LimitName, float | str | None], usual: LimitSettings) -> Changes:
    """Raises ``InvalidRequest`` for what the setting could not be."""
    own: dict[str, float | str | None] = {
        name: "off" if value is None else value for name, value in asked.items() if value != "default"
    }
    try:
        with_own(usual, own)
    except ValidationError as error:
        raise invalid_fields(error.errors(), "body", "limits") from error
    return {name: own.get(name) for name in asked}


def _said(changes: Changes) -> str:
    """For the audit log."""
    return " ".join(f"{name}={'default' if value is None else value}" for name, value in changes.items())[:_DETAIL]


def _report(report: AccountReport, first: date, last: date, limits: LimitSettings) -> JsonForm:
    counted = ("messages", "input_tokens", "output_tokens")
    total: JsonForm = {name: sum(getattr(day, name) for day in report.use) for name in counted}
    total["cost"] = sum(day.cost for day in report.use) / BILLION
    return {
        **_account(report.row),
        "rooms": report.rooms,
        "api_keys": report.api_keys,
        "usage": {"from": first, "to": last, **total},
        "limits": {name: getattr(limits, name) for name in OWN_LIMITS},
        "own_limits": sorted(report.own_limits),
        "deletion": None if report.deletion is None else _receipt(report.deletion),
    }


def _receipt(deletion: Deletion) -> JsonForm:
    finished = deletion.finished_at
    return {
        "account_id": deletion.account_id,
        "receipt_id": deletion.receipt_id,
        "state": "deleting" if finished is None else "deleted",
        "rooms": None if finished is None else deletion.rooms,
        "requested_at": timestamp(deletion.requested_at),
        "finished_at": None if finished is None else timestamp(finished),
    }


def _account(row: AccountRow) -> JsonForm:
    return {
        "account_id": row.account_id,
        "standing": row.standing,
        "disabled": row.standing is Standing.DISABLED,
        "standing_since": timestamp(row.standing_at) if row.standing_at else None,
        "not_before": timestamp(row.not_before) if row.not_before else None,
    }


def _dead_letter(one: DeadLetter) -> JsonForm:
    entry = one.entry
    return {
        "id": one.id,
        "parked_at": timestamp(one.parked_at),
        "partition": entry.partition,
        "op": entry.op,
        "account_id": entry.address.account_id,
        "room_id": entry.address.room_id,
        "seq": entry.seq or None,
        "message_id": entry.message_id,
        "reason": one.reason,
    }


def _name(text: str) -> AccountId:
    """Raises ``AccountNotFound`` for what no account can be called."""
    if not is_account_name(text):
        raise AccountNotFound
    return AccountId(text)


def _dead_letter_id(text: str) -> str:
    """Raises ``DeadLetterNotFound`` for what is none."""
    if not is_dead_letter_id(text):
        raise DeadLetterNotFound
    return text


def _number(cursor: str) -> int:
    """Raises ``InvalidCursor``."""
    if not (cursor.isascii() and cursor.isdecimal()) or int(cursor) >= 2**63:
        raise InvalidCursor("The cursor is not one of this list")
    return int(cursor)
