"""The Dockerfile and compose.yaml: parsed, and held to what Parlor itself asks of its servers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parlor.cache.server_check import WANTED
from parlor.settings import Settings
from parlor.store.addresses import MySqlAddress, store_addresses
from parlor_cli import shutdown
from tests import image
from tests.compose import services, substituted

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
GIVEN = {"REDIS_PASSWORD": "r3d1s", "MARIADB_PASSWORD": "mar1a", "PARLOR_AUTH__SECRET": "0123456789abcdef" * 2}


@pytest.fixture(scope="module")
def final() -> image.Stage:
    return image.stages()[1]


def test_the_final_stage_builds_nothing(final: image.Stage) -> None:
    build, _ = image.stages()
    assert build[-1].rest.startswith("/opt/parlor/bin/pip uninstall --yes hatchling ")
    assert build[-1].rest.endswith(" pip"), "the last one to go"
    text = "\n".join(step.rest for step in final if step.word in ("RUN", "COPY"))
    assert not re.search(r"\b(pip|gcc|build-essential|hatchling|-dev)\b", text)
    assert [step.rest for step in final if step.word == "COPY"] == ["--from=build /opt/parlor /opt/parlor"]


def test_everything_is_installed_by_its_hash() -> None:
    build, _ = image.stages()
    installs = [step.rest for step in build if " install " in step.rest]
    assert "--require-hashes -r requirements/run.lock" in installs[0]
    assert "--only-binary :all:" in installs[0]
    assert all("--no-deps --no-index" in line for line in installs[1:])


def test_both_stages_have_the_same_python() -> None:
    bases = [stage[0].rest.partition(" ")[0] for stage in image.stages()]
    assert len(set(bases)) == 1, "a venv is tied to its interpreter"
    assert re.fullmatch(r"python:3\.1[123]-slim-bookworm", bases[0])


def test_the_image_runs_parlor_without_rights(final: image.Stage) -> None:
    assert image.last(final, "USER") == f"{image.USER}:{image.USER}"
    assert f"--uid {image.USER} " in image.last(final, "RUN")
    assert image.command(final) == ["tini", "--", "parlor", "up"]
    assert image.last(final, "STOPSIGNAL") == "SIGTERM"
    assert image.last(final, "VOLUME") == image.environment(final)["PARLOR_DATA_DIR"]


def test_the_image_listens_where_its_port_is_published(final: image.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in image.environment(final).items():
        if name.startswith("PARLOR_"):
            monkeypatch.setenv(name, value)
    api = Settings().api
    assert (api.host, str(api.port)) == ("0.0.0.0", image.last(final, "EXPOSE"))  # noqa: S104 - inside a container
    assert "/healthz" in image.health_command(final)[-1]
    compile(image.health_command(final)[-1], "healthcheck", "exec")


def test_what_is_copied_is_what_docker_may_see() -> None:
    build, _ = image.stages()
    seen = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    copied = {name for step in build if step.word == "COPY" for name in step.rest.split()[:-1]}
    assert copied == seen
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_redis_runs_as_parlor_demands() -> None:
    words = services(GIVEN)["redis"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    for name, (value, _) in WANTED.items():
        assert options[f"--{name}"] == value
    assert options["--requirepass"] == GIVEN["REDIS_PASSWORD"]


def test_mariadb_runs_as_the_private_one_does() -> None:
    from parlor_cli.servers import mariadb

    private = Path(mariadb.__file__).read_text(encoding="utf-8")
    words = services(GIVEN)["mariadb"]["command"]
    assert "--innodb-flush-log-at-trx-commit=1" in words
    assert [word for word in words if f'"{word}"' not in private] == []
    assert services(GIVEN)["mariadb"]["image"] == "mariadb:10.11"


def test_parlor_finds_its_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in services(GIVEN)["app"]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.redis.url.get_secret_value() == "redis://:r3d1s@redis:6379/0"
    found = store_addresses(settings.store)
    addresses = [found.global_, *found.shards.values()]
    assert len(addresses) == 3
    for address in addresses:
        assert isinstance(address, MySqlAddress)
        assert (address.host, address.user, address.password) == ("mariadb", "parlor", "mar1a")
        assert address.database.startswith("parlor_"), "the grants are for these alone"


def test_parlor_waits_for_healthy_servers_and_is_stopped_in_time() -> None:
    found = services(GIVEN)
    parlor = found["app"]
    assert parlor["depends_on"] == {name: {"condition": "service_healthy"} for name in found if name != "app"}
    assert all("healthcheck" in found[name] for name in parlor["depends_on"])
    drain = 3 * Settings().rooms.drain_timeout.total_seconds() + shutdown._DRAIN_MARGIN_S
    bound = drain + shutdown._SERVE_STOP_S + shutdown._RAY_STOP_S
    assert int(parlor["stop_grace_period"].removesuffix("s")) >= bound


def test_only_parlor_is_published_and_on_loopback() -> None:
    found = services(GIVEN)
    assert [name for name, service in found.items() if "ports" in service] == ["app"]
    assert found["app"]["ports"] == ["127.0.0.1:8000:8000"]


def test_a_secret_that_is_missing_is_refused() -> None:
    for name in GIVEN:
        with pytest.raises(ValueError, match=f"{name} is not set"):
            services({key: value for key, value in GIVEN.items() if key != name})
    assert substituted("${A:-b} ${C} $$D", {"C": "c"}) == "b c $D"


def test_the_example_of_secrets_names_each_and_gives_none() -> None:
    text = (ROOT / "compose.env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=$", text, re.MULTILINE)) == GIVEN.keys()
    assert not re.search(r"^\w+=.+$", text, re.MULTILINE)
    assert "\ncompose.env\n" in (ROOT / ".gitignore").read_text(encoding="utf-8")
