"""API keys: list, create, end."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import answers
from api.api_keys import KEYS_MAX, PREFIX, digest_of, is_api_key, is_key_id, new_key
from api.audit import note
from api.auth import AuthenticatedRoute, caller_of
from api.callers import Caller
from api.edge import edge_of
from api.key_schemas import ApiKeyCreateRequest, ApiKeyListRequest, ApiKeyListResponse, ApiKeyResponse
from api.openapi import WITH_BODY, refusals
from api.problems import invalid
from parlor.errors import Forbidden, KeyNotFound, LimitReached
from parlor.model.administration import Action
from parlor.model.wire import JsonForm, timestamp
from parlor.store.access import ApiKey

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=AuthenticatedRoute)


@router.get("", response_model=ApiKeyListResponse, responses=refusals(), summary="List")
async def list_keys(request: Request, query: Annotated[ApiKeyListRequest, Query()]) -> Response:
    """The account's API keys, oldest first, without the keys themselves."""
    account = caller_of(request).session.account_db_key
    found = await edge_of(request).gateway.access.api_keys(account, query.limit + 1, query.cursor or "")
    page = found[: query.limit]
    more = page[-1].key_id if len(found) > query.limit else None
    return answers.answer({"keys": [_form(key) for key in page], "next_cursor": more})


@router.post(
    "",
    status_code=201,
    response_model=ApiKeyResponse,
    responses=refusals(LimitReached, *WITH_BODY),
    summary="Create",
)
async def create_key(request: Request, body: ApiKeyCreateRequest) -> Response:
    """A key for a program of this account. The key itself is in this answer alone. An API key cannot make another."""
    edge, caller = edge_of(request), caller_of(request)
    _require_person(caller)
    if not set(body.scopes) <= caller.scopes:
        raise Forbidden("A key does not allow more than the token that makes it")
    expires_at = None if body.expires_at is None else int(body.expires_at.timestamp() * 1000)
    if expires_at is not None and expires_at <= edge.clock.now_ms():
        raise invalid(("body", "expires_at"), "The key would have expired already")
    key, text = new_key(body.name, set(body.scopes), expires_at, edge.clock, edge.entropy)
    await note(request, Action.API_KEY_MADE, caller.session.account_id, key.key_id)
    if not await edge.gateway.access.add_api_key(caller.session.account_db_key, key, digest_of(text), KEYS_MAX):
        raise LimitReached(f"The account has {KEYS_MAX} API keys; end one first")
    headers = {"Location": f"/v1/keys/{key.key_id}", "Cache-Control": "no-store"}
    return answers.answer({**_form(key), "key": text}, 201, headers)


@router.delete("/{key_id}", status_code=204, responses=refusals(KeyNotFound), summary="End")
async def end_key(request: Request, key_id: str) -> Response:
    """The key is refused from now on, within seconds by every replica, and its open streams end."""
    edge, caller = edge_of(request), caller_of(request)
    _require_person(caller)
    account, now = caller.session.account_db_key, edge.clock.now_ms()
    if not is_key_id(key_id):
        raise KeyNotFound
    await note(request, Action.API_KEY_ENDED, caller.session.account_id, key_id)
    if not await edge.gateway.access.end_api_key(account, key_id, now):
        raise KeyNotFound
    return Response(status_code=204)


def _require_person(caller: Caller) -> None:
    """A key that leaked must not outlive its end by the keys that it made. Raises ``Forbidden``."""
    if is_api_key(caller.credential):
        raise Forbidden("An API key does not make or end keys: use a token")


def _form(key: ApiKey) -> JsonForm:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "prefix": PREFIX + key.key_id,
        "scopes": [*key.scopes.split()],
        "created_at": timestamp(key.created_at),
        "expires_at": None if key.expires_at is None else timestamp(key.expires_at),
        "last_used_at": None if key.used_at is None else timestamp(key.used_at),
    }
