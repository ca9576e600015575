"""All settings, one frozen tree.

From, highest first: environment ``PARLOR_<SECTION>__<FIELD>``, ``.env``, ``parlor.toml``, the defaults below.
``OPENAI_API_KEY`` is read too, as openai's own clients do. Defaults with a source say it; durations are written as
seconds or ISO 8601 (``PT30S``).
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    SerializationInfo,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


def _write_secret(value: SecretStr, info: SerializationInfo) -> str:
    context = info.context
    return value.get_secret_value() if isinstance(context, dict) and context.get("secrets") else str(value)


Secret = Annotated[SecretStr, PlainSerializer(_write_secret, when_used="json")]
"""Masked wherever it is printed, but for ``Settings.dump_secrets``."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _seconds(cls, value: object, info: ValidationInfo) -> object:
        """The environment gives text: a plain number is seconds there too."""
        if not isinstance(value, str) or cls.model_fields[info.field_name or ""].annotation is not timedelta:
            return value
        return float(value) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value) else value


class RedisSettings(_Section):
    """The live store."""

    url: Secret = SecretStr("")
    """``redis://``, ``rediss://`` or ``unix://``; `parlor up` fills it in when it starts the server."""
    prefix: str = Field(default="parlor", pattern=r"^[a-z0-9_-]{1,32}$")
    """Of every key; tells installations on one server apart."""
    connect_timeout: timedelta = timedelta(seconds=0.5)
    """For one connection attempt; a send with Redis down has to be answered within a second."""
    command_timeout: timedelta = timedelta(seconds=0.8)
    """For one pipeline, sent to answered."""
    pipelines_in_flight: int = Field(default=2, ge=1)
    """Pipelines that one process keeps under way; what waits meanwhile goes into the next one."""


class StoreSettings(_Section):
    """The permanent store."""

    urls: tuple[Secret, ...] = ()
    """One for each shard, in order: ``mysql://user:password@host:3306/database`` (also ``?unix_socket=/path``), or
    ``sqlite:///path``."""
    global_url: Secret = SecretStr("")
    """Accounts and the partition map; when empty, the first shard's server, database name + ``_global``."""
    partitions: int = Field(default=64, ge=1, le=4096)
    """Fixed when an installation is created: every id carries its partition."""
    default_shard: int = 1
    """The shard of an account without one (specification)."""
    pool_size: int = Field(default=4, ge=1)
    """Connections to one shard that one process opens at most."""
    acquire_timeout: timedelta = timedelta(seconds=5)
    """Longest wait for a free connection (asyncmy itself waits for ever)."""
    query_timeout: timedelta = timedelta(seconds=15)
    """For one batch."""
    read_timeout: timedelta = timedelta(seconds=3)
    """For any other call: somebody waits for it, and a database that hangs has to be told in time."""


class CacheSettings(_Section):
    """How long what lives in Redis. The numbers are the specification's."""

    room_list_ttl: timedelta = timedelta(seconds=3600)
    message_list_ttl: timedelta = timedelta(seconds=3600)
    event_log_ttl: timedelta = timedelta(seconds=300)
    """After the log's last event."""
    state_ttl: timedelta = timedelta(seconds=86400)
    """Of final states; a state that is not final yet never expires."""
    transition_log_ttl: timedelta = timedelta(seconds=86400)
    """Of their logs; a state and its log live together, for the longer of the two times."""
    idempotency_ttl: timedelta = timedelta(hours=24)
    messages_per_room: int = Field(default=200, ge=50)
    """Stored messages that a room keeps in Redis; older ones are read from MySQL."""
    states_per_room: int = Field(default=2000, ge=50)
    """Final states, with their logs, that a busy room keeps in Redis; of older messages MySQL tells the state."""
    events_per_room: int = Field(default=10_000, ge=1000)
    """About where an event log is cut; readers that are further behind get `stream-expired`."""

    @property
    def record_ttl(self) -> timedelta:
        """Of rooms, states and logs that are stored."""
        return max(self.state_ttl, self.transition_log_ttl)


