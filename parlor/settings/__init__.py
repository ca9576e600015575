"""All settings, one frozen tree.

From, highest first: environment ``PARLOR_<SECTION>__<FIELD>``, ``.env``, ``parlor.toml``, the defaults below.
``OPENAI_API_KEY`` is read too, as OpenAI's own clients do. A default that comes from the specification says so. How
values are written is in ``values.py`` and ``urls.py``; programs read the settings with ``loading.py``, which says what
is wrong with them, and where. Each section is a module beside this one. ``docs/CONFIGURATION.md`` is made of them
(``python -m tests.settings_page``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from parlor.settings.api import ApiSettings
from parlor.settings.auth import AuthSettings
from parlor.settings.connections import ConnectionSettings
from parlor.settings.files import read_toml
from parlor.settings.identity import IdentitySettings
from parlor.settings.limits import LimitSettings
from parlor.settings.llm import LLM_PROVIDERS, OPENAI_URL, LlmSettings
from parlor.settings.openid import OpenIdSettings
from parlor.settings.ray import RaySettings
from parlor.settings.rooms import RoomSettings
from parlor.settings.section import Section as _Section
from parlor.settings.storage import CacheSettings, QueueSettings, RedisSettings, StoreSettings
from parlor.settings.traces import TraceSettings
from parlor.settings.uploads import FileSettings
from parlor.settings.values import ApiKey

__all__ = [
    "LLM_PROVIDERS",
    "OPENAI_URL",
    "ApiSettings",
    "AuthSettings",
    "CacheSettings",
    "LlmSettings",
    "LogSettings",
    "QueueSettings",
    "RedisSettings",
    "RoomSettings",
    "Settings",
    "StoreSettings",
]


class LogSettings(_Section):
    """What the processes log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""
    format: Literal["json", "console"] = "json"
    """`json`: one object a line; `console`: for people."""


class _TomlFile(TomlConfigSettingsSource):
    def _read_file(self, path: Path) -> dict[str, object]:  # type: ignore[override] # it is the file named above
        return read_toml(path)


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix="PARLOR_",
        env_nested_delimiter="__",
        env_file=".env",
        env_file_encoding="utf-8-sig",
        toml_file="parlor.toml",
        # Lists are read by ``values.listed``, which says what is wrong with one.
        enable_decoding=False,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    redis: RedisSettings = RedisSettings()
    store: StoreSettings = StoreSettings()
    cache: CacheSettings = CacheSettings()
    queue: QueueSettings = QueueSettings()
    rooms: RoomSettings = RoomSettings()
    llm: LlmSettings = LlmSettings()
    auth: AuthSettings = AuthSettings()
    identity: IdentitySettings = IdentitySettings()
    openid: OpenIdSettings = OpenIdSettings()
    api: ApiSettings = ApiSettings()
    files: FileSettings = FileSettings()
    limits: LimitSettings = LimitSettings()
    connections: ConnectionSettings = ConnectionSettings()
    ray: RaySettings = RaySettings()
    log: LogSettings = LogSettings()
    traces: TraceSettings = TraceSettings()
    openai_api_key: ApiKey = Field(default=SecretStr(""), validation_alias=AliasChoices("OPENAI_API_KEY"))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, _TomlFile(settings_cls)

    @property
    def llm_api_key(self) -> str:
        """The language model's API key, from either setting."""
        return self.llm.api_key.get_secret_value() or self.openai_api_key.get_secret_value()

    def dump_secrets(self) -> str:
        """The tree as JSON with its secrets in clear text, to be handed only to this installation's own processes. What
        is not set (None, by default) is left out: an earlier version may not know it, and refuses what it does not
        know."""
        tree = self.model_dump(mode="json", context={"secrets": True})
        for name, section in tree.items():
            if isinstance(section, dict):
                fields = type(getattr(self, name)).model_fields
                tree[name] = {
                    key: value for key, value in section.items() if value is not None or fields[key].default is not None
                }
        return json.dumps(tree, ensure_ascii=False)
