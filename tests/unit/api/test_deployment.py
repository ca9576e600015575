"""The options of the Serve deployment; Ray is not started."""

from __future__ import annotations

import warnings
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from parlor.settings import ApiSettings, AuthSettings, Settings
from parlor.settings.loading import ConfigurationError
from tests.unit.api.bearer_tokens import SECRET

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models use what pydantic deprecates
    from ray.serve._private.thirdparty.get_asgi_route_name import extract_route_patterns, get_asgi_route_name
    from ray.serve.schema import DeploymentSchema

    from api.deployment import Unrouted, app_from_environment, build_serve_app, deployment_options

pytestmark = pytest.mark.unit


def settings(**api: Any) -> Settings:
    return Settings(auth=AuthSettings(secret=SecretStr(SECRET)), api=ApiSettings(**api))


def test_the_options_are_options_of_serve() -> None:
    for options in (deployment_options(settings()), deployment_options(settings(replicas_max=4))):
        DeploymentSchema.model_validate({"name": "ChatApi", **options})


def test_serve_allows_every_stream_and_request() -> None:
    assert deployment_options(settings(max_streams=7, max_requests=5))["max_ongoing_requests"] == 12


def test_more_than_one_replica_lets_serve_scale() -> None:
    scaled = deployment_options(settings(replicas_min=2, replicas_max=4))
    assert (scaled["autoscaling_config"]["min_replicas"], scaled["autoscaling_config"]["max_replicas"]) == (2, 4)
    assert "num_replicas" not in scaled
    assert deployment_options(settings(replicas_min=2, replicas_max=2))["num_replicas"] == 2


def test_the_application_is_built_without_ray() -> None:
    assert build_serve_app(settings().dump_secrets()) is not None


def test_arguments_override_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_API__MAX_STREAMS", "5")
    built = build_with(monkeypatch, {"api__max_requests": "9"})
    read = Settings.model_validate_json(built.init_args[0])
    assert (read.api.max_streams, read.api.max_requests) == (5, 9)


def test_only_the_application_of_the_serve_file_makes_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_with(monkeypatch, {}).init_args[1] is True
    plain: Any = build_serve_app(settings().dump_secrets())
    assert plain._bound_deployment.init_args[1] is False


def build_with(monkeypatch: pytest.MonkeyPatch, args: dict[str, str]) -> Any:
    monkeypatch.setenv("PARLOR_AUTH__SECRET", SECRET)
    built: Any = app_from_environment(args)
    return built._bound_deployment


@pytest.mark.parametrize("name", ["max_streams", "nothing__x", "api__nothing", "openai_api_key__x"])
def test_an_argument_that_names_no_setting_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no such|belongs into a section"):
        app_from_environment({name: "1"})


async def test_serve_finds_no_route_to_match_and_calls_the_application(app: FastAPI) -> None:
    served = Unrouted(app)
    scope = {"type": "http", "method": "GET", "path": "/healthz", "headers": [], "query_string": b"", "root_path": ""}
    assert get_asgi_route_name(app, scope) == "/healthz"
    assert get_asgi_route_name(served, scope) is None
    assert extract_route_patterns(served) == []
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=served), base_url="http://x") as client:
        assert (await client.get("/healthz")).status_code == 200


def test_nobody_signs_in_by_name_behind_a_front_end_that_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="parlor up"):
        build_with(monkeypatch, {"auth__sign_in_by_name": "true"})
