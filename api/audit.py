"""Writes down what callers do to accounts, keys and dead letters, before it is done."""

from __future__ import annotations

from fastapi import Request

from api.auth import caller_of
from api.callers import Caller
from api.edge import edge_of
from api.rates import charge
from parlor.model.administration import Action, Actor, Way

_OF_ACCOUNTS = frozenset({Action.API_KEY_MADE, Action.API_KEY_ENDED, Action.SIGNED_IN})
"""What accounts do to themselves; everything else is an operator's."""


async def note(request: Request, action: Action, subject: str, detail: str = "") -> None:
    """Raises ``StoreUnavailable``; what cannot be written down is not done."""
    await note_by(request, caller_of(request), action, subject, detail)


async def note_by(request: Request, caller: Caller, action: Action, subject: str, detail: str = "") -> None:
    """Does what ``note`` does, for a request that says in its body who makes it. Raises ``RateLimited`` too: entries
    stay for ever, and an account makes its own as often as it likes."""
    edge = edge_of(request)
    if action in _OF_ACCOUNTS:
        charge(edge.limits.changes, caller.session.account_id, request.scope)
    actor = Actor(Way.HTTP, caller.session.account_id)
    await edge.gateway.audit.note(actor, action, subject, edge.clock.now_ms(), detail)
