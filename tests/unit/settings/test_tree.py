"""Where settings come from, and that secrets stay secret."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from parlor.settings import ApiSettings, AuthSettings, LlmSettings, RedisSettings, Settings, StoreSettings
from parlor.settings.identity import IdentitySettings
from parlor.settings.openid import OpenIdSettings

pytestmark = pytest.mark.unit

SECRET = "correct-horse-battery-staple-0123456789"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ``.env`` and no ``parlor.toml`` but the test's own."""
    monkeypatch.chdir(tmp_path)


def secret_settings() -> Settings:
    return Settings(
        redis=RedisSettings(url=SecretStr(f"redis://:{SECRET}@host")),
        store=StoreSettings(
            urls=(SecretStr(f"mysql://u:{SECRET}@host/db"),), global_url=SecretStr(f"sqlite:///{SECRET}")
        ),
        llm=LlmSettings(api_key=SecretStr(SECRET)),
        auth=AuthSettings(secret=SecretStr(SECRET)),
        openai_api_key=SecretStr(SECRET),
    )


def test_defaults_are_those_of_the_specification() -> None:
    settings = Settings()
    assert settings.cache.room_list_ttl == settings.cache.message_list_ttl == timedelta(seconds=3600)
    assert settings.cache.event_log_ttl == timedelta(seconds=300)
    assert settings.cache.state_ttl == settings.cache.transition_log_ttl == timedelta(seconds=86400)
    assert settings.cache.idempotency_ttl == timedelta(hours=24)
    assert (settings.queue.batch_size, settings.queue.batch_interval) == (50, timedelta(seconds=3))
    assert settings.queue.cleanup_interval == timedelta(seconds=30)
    assert (settings.queue.lease_wait, settings.queue.lease_ttl) == (timedelta(seconds=10), timedelta(seconds=30))
    assert (settings.store.default_shard, settings.llm.default_persona) == (1, "GPT4O")
    assert (settings.store.partitions, settings.llm.delta_interval) == (64, timedelta(milliseconds=25))
    assert (settings.api.content_max, settings.api.title_max) == (32_768, 200)
    assert (settings.api.metadata_max, settings.api.body_limit) == (4096, 512 * 1024)
    assert (settings.api.heartbeat, settings.api.stream_lifetime) == (timedelta(seconds=15), timedelta(minutes=10))


def test_the_environment_reaches_into_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLOR_QUEUE__BATCH_SIZE", "7")
    monkeypatch.setenv("PARLOR_QUEUE__BATCH_INTERVAL", "PT0.5S")
    monkeypatch.setenv("PARLOR_CACHE__EVENT_LOG_TTL", "60")
    monkeypatch.setenv("PARLOR_STORE__URLS", '["sqlite:///a", "sqlite:///b"]')
    settings = Settings()
    assert (settings.queue.batch_size, settings.queue.batch_interval) == (7, timedelta(seconds=0.5))
    assert settings.cache.event_log_ttl == timedelta(minutes=1)
    assert [url.get_secret_value() for url in settings.store.urls] == ["sqlite:///a", "sqlite:///b"]
    assert settings.queue.backlog_limit == 100_000


def test_files_are_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parlor.toml").write_text('[api]\nport = 1\nhost = "0.0.0.0"\n[rooms]\nactors_min = 3\n')
    (tmp_path / ".env").write_text("PARLOR_API__PORT=2\nPARLOR_ROOMS__ACTORS_MAX=9\n")
    settings = Settings()
    assert (settings.api.port, settings.api.host) == (2, "0.0.0.0")  # noqa: S104 - nothing listens
    assert (settings.rooms.actors_min, settings.rooms.actors_max) == (3, 9)
    monkeypatch.setenv("PARLOR_API__PORT", "3")
    assert Settings().api.port == 3


def test_openais_own_variable_is_read_and_ours_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().llm_api_key == ""
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    assert Settings().llm_api_key == "theirs"
    monkeypatch.setenv("PARLOR_LLM__API_KEY", "ours")
    assert Settings().llm_api_key == "ours"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARLOR_QUEUE__BATCH_SIZE", "0"),
        ("PARLOR_QUEUE__BATCH_SIZ", "5"),
        ("PARLOR_STORE__PARTITIONS", "4097"),
        ("PARLOR_REDIS__PREFIX", "with space"),
        ("PARLOR_API__PORT", "70000"),
        ("PARLOR_LOG__LEVEL", "loud"),
        ("PARLOR_RAY__PLACEMENT", "somewhere"),
    ],
)
def test_a_setting_that_is_wrong_or_misspelt_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


