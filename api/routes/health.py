"""Liveness and readiness; both need no token."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from api import answers
from api.edge import Edge, edge_of
from api.problems import Problem, respond
from api.schemas import HealthResponse
from parlor.errors import Extra, ParlorError, Unavailable
from parlor.model.requests import DependencyHealth

router = APIRouter(tags=["health"])

_PATIENCE = 5.0
"""Seconds for all dependencies together; load balancers do not wait much longer."""


@router.get("/healthz", response_model=HealthResponse, summary="Alive")
async def healthz() -> Response:
    """200 while the process is alive."""
    return answers.health_answer([])


@router.get("/readyz", response_model=HealthResponse, summary="Ready")
async def readyz(request: Request) -> Response:
    """200 when every dependency answers, otherwise a 503 problem with the same `ready` and `dependencies`."""
    found = await _dependencies(edge_of(request))
    broken = [each for each in found if not each.ok]
    if not broken:
        return answers.health_answer(found)
    dependencies = [{"name": each.name, "ok": each.ok, "detail": each.detail} for each in found]
    extra: Extra = {"ready": False, "dependencies": dependencies}
    detail = "; ".join(f"{each.name}: {each.detail}" for each in broken)
    return respond(Problem.of(Unavailable(detail, extra=extra)), request.scope)


async def _dependencies(edge: Edge) -> list[DependencyHealth]:
    # Anybody may ask, without a token and as often as he likes: whoever asks meanwhile shares the answer.
    if edge.checking is None or edge.checking.done():
        edge.checking = asyncio.create_task(_ask(edge))
    return await asyncio.shield(edge.checking)


async def _ask(edge: Edge) -> list[DependencyHealth]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await edge.gateway.readiness()
    except TimeoutError:
        return [DependencyHealth("gateway", ok=False, detail=f"no answer within {_PATIENCE:g} s")]
    except ParlorError as error:
        return [DependencyHealth("gateway", ok=False, detail=error.detail)]
