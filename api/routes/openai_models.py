"""OpenAI's models: the personas."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import AuthenticatedRoute
from api.dialect_rooms import require_model
from api.edge import edge_of
from api.openai_documents import OPENAI_REFUSALS, ModelForm, ModelListForm
from parlor.llm.ports import Persona
from parlor.model.wire import JsonForm, encode

router = APIRouter(prefix="/openai/v1/models", tags=["OpenAI"], route_class=AuthenticatedRoute)
_CREATED = 1_700_000_000
"""Unix seconds: personas are made by the operator, nobody knows when."""


@router.get("", response_model=ModelListForm, responses=OPENAI_REFUSALS, summary="List models")
async def list_models(request: Request) -> Response:
    """The personas; `id` is a persona's name."""
    found = [_form(persona) for persona in await edge_of(request).gateway.personas()]
    return Response(encode({"object": "list", "data": found}), media_type="application/json")


@router.get("/{model}", response_model=ModelForm, responses=OPENAI_REFUSALS, summary="Read a model")
async def get_model(request: Request, model: str) -> Response:
    """One persona."""
    persona = await require_model(edge_of(request), model)
    return Response(encode(_form(persona)), media_type="application/json")


def _form(persona: Persona) -> JsonForm:
    return {"id": persona.name, "object": "model", "created": _CREATED, "owned_by": "parlor"}
