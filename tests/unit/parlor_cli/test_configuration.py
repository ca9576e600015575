"""Settings: which source wins, what is refused, and what is printed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from parlor_cli import configuration
from parlor_cli.refusal import Refusal

pytestmark = pytest.mark.unit


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parlor.toml").write_text('[api]\nport = 1\nhost = "10.0.0.1"\ntitle_max = 7\n')
    monkeypatch.setenv("PARLOR_API__PORT", "2")
    monkeypatch.setenv("PARLOR_API__HOST", "10.0.0.2")
    api = configuration.load({"api": {"port": 3}}).api
    assert (api.port, api.host, api.title_max) == (3, "10.0.0.2", 7)


def test_wrong_settings_are_refused_with_their_names_and_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_STORE__PARTITIONS", "5000")
    monkeypatch.setenv("PARLOR_REDIS__ULR", "redis://:hunter2@host")
    with pytest.raises(Refusal) as caught:
        configuration.load()
    assert "PARLOR_STORE__PARTITIONS in the environment is '5000'" in caught.value.message
    assert "PARLOR_REDIS__ULR in the environment: there is no such setting" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_a_broken_settings_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parlor.toml").write_text("[api\n")
    with pytest.raises(Refusal, match="cannot be read"):
        configuration.load()


def test_what_is_handed_to_a_process_is_what_it_restores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    settings = configuration.load({"redis": {"url": "redis://:hunter2@host"}, "api": {"port": 81}})
    monkeypatch.setenv("OPENAI_API_KEY", "sk-two")
    monkeypatch.setenv("PARLOR_API__PORT", "82")
    monkeypatch.setenv("PARLOR_TYPO", "83")
    assert configuration.restore(settings.dump_secrets()) == settings


def test_printed_settings_are_toml_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hunter0")
    settings = configuration.load(
        {
            "redis": {"url": "redis://:hunter1@host"},
            "store": {"urls": ["mysql://u:hunter2@h/d", "mysql://u:hunter3@h/e"]},
            "auth": {"secret": "hunter4" * 8, "issuer": 'quote " and \\ backslash'},
        }
    )
    text = configuration.to_toml(settings)
    assert "hunter" not in text
    parsed = tomllib.loads(text)
    assert parsed["auth"]["issuer"] == 'quote " and \\ backslash'
    assert parsed["queue"]["batch_interval"] == "PT3S"
    assert len(parsed["store"]["urls"]) == 2


def test_printed_settings_without_secrets_can_be_read_back(tmp_path: Path) -> None:
    settings = configuration.load({"queue": {"batch_size": 9}})
    (tmp_path / "parlor.toml").write_text(configuration.to_toml(settings))
    assert configuration.load() == settings


def test_overrides_are_merged_field_by_field() -> None:
    merged = configuration.merge({"api": {"port": 1, "host": "a"}}, {"api": {"port": 2}, "llm": {"model": "m"}})
    assert merged == {"api": {"port": 2, "host": "a"}, "llm": {"model": "m"}}
