"""What is refused before anything starts, and where it says that the fault is."""

from __future__ import annotations

from pathlib import Path

import pytest

from parlor_cli.checks import check
from parlor_cli.installation import Founding, Installation
from parlor_cli.options import UpOptions
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit

PERSONA = '[[personas]]\nname = "GPT4O"\ntitle = "x"\nsystem_prompt = "y"\nmodel = "m"\n'


def refusal(options: UpOptions) -> str:
    with pytest.raises(Refusal) as caught:
        check(options)
    assert not options.data_dir.exists()
    return caught.value.message


def test_a_good_configuration_is_not_refused(tmp_path: Path) -> None:
    check(UpOptions(tmp_path / "data", redis_url="redis://h/0?health_check_interval=0", mysql_urls=["mysql://h/d"]))
    check(UpOptions(tmp_path / "data"))


def test_the_language_model_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = UpOptions(tmp_path / "data")
    monkeypatch.setenv("PARLOR_LLM__PROVIDER", "no_such_package:Model")
    monkeypatch.setenv("PARLOR_LLM__DEFAULT_PERSONA", "GPT40")
    lines = refusal(options).splitlines()[1:]
    assert lines[0].startswith("  PARLOR_LLM__DEFAULT_PERSONA in the environment is 'GPT40': personas.toml (shipped)")
    assert lines[1].startswith("  PARLOR_LLM__PROVIDER in the environment is 'no_such_package:Model': ")
    (tmp_path / "mine.toml").write_text(PERSONA + PERSONA)
    (tmp_path / "parlor.toml").write_text("[llm]\npersonas_file = 'mine.toml'\n")
    said = f"[llm] personas_file in {tmp_path / 'parlor.toml'} is 'mine.toml': mine.toml: entry 2"
    assert said in refusal(options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"mysql_urls": ["mysql://u:hunter2@h/d", "mysql://u:hunter2@h"]},
            "--mysql-url is 'mysql://u:***@h/d', 'mysql",
        ),
        ({"mysql_urls": ["mysql://h/d", "mysql://h/d"]}, "the same one"),
        ({"mysql_urls": ["mysql://h/d", "sqlite:///x"]}, "of one kind"),
        (
            {"redis_url": "redis://:hunter2@h/0?retires=3"},
            "--redis-url is 'redis://:***@h/0': there is no option retires",
        ),
        ({"servers": "external"}, "give --redis-url"),
        ({"shards": 2, "mysql_urls": ["mysql://h/d"]}, "--shards"),
    ],
)
def test_the_servers_are_checked(tmp_path: Path, options: dict[str, object], said: str) -> None:
    message = refusal(UpOptions(tmp_path / "data", **options))  # type: ignore[arg-type] # of several types
    assert said in message
    assert "hunter2" not in message


def test_the_default_shard_is_one_of_the_shards(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_STORE__DEFAULT_SHARD", "3")
    with pytest.raises(Refusal, match="PARLOR_STORE__DEFAULT_SHARD in the environment is '3': there are 2 shards"):
        check(UpOptions(home.data_dir))
    home.record(Founding(id=home.founding.id, redis="embedded", store="embedded", partitions=8, shards=3))
    check(UpOptions(home.data_dir))


def test_health_checks_have_a_port_of_their_own(home: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_CONNECTIONS__HEALTH_PORT", "8000")
    with pytest.raises(Refusal, match="PARLOR_CONNECTIONS__HEALTH_PORT in the environment is '8000': the API has"):
        check(UpOptions(home.data_dir))
    check(UpOptions(home.data_dir, port=8001))


def test_a_contradiction_with_the_installation_is_found_too(home: Installation) -> None:
    home.record(Founding(id=home.founding.id, redis="embedded", store="embedded", partitions=8, shards=2))
    with pytest.raises(Refusal, match="keeps its data in embedded servers"):
        check(UpOptions(home.data_dir, servers="private"))


def test_signing_in_by_name_needs_a_front_end_on_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_AUTH__SIGN_IN_BY_NAME", "true")
    check(UpOptions(tmp_path / "data"))
    assert "PARLOR_AUTH__SIGN_IN_BY_NAME" in refusal(UpOptions(tmp_path / "data", host="0.0.0.0"))  # noqa: S104
    monkeypatch.setenv("PARLOR_API__PUBLIC_URL", "https://chat.example.org")
    assert "api.public_url" in refusal(UpOptions(tmp_path / "data"))


def test_the_identity_provider_has_an_issuer_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_IDENTITY__JWKS_URL", "https://id.example/jwks")
    monkeypatch.setenv("PARLOR_IDENTITY__AUDIENCE", "parlor-api")
    options = UpOptions(tmp_path / "data")
    monkeypatch.setenv("PARLOR_IDENTITY__ISSUER", "parlor")
    assert "PARLOR_IDENTITY__ISSUER in the environment is 'parlor'" in refusal(options)
    monkeypatch.setenv("PARLOR_IDENTITY__ISSUER", "https://id.example")
    check(options)
