"""Requests and responses, with the specification's names; they document the HTTP interface.

Requests are validated with these models: an unknown member of a body is refused, because a misspelt one would be
ignored in silence; a value of the wrong type is refused, never converted. ``api.limits`` checks the limits that are
settings.
Responses are written by ``api.answers``; a test holds them to these models. Every JSON answer has ``errorCode`` at its
top level, 0 for success.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.fields import Timestamp, _Answer, _Body


class EventTicketRequest(_Body):
    path: Annotated[str, Field(min_length=1, max_length=256)]
    """The path of the event stream; a query is left out."""


class EventTicketResponse(_Answer):
    ticket: str
    expires_at: Timestamp
    """When it has to have been used for the first time."""


class ChatPersona(_Body):
    name: str
    title: str
    description: str
    model: str


class ChatPersonaListResponse(_Answer):
    personas: list[ChatPersona]


class DependencyState(_Body):
    name: str
    ok: bool
    detail: str


class HealthResponse(_Answer):
    ready: bool
    dependencies: list[DependencyState]
