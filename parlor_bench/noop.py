"""A no-op with the same ingress, FastAPI and request body as a send: the most that the machine can do.

`parlor bench send` deploys it beside the API and compares sends with it.
"""

from __future__ import annotations

from fastapi import FastAPI, Response
from ray import serve

from api import answers
from api.message_schemas import ChatMessageSendRequest
from parlor.settings import ApiSettings


class Noop:
    """Answers every request with the same few bytes."""

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build_noop_api()


def build_noop_api() -> FastAPI:
    """``POST /v1/noop``: validates the body of a send, and answers."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/v1/noop", status_code=201)
    async def noop(body: ChatMessageSendRequest) -> Response:
        del body
        return answers.answer({}, 201)

    return app


def build_noop_app(num_replicas: int = 1) -> serve.Application:
    """The application for ``serve.run``, which needs a route prefix of its own."""
    limit = ApiSettings().max_requests
    deployment = serve.deployment(
        name="Noop",
        num_replicas=num_replicas,
        max_ongoing_requests=limit,
        ray_actor_options={"num_cpus": 0.1},
        logging_config={"enable_access_log": False},
    )(serve.ingress()(Noop))
    return deployment.bind()