class QueueSettings(_Section):
    """From Redis to the shards."""

    batch_size: int = Field(default=50, ge=1, le=5000)
    """Operations after which a writer stops waiting for more (specification)."""
    batch_limit: int = Field(default=1000, ge=1, le=20_000)
    """Most operations of one transaction, reached under backlog."""
    batch_interval: timedelta = timedelta(seconds=3)
    """Longest wait for a batch to fill (specification)."""
    batch_pause: timedelta = timedelta(seconds=1)
    """Shortest time between two batches: a busy queue gives larger batches, not more of them. A sender that waits for
    its commit does not wait for it."""
    cleanup_interval: timedelta = timedelta(seconds=30)
    """How often a writer compares its buffer with its own unfinished entries, so that none whose delivery was lost
    waits for ever (specification: buffer clean-up)."""
    backlog_limit: int = Field(default=100_000, ge=100)
    """Entries of one partition's queue from which on sends are refused as `overloaded`."""
    lease_ttl: timedelta = timedelta(seconds=30)
    """Of a writer's lease on a partition (specification: lock TTL)."""
    lease_wait: timedelta = timedelta(seconds=10)
    """How long a writer waits before it asks again for a partition that another one holds (specification: lock
    timeout)."""


class RoomSettings(_Section):
    """Rooms and the actors that hold them."""

    actors_min: int = Field(default=1, ge=1)
    """RoomActors that are kept warm."""
    actors_max: int = Field(default=0, ge=0)
    """RoomActors at most; a process each, about 50 MB. 0: one for every two cores of the Supervisor's machine, because
    few of them batch better than many (docs/PERFORMANCE.md)."""
    shrink_after: timedelta = timedelta(minutes=10)
    """RoomActors beyond the least that have been empty for so long are ended, so that a node can become idle and be
    removed; a StateMachine beside the first one, when nobody called it for so long."""
    max_rooms_per_actor: int = Field(default=5000, ge=1)
    """1 forbids sharing: then a full pool answers `overloaded`."""
    idle_after: timedelta = timedelta(seconds=300)
    """A room without a command or a reply for so long is passivated."""
    mailbox_limit: int = Field(default=1000, ge=1)
    """Commands that wait for one room; more are refused as `overloaded`."""
    reply_lease: timedelta = timedelta(seconds=5)
    """How long a reply in progress counts as alive after its owner's last sign of life."""
    crash_policy: Literal["retry", "fail"] = "retry"
    """What becomes of a reply whose owner died: begun again (`message.reset`), or ended as `interrupted` with the text
    that there is."""
    max_attempts: int = Field(default=2, ge=1)
    """Runs of the LLM for one reply when its owners died and the policy is `retry`."""
    drain_timeout: timedelta = timedelta(seconds=10)
    """What replies in progress get at shut-down before they end as `interrupted`."""

    @property
    def pool_limit(self) -> int:
        """RoomActors at most, with 0 resolved for this machine."""
        return max(self.actors_min, self.actors_max or (os.cpu_count() or 1) // 2)


class LlmSettings(_Section):
    """The language model."""

    api_key: Secret = SecretStr("")
    """Also read from ``OPENAI_API_KEY``."""
    base_url: str = ""
    """An OpenAI-compatible endpoint; empty is OpenAI's own when there is a key, else the demo model."""
    model: str = ""
    """Overrides the personas' models when set."""
    personas_file: str = ""
    """A ``personas.toml`` of yours; empty is the shipped one."""
    default_persona: str = "GPT4O"
    connect_timeout: timedelta = timedelta(seconds=5)
    first_token_timeout: timedelta = timedelta(seconds=60)
    """From the request to the first token."""
    idle_timeout: timedelta = timedelta(seconds=30)
    """Between two tokens."""
    total_timeout: timedelta = timedelta(seconds=600)
    """For one attempt."""
    delta_interval: timedelta = timedelta(milliseconds=25)
    """Deltas of one reply within this time are one event; the first goes out at once."""
    context_tokens: int = Field(default=8000, ge=256)
    """Budget of the prompt: system prompt, summary, then the most recent turns that fit."""
    summaries: bool = True
    """Whether turns that do not fit into the prompt any more are folded into a running summary by the LLM."""
    summary_tokens: int = Field(default=800, ge=64)
    """Longest summary; it is part of the budget."""
    titles: bool = True
    """Whether a room without a title gets one from the LLM after its first turn."""


class AuthSettings(_Section):
    """Bearer tokens: JWT, HS256."""

    secret: Secret = SecretStr("")
    """At least 32 bytes; `parlor up` makes one and keeps it in the data directory."""
    issuer: str = "parlor"
    audience: str = "parlor-api"
    token_ttl: timedelta = timedelta(days=30)
    """What `parlor token` gives unless told otherwise."""
    leeway: timedelta = timedelta(seconds=10)
    """Clock difference that is forgiven."""


class ApiSettings(_Section):
    """The HTTP edge."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    replicas_min: int = Field(default=1, ge=1)
    replicas_max: int = Field(default=1, ge=1)
    """More than one lets Serve scale; every change of their number makes open streams reconnect."""
    max_streams: int = Field(default=2000, ge=1)
    """Open event streams of one replica; more are refused as `overloaded`."""
    max_requests: int = Field(default=1000, ge=1)
    """Requests under way in one replica besides its streams."""
    content_max: int = 32_768
    """Characters of a message."""
    title_max: int = 200
    """Characters of a title."""
    metadata_max: int = 4096
    """Bytes of a message's metadata as JSON."""
    body_max: int = 256 * 1024
    """Bytes of a request's body."""
    heartbeat: timedelta = timedelta(seconds=15)
    """A comment on a stream that is silent."""
    stream_lifetime: timedelta = timedelta(minutes=10)
    """Then a stream ends with `stream.reconnect`."""
    persisted_timeout: timedelta = timedelta(seconds=15)
    """Longest wait of `Prefer: durability=persisted`."""
    wait_max: timedelta = timedelta(seconds=300)
    """Longest wait of `Prefer: wait=N`."""


class RaySettings(_Section):
    """The cluster."""

    address: str = ""
    """Of a running Ray to join; empty: a private one is started."""
    namespace: str = "parlor"
    """Of this installation's actors; `parlor up` adds the installation's id."""
    placement: Literal["anywhere", "resources"] = "anywhere"
    """`resources`: RoomActors ask for the custom resource `rooms`, ShardWriters for `writers`, so that node types
    decide where they run and the autoscaler adds nodes for them."""
    writers_per_shard: int = Field(default=1, ge=1)
    start_timeout: timedelta = timedelta(seconds=120)
    """Longest wait of `parlor up` for the first actors of each pool; an autoscaler may have to add nodes for them."""
    dashboard_port: int = Field(default=0, ge=0, le=65535)
    """0: a free one."""


class LogSettings(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix="PARLOR_",
        env_nested_delimiter="__",
        env_file=".env",
        toml_file="parlor.toml",
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
    api: ApiSettings = ApiSettings()
    ray: RaySettings = RaySettings()
    log: LogSettings = LogSettings()
    openai_api_key: Secret = Field(default=SecretStr(""), validation_alias=AliasChoices("OPENAI_API_KEY"))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def llm_api_key(self) -> str:
        """The key for the LLM, from either place."""
        return self.llm.api_key.get_secret_value() or self.openai_api_key.get_secret_value()

    def dump_secrets(self) -> str:
        """The tree as JSON with its secrets in clear: for handing it to this installation's own processes only."""
        return self.model_dump_json(context={"secrets": True})