def test_settings_do_not_change() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.api.port = 1
    with pytest.raises(ValidationError):
        settings.redis = RedisSettings()


def test_secrets_are_masked_wherever_they_are_printed() -> None:
    settings = secret_settings()
    for printed in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert SECRET not in printed
    assert "**" in settings.model_dump_json()


def test_secrets_are_handed_on_to_the_installations_own_processes() -> None:
    settings = secret_settings()
    handed = settings.dump_secrets()
    assert handed.count(SECRET) == 6
    again = Settings.model_validate_json(handed)
    assert again == settings
    assert again.dump_secrets() == handed


def test_what_is_handed_on_is_not_changed_by_the_receivers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    handed = secret_settings().dump_secrets()
    monkeypatch.setenv("PARLOR_API__PORT", "1")
    monkeypatch.setenv("PARLOR_AUTH__SECRET", "another")
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    assert Settings.model_validate_json(handed) == secret_settings_without(monkeypatch)


def secret_settings_without(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("PARLOR_API__PORT", "PARLOR_AUTH__SECRET", "OPENAI_API_KEY"):
        monkeypatch.delenv(name)
    return secret_settings()


def sections() -> list[type[BaseModel]]:
    return [
        field.annotation
        for field in Settings.model_fields.values()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    ]


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_every_duration_and_secret_has_its_own_type(section: type[BaseModel]) -> None:
    for name, field in section.model_fields.items():
        if name.endswith(("_ttl", "_timeout", "_interval", "_after", "_lease", "leeway", "heartbeat")):
            assert field.annotation is timedelta, f"{section.__name__}.{name}"
        if name in ("secret", "api_key", "url", "global_url"):
            assert json.loads(section().model_dump_json())[name] == ""


@pytest.mark.parametrize("content_max", [1, 32_768, 100_000])
def test_a_body_holds_the_longest_content_however_it_is_escaped(content_max: int) -> None:
    api = ApiSettings(content_max=content_max)
    longest = {"content": "\U0001fad6" * content_max, "metadata": {"k": "\U0001fad6" * 1000}}
    assert len(json.dumps(longest).encode()) <= api.body_limit
    assert ApiSettings(body_max=1000).body_limit == 1000


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("http://localhost:5173", ("http://localhost:5173",)),
        ("HTTPS://Chat.Example.org:443/", ("https://chat.example.org",)),
        ("http://[::1]:80, https://a.b:8443 app://x", ("http://[::1]", "https://a.b:8443", "app://x")),
        ('["https://a", "https://b"]', ("https://a", "https://b")),
    ],
)
def test_origins_are_read_as_browsers_send_them(
    monkeypatch: pytest.MonkeyPatch, text: str, origins: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PARLOR_API__ORIGINS", text)
    found = Settings()
    assert found.api.origins == origins
    assert Settings.model_validate_json(found.dump_secrets()).api.origins == origins


@pytest.mark.parametrize(
    "text", ["*", "null", "chat.example.org", "https://a/b", "https://u@a", "https://a:b", "https://"]
)
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PARLOR_API__ORIGINS", text)
    with pytest.raises(ValidationError, match="not an origin"):
        Settings()


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"jwks_url": "http://id.example/jwks"}, "https"),
        ({"jwks_url": "https://id.example/jwks"}, "issuer and audience"),
        ({"jwks_url": "https://id.example/jwks", "issuer": "https://id.example"}, "audience must"),
        ({"refresh": timedelta(seconds=29)}, "seconds=30"),
    ],
)
def test_an_identity_provider_is_named_whole(given: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        IdentitySettings.model_validate(given)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"issuer": "http://id.example", "client_id": "x"}, "https"),
        ({"issuer": "https://id.example"}, "client_id must"),
        ({"scopes": "profile email"}, "`openid` has to be"),
        ({"refresh_min": timedelta(seconds=11)}, "seconds=10"),
    ],
)
def test_an_openid_issuer_is_named_whole(given: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        OpenIdSettings.model_validate(given)


def test_an_openid_issuer_has_a_label() -> None:
    assert OpenIdSettings(issuer="https://id.example/x", client_id="c").label == "id.example"
    assert OpenIdSettings(issuer="https://id.example/x", client_id="c", title="Example").label == "Example"


def test_an_identity_provider_on_this_machine_needs_no_tls() -> None:
    IdentitySettings(jwks_url="http://127.0.0.1:9000/jwks", issuer="http://127.0.0.1:9000", audience="parlor")
