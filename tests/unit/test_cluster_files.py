"""``ray_cluster.yaml`` and ``serve_config.yaml``: valid for the Ray that is installed, and true to the code."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from parlor.settings import Settings
from parlor_cli.front_end import haproxy_binary
from tests.unit.parlor_cli.haproxy_front import serves_config

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models use what pydantic deprecates
    from jsonschema import ValidationError
    from ray.autoscaler._private.command_runner import _with_interactive
    from ray.autoscaler._private.util import prepare_config, validate_config
    from ray.serve._private.api import call_user_app_builder_with_args_if_necessary
    from ray.serve.schema import ServeDeploySchema

    from api import deployment

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SECRETS = """PARLOR_REDIS__URL=redis://cache.internal:6379/0
PARLOR_STORE__URLS='["mysql://parlor:pw@db1.internal/parlor", "mysql://parlor:pw@db2.internal/parlor"]'
PARLOR_AUTH__SECRET=0123456789abcdef0123456789abcdef
PARLOR_ROOMS__ACTORS_MIN=12
RAY_AUTH_TOKEN=fedcba9876543210fedcba9876543210
"""


def cluster_file() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text(encoding="utf-8"))
    return loaded


def serve_file() -> ServeDeploySchema:
    return ServeDeploySchema.model_validate(yaml.safe_load((ROOT / "serve_config.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def haproxy_config(tmp_path: Path) -> Path:
    """The file that Serve writes on a node."""
    if haproxy_binary() is None:
        pytest.skip("there is no HAProxy for this platform")
    (tmp_path / "serve").mkdir()
    serves_config(tmp_path / "serve")
    return tmp_path / "serve/haproxy.cfg"


@pytest.fixture
def node_environment(tmp_path: Path) -> dict[str, str]:
    """What `ray start` finds on a node: the set-up commands that write files, run as Ray runs them, in a home of its
    own, and then the file that the start commands read."""
    (tmp_path / ".parlor-cluster.env").write_text(SECRETS, encoding="utf-8")
    writing = [command for command in cluster_file()["setup_commands"] if "<<'END'" in command]
    assert len(writing) == 2
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    for command in writing:
        [*_, quoted] = _with_interactive(command)  # type: ignore[no-untyped-call]  # Ray's own
        wrapped = shlex.split(quoted)[0].replace("source ~/.bashrc && ", "")
        subprocess.run(["bash", "-c", wrapped], env=env, check=True, timeout=20)
    assert os.access(tmp_path / "parlor-haproxy", os.X_OK)
    show = ["bash", "-c", ". ~/parlor-environment && exec env -0"]
    shown = subprocess.run(show, env=env, check=True, timeout=20, stdout=subprocess.PIPE, text=True).stdout
    return dict(line.split("=", 1) for line in shown.split("\0") if line)


def test_ray_takes_the_cluster_file() -> None:
    validate_config(prepare_config(cluster_file()))


def test_rays_validation_bites() -> None:
    wrong = cluster_file()
    wrong["available_node_types"]["rooms"]["min_wrokers"] = 1
    with pytest.raises(ValidationError):
        validate_config(prepare_config(wrong))


def test_each_kind_of_actor_has_one_node_type_that_takes_it() -> None:
    types = cluster_file()["available_node_types"]
    resources = {name: {kind for kind, count in node["resources"].items() if count} for name, node in types.items()}
    assert resources == {"head": set(), "api": {"CPU"}, "rooms": {"rooms"}, "writers": {"writers"}}
    # Left unsaid, Ray would count a machine's own cores, and replicas would land there.
    assert all("CPU" in node["resources"] for node in types.values())


def test_the_autoscaler_may_add_and_remove_every_kind_of_worker() -> None:
    config = cluster_file()
    workers = {name: node for name, node in config["available_node_types"].items() if name != config["head_node_type"]}
    assert all(1 <= node["min_workers"] < node["max_workers"] for node in workers.values())
    assert sum(node["max_workers"] for node in workers.values()) <= config["max_workers"]
    assert config["idle_timeout_minutes"] > 0


def test_the_least_pools_fit_into_the_least_nodes(node_environment: dict[str, str], tmp_path: Path) -> None:
    settings = settings_of(node_environment, tmp_path)
    types = cluster_file()["available_node_types"]
    writers = settings.ray.writers_per_shard * len(settings.store.urls)
    assert settings.rooms.actors_min <= types["rooms"]["resources"]["rooms"] * types["rooms"]["min_workers"]
    assert writers <= types["writers"]["resources"]["writers"] * types["writers"]["min_workers"]
    assert settings.rooms.actors_max <= types["rooms"]["resources"]["rooms"] * types["rooms"]["max_workers"]


@pytest.mark.parametrize("commands", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_every_node_starts_ray_in_the_clusters_environment(commands: str) -> None:
    [start] = [command for command in cluster_file()[commands] if "ray start" in command]
    assert start.startswith(". ~/parlor-environment && ~/parlor/.venv/bin/ray start ")


def test_the_environment_turns_on_authentication_and_haproxy(node_environment: dict[str, str]) -> None:
    wanted = {
        "RAY_AUTH_MODE": "token",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    }
    assert wanted.items() <= node_environment.items()
    assert node_environment["RAY_AUTH_TOKEN"] == "fedcba9876543210fedcba9876543210"
    assert node_environment["RAY_SERVE_HAPROXY_BINARY_PATH"] == f"{node_environment['HOME']}/parlor-haproxy"


def test_a_nodes_haproxy_is_adapted_to_the_settings(
    node_environment: dict[str, str], tmp_path: Path, haproxy_config: Path
) -> None:
    python = tmp_path / "parlor/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    environment = {**node_environment, "PARLOR_CONNECTIONS__PER_ADDRESS": "77"}
    command = [node_environment["RAY_SERVE_HAPROXY_BINARY_PATH"], "-c", "-f", str(haproxy_config)]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, timeout=30, capture_output=True)
    adapted = haproxy_config.read_text()
    assert "sc_conn_cur(0) gt 77" in adapted
    assert "bind 127.0.0.1:8000 proto h1 maxconn " in adapted


def settings_of(environment: dict[str, str], directory: Path) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        for name in list(os.environ):
            if name.startswith("PARLOR_"):
                patch.delenv(name)
        for name, value in environment.items():
            if name.startswith("PARLOR_"):
                patch.setenv(name, value)
        return Settings()


def test_the_environment_is_read_as_settings(node_environment: dict[str, str], tmp_path: Path) -> None:
    settings = settings_of(node_environment, tmp_path)
    assert settings.ray.placement == "resources"
    assert [url.get_secret_value() for url in settings.store.urls][1] == "mysql://parlor:pw@db2.internal/parlor"
    assert settings.rooms.actors_min == 12, "the secrets' file comes last"
    stop = int(node_environment["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"])
    assert stop > settings.api.stream_lifetime.total_seconds(), "a reload would cut streams"


def test_every_variable_of_ours_is_a_setting() -> None:
    names = re.findall(r"PARLOR_([A-Z]+)__([A-Z_]+)", (ROOT / "ray_cluster.yaml").read_text(encoding="utf-8"))
    assert names
    sections = {name: field.annotation for name, field in Settings.model_fields.items()}
    for section, field in names:
        model = sections[section.lower()]
        assert field.lower() in getattr(model, "model_fields", {}), f"PARLOR_{section}__{field}"


SECRET = re.compile(r"(?im)^[^#\n]*(token=(?!token$)|password|secret\s*[:=]|api_key\s*[:=]|://[^\s/]*:[^\s/]*@)")


def test_no_secret_is_in_either_file() -> None:
    assert all(SECRET.search(line) for line in SECRETS.splitlines() if re.search("SECRET|URLS|TOKEN", line))
    for name in ("ray_cluster.yaml", "serve_config.yaml"):
        assert not SECRET.search((ROOT / name).read_text(encoding="utf-8")), name


def test_the_serve_file_names_the_application_and_its_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    [application] = serve_file().applications
    module, _, builder = application.import_path.partition(":")
    assert (module, getattr(deployment, builder)) == ("api.deployment", deployment.app)
    monkeypatch.setenv("PARLOR_AUTH__SECRET", "0123456789abcdef0123456789abcdef")
    build: Any = call_user_app_builder_with_args_if_necessary  # whose types know no argument
    built = build(deployment.app, application.args)
    [override] = application.deployments
    assert override.name == built._bound_deployment.name


def test_the_serve_file_lets_the_api_scale_on_nodes_for_it() -> None:
    config = serve_file()
    options = config.applications[0].deployments[0].model_dump(exclude_unset=True)
    api = cluster_file()["available_node_types"]["api"]
    scaling, cpus = options["autoscaling_config"], options["ray_actor_options"]["num_cpus"]
    assert scaling["min_replicas"] < scaling["max_replicas"]
    assert scaling["max_replicas"] * cpus <= api["resources"]["CPU"] * api["max_workers"]
    assert config.http_options.request_timeout_s is None, "streams would be cut"
