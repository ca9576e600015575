"""Settings of a test's own."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from parlor.settings import Settings

COMMAND_TIMEOUT = 60.0
"""Seconds of real time, long enough for a busy machine. No test waits for it: a server that is down refuses at once."""


class PlainSettings(Settings):
    """Settings from defaults and arguments only, without the environment and files."""

    model_config = SettingsConfigDict(**{**Settings.model_config, "env_file": None, "toml_file": None})

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def plain_settings(**sections: object) -> Settings:
    redis = {"url": SecretStr("redis://fake"), "command_timeout": COMMAND_TIMEOUT}
    return PlainSettings.model_validate({"redis": redis, **sections})
