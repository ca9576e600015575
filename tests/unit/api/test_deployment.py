"""The options of the Serve deployment; Ray is not started."""

from __future__ import annotations

import warnings
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr, ValidationError

from api.edge import Edge
from parlor.settings import ApiSettings, AuthSettings, Settings
from parlor.settings.limits import LimitSettings
from parlor.settings.loading import ConfigurationError
from tests.unit.api.bearer_tokens import SECRET
from tests.unit.api.recording_metrics import RecordingMetrics
from tests.unit.fake_clock import CountingEntropy, FakeClock

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models use what pydantic deprecates
    from ray.serve._private.api import call_user_app_builder_with_args_if_necessary
    from ray.serve._private.thirdparty.get_asgi_route_name import extract_route_patterns, get_asgi_route_name
    from ray.serve.schema import DeploymentSchema

    from api.deployment import ChatApi, Unrouted, app, build_serve_app, deployment_options
    from api.serve_arguments import Arguments

pytestmark = pytest.mark.unit

build: Any = call_user_app_builder_with_args_if_necessary
"""What `serve build`, `serve run` and `serve deploy` build an application with; its types know no argument."""


def settings(**api: Any) -> Settings:
    return Settings(auth=AuthSettings(secret=SecretStr(SECRET)), api=ApiSettings(**api))


def test_each_look_at_a_replica_tells_how_many_streams_are_open() -> None:
    metrics, replica = RecordingMetrics(), object.__new__(ChatApi)
    edge = replica._edge = Edge(ApiSettings(), LimitSettings(), FakeClock(), CountingEntropy(), metrics)
    slot = edge.streams.take("alice")
    replica.check_health()
    with slot:
        pass
    replica.check_health()
    assert metrics.streams == [1, 1, 0, 0]


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
    assert deployment_options(settings(spare=True))["num_replicas"] == 2
    assert deployment_options(settings(spare=False))["num_replicas"] == 1


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


def build_with(monkeypatch: pytest.MonkeyPatch, args: dict[str, Any]) -> Any:
    """As `serve build`, `serve run` and `serve deploy` do it."""
    monkeypatch.setenv("PARLOR_AUTH__SECRET", SECRET)
    built: Any = build(app, args)
    return built._bound_deployment


@pytest.mark.parametrize("name", ["max_streams", "nothing__x", "api__nothing", "openai_api_key__x", "auth__secret"])
def test_an_argument_that_names_no_setting_or_a_secret_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=rf"{name}\n *Extra inputs are not permitted"):
        build(app, {name: "1"})


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("api__max_streams", "many", "valid integer"),
        ("api__max_streams", "0", "greater than or equal to 1"),
        ("ray__placement", "nowhere", "'anywhere' or 'resources'"),
        ("rooms__idle_after", "soon", "soon"),
    ],
)
def test_a_value_that_is_none_is_refused_before_anything_is_built(name: str, value: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        build(app, {name: value})


@pytest.mark.parametrize("field", Arguments.model_fields)
def test_every_argument_has_the_default_of_its_setting(field: str) -> None:
    """And its type: what a setting is, an argument takes."""
    section, _, name = field.partition("__")
    default = getattr(Settings.model_fields[section].default, name)
    (given,) = Arguments.model_validate({field: default}).sections().values()
    assert given == {name: default}


def test_no_secret_is_an_argument() -> None:
    secrets = ("auth__secret", "redis__url", "store__urls", "llm__api_key", "store__migration_password")
    assert not set(secrets) & Arguments.model_fields.keys()
    assert len(Arguments.model_fields) > 60


def test_words_of_a_command_line_are_values_of_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"api__origins": "https://a.example,https://b.example", "rooms__idle_after": "90", "llm__titles": "false"}
    read = Settings.model_validate_json(build_with(monkeypatch, words).init_args[0])
    assert list(read.api.origins) == ["https://a.example", "https://b.example"]
    assert (read.rooms.idle_after.total_seconds(), read.llm.titles) == (90, False)


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
