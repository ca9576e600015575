"""All settings, one frozen tree.

From, highest first: environment ``PARLOR_<SECTION>__<FIELD>``, ``.env``, ``parlor.toml``, the defaults below.
``OPENAI_API_KEY`` is read too, as OpenAI's own clients do. A default that comes from the specification says so. How
values are written is in ``values.py`` and ``urls.py``; programs read the settings with ``loading.py``, which says what
is wrong with them, and where. ``docs/CONFIGURATION.md`` is made of this module (``python -m tests.settings_page``).
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from parlor.settings.connections import ConnectionSettings
from parlor.settings.files import read_toml
from parlor.settings.identity import IdentitySettings
from parlor.settings.limits import LimitSettings
from parlor.settings.openid import OpenIdSettings
from parlor.settings.ray import RaySettings
from parlor.settings.section import Section as _Section
from parlor.settings.uploads import FileSettings
from parlor.settings.urls import ApiUrl, Origins, PageUrl, RedisUrl, StoreUrl, StoreUrls
from parlor.settings.values import ApiKey, HeaderNames, Lifetime, Pause, Secret, SigningKey, Text, TimeLimit


def _in_order(section: BaseModel, least: str, most: str) -> None:
    low, high = getattr(section, least), getattr(section, most)
    if low > high:
        raise ValueError(f"{least} is {low}, which is more than {most}, {high}")


class RedisSettings(_Section):
    """The live store."""

    url: RedisUrl = SecretStr("")
    """``redis://``, ``rediss://`` or ``unix://``; `parlor up` fills it in when it starts the server."""
    prefix: Text = Field(default="parlor", pattern=r"^[a-z0-9_-]{1,32}$")
    """Prefix of every key; it tells installations that share a server apart."""
    connect_timeout: TimeLimit = timedelta(seconds=0.5)
    """Time limit of one connection attempt. A send must be answered within a second when Redis is down."""
    command_timeout: TimeLimit = timedelta(seconds=0.8)
    """Time limit of one pipeline, from sending it to its last answer."""
    pipelines_in_flight: int = Field(default=2, ge=1, le=1000)
    """Pipelines that a process keeps under way at once; commands that arrive meanwhile travel in the next one."""


class StoreSettings(_Section):
    """The permanent store."""

    urls: StoreUrls = ()
    """One database URL for each shard, in order: ``mysql://user:password@host:3306/database`` (also
    ``?unix_socket=/path``), or ``sqlite:///path``."""
    global_url: StoreUrl = SecretStr("")
    """The database of accounts and the partition map. Empty: the first shard's server, with ``_global`` added to the
    database name."""
    migration_user: Text = Field(default="", exclude=True)
    """Who migrates MySQL databases. Then the user of the URLs needs no right: the migration lets it call the stored
    procedures, which run with the rights of this one, and nothing else. Empty: the user of the URLs migrates. No actor
    gets it."""
    migration_password: Secret = Field(default=SecretStr(""), exclude=True)
    """Its password."""
    installation: str = Field(default="", pattern=r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")
    """The installation's id, which its databases decide; `parlor up` fills it in. Empty: each process asks the global
    database."""
    partitions: int = Field(default=64, ge=1, le=4096)
    """Number of partitions. Fixed when an installation is created, because every id carries its partition."""
    default_shard: int = Field(default=1, ge=1)
    """The shard of an account that the partition map does not place (specification)."""
    pool_size: int = Field(default=4, ge=1, le=1000)
    """Most connections to one shard that a process opens."""
    acquire_timeout: TimeLimit = timedelta(seconds=5)
    """Longest wait for a free connection (asyncmy itself would wait for ever)."""
    query_timeout: TimeLimit = timedelta(seconds=15)
    """Time limit of a writer's batch."""
    read_timeout: TimeLimit = timedelta(seconds=3)
    """Time limit of every other call: a client waits for it, so a database that hangs must be reported in time."""


class CacheSettings(_Section):
    """How long data lives in Redis."""

    room_list_ttl: Lifetime = timedelta(seconds=3600)
    """Lifetime of an account's list of rooms, once everything in it is stored (specification)."""
    message_list_ttl: Lifetime = timedelta(seconds=3600)
    """Lifetime of a room's messages, once all of them are stored (specification)."""
    event_log_ttl: Lifetime = timedelta(seconds=300)
    """Lifetime of an event log after its last event (specification)."""
    state_ttl: Lifetime = timedelta(seconds=86400)
    """Lifetime of final states (specification). A state that is not final never expires."""
    transition_log_ttl: Lifetime = timedelta(seconds=86400)
    """Lifetime of transition logs (specification). A state and its log live for the longer of the two times."""
    idempotency_ttl: Lifetime = timedelta(hours=24)
    """How long the answer to a request with an `Idempotency-Key` is remembered."""
    messages_per_room: int = Field(default=200, ge=50)
    """Stored messages that a room keeps in Redis; older ones are read from the shard."""
    states_per_room: int = Field(default=2000, ge=50)
    """Final states and their logs that a busy room keeps in Redis; the shard knows the states of older messages."""
    events_per_room: int = Field(default=10_000, ge=1000)
    """Length, roughly, at which an event log is cut. Readers that are further behind get `stream-expired`."""

    @property
    def record_ttl(self) -> timedelta:
        """Lifetime of stored rooms, states and logs."""
        return max(self.state_ttl, self.transition_log_ttl)


class QueueSettings(_Section):
    """From Redis to the shards."""

    batch_size: int = Field(default=50, ge=1, le=5000)
    """Operations that fill a batch: with this many a writer stops waiting for more (specification)."""
    batch_limit: int = Field(default=1000, ge=1, le=20_000)
    """Most operations in one transaction; reached when there is a backlog."""
    batch_interval: Pause = timedelta(seconds=3)
    """Longest wait for a batch to fill (specification)."""
    batch_pause: Pause = timedelta(seconds=1)
    """Shortest time between two batches, so that a busy queue makes batches larger instead of more frequent. A sender
    who waits for the commit skips this pause."""
    cleanup_interval: TimeLimit = timedelta(seconds=30)
    """How often a writer compares its buffer with its unfinished queue entries, so that an entry whose delivery was
    lost is found (specification: buffer clean-up)."""
    backlog_limit: int = Field(default=100_000, ge=100)
    """Entries in one partition's queue at which sends are refused as `overloaded`."""
    lease_ttl: TimeLimit = timedelta(seconds=30)
    """Lifetime of a writer's lease on a partition (specification: lock TTL)."""
    lease_wait: TimeLimit = timedelta(seconds=10)
    """Time between two attempts to take a lease that another writer holds (specification: lock timeout)."""

    @model_validator(mode="after")
    def _a_batch_fits(self) -> QueueSettings:
        _in_order(self, "batch_size", "batch_limit")
        return self


class RoomSettings(_Section):
    """Rooms and the actors that hold them."""

    actors_min: int = Field(default=1, ge=1)
    """RoomActors that are always kept running."""
    actors_max: int = Field(default=0, ge=0)
    """Most RoomActors; each is a process of about 50 MB. 0: one for every two cores of the Supervisor's machine,
    because few actors batch better than many (docs/PERFORMANCE.md)."""
    shrink_after: Lifetime = timedelta(minutes=10)
    """How long a RoomActor beyond `actors_min` must be empty before it ends, so that its node can be removed. The same
    time, without a call, ends a StateMachine beyond the first."""
    own_actors: int | None = Field(default=None, ge=0)
    """Most rooms that get a RoomActor of their own, beyond the pool: those that are talked in, the busiest first.
    Unset: eight for each core, in a quarter of the memory at most; with `PARLOR_RAY__PLACEMENT=resources` none, because
    the pool grows with the rooms there."""
    max_rooms_per_actor: int = Field(default=5000, ge=1)
    """Most rooms in one RoomActor. 1 forbids sharing: a full pool then answers `overloaded`."""
    idle_after: Lifetime = timedelta(seconds=300)
    """How long a room must be without a command or a reply before its actor lets it go."""
    mailbox_limit: int = Field(default=1000, ge=1)
    """Most commands that wait for one room; more are refused as `overloaded`."""
    reply_lease: TimeLimit = timedelta(seconds=5)
    """How long a reply in progress counts as alive after its owner's last renewal."""
    crash_policy: Literal["retry", "fail"] = "retry"
    """What happens to a reply whose owner died: `retry` begins it again (`message.reset`), `fail` ends it as
    `interrupted` with the text so far."""
    max_attempts: int = Field(default=2, ge=1)
    """Most runs of the language model for one reply whose owners died, with `crash_policy` `retry`."""
    approval_ttl: Lifetime = timedelta(days=7)
    """How long a call of a tool waits for a person's decision, or for the result of a tool that its caller executes.
    Then it expires, and the reply goes on without it."""
    drain_timeout: Pause = timedelta(seconds=10)
    """Time that replies in progress get at shut-down before they end as `interrupted`."""

    @model_validator(mode="after")
    def _the_pool_has_room(self) -> RoomSettings:
        if self.actors_max:
            _in_order(self, "actors_min", "actors_max")
        return self

    @property
    def pool_limit(self) -> int:
        """Most RoomActors, with 0 resolved for this machine."""
        return max(self.actors_min, self.actors_max or (os.cpu_count() or 1) // 2)


OPENAI_URL = "https://api.openai.com/v1"
LLM_PROVIDERS = {"openai": "parlor.llm.upstream:Upstream"}
"""The built-in providers by name, each with where its factory is."""


class LlmSettings(_Section):
    """The language model."""

    provider: Text = "openai"
    """Provider: `openai` for any server that speaks OpenAI's chat completions, or `package.module:factory` for one of
    your own."""
    api: Literal["chat_completions", "responses"] = "chat_completions"
    """What the provider `openai` speaks: chat completions, as every compatible server, or OpenAI's Responses API."""
    api_key: ApiKey = SecretStr("")
    """The provider's API key; `OPENAI_API_KEY` is read too."""
    base_url: ApiUrl = ""
    """URL of an OpenAI-compatible API. Empty: OpenAI's own when there is a key, else the demo model."""
    model: Text = ""
    """Model that replaces the model of every persona. Empty: each persona's own."""
    personas_file: Text = ""
    """A `personas.toml` of your own. Empty: the one that comes with Parlor."""
    default_persona: Text = "GPT4O"
    """Persona of a room that was created without one (specification)."""
    connect_timeout: TimeLimit = timedelta(seconds=5)
    """Time limit of one connection attempt."""
    first_token_timeout: TimeLimit = timedelta(seconds=60)
    """Longest time from the request to the first token."""
    idle_timeout: TimeLimit = timedelta(seconds=30)
    """Longest time between two tokens."""
    total_timeout: TimeLimit = timedelta(seconds=600)
    """Time limit of one attempt."""
    delta_interval: Pause = timedelta(milliseconds=25)
    """Tokens of a reply that come within this time are one event; the first is sent at once."""
    reply_max: int = Field(default=200_000, ge=1, le=1_000_000)
    """Most characters of a reply: a longer one ends there, as `length`. A model that repeats itself never ends."""
    context_tokens: int = Field(default=8000, ge=256)
    """Token budget of the prompt: system prompt, summary, then the most recent turns that fit."""
    summaries: bool = True
    """Whether turns that no longer fit into the prompt are folded into a running summary by the language model."""
    summary_tokens: int = Field(default=800, ge=64)
    """Longest summary. It is part of the budget, and takes a quarter of it at most."""
    titles: bool = True
    """Whether the language model gives a room without a title one after its first turn. While it finds none, the room
    has the first words of the question."""

    @field_validator("provider")
    @classmethod
    def _known_provider(cls, value: str) -> str:
        if value not in LLM_PROVIDERS and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
            raise ValueError(
                f"there is no provider {value!r}; choose {', '.join(LLM_PROVIDERS)} or package.module:factory"
            )
        return value


class AuthSettings(_Section):
    """Bearer tokens: JWT."""

    secret: SigningKey = SecretStr("")
    """Signing key of at least 32 bytes (HS256); `parlor up` makes one and keeps it in the data directory."""
    keys_dir: Text = ""
    """Folder of the private signing keys that `parlor keys add` makes (EdDSA). Empty: `keys` in the data directory."""
    issuer: Text = "parlor"
    """The token's `iss`."""
    audience: Text = "parlor-api"
    """The token's `aud`."""
    token_ttl: Lifetime = timedelta(days=30)
    """Lifetime of the tokens that `parlor token` prints, unless it is told another."""
    token_ttl_max: Lifetime = timedelta(days=90)
    """Longest lifetime of a token: one that says it lives longer is refused, whoever signed it."""
    session_ttl: Lifetime = timedelta(days=7)
    """Lifetime of a session of the page, however somebody signed in."""
    session_cookie: Literal["auto", "secure"] = "auto"
    """`secure`: browsers send the session cookie over TLS alone. `auto`: so does one that was set while a proxy said
    `X-Forwarded-Proto: https`."""
    sign_in_by_name: bool = False
    """Whether the page signs in whoever types a name, without any proof: for trying Parlor on one's own machine. It
    starts only with a front end on loopback."""
    leeway: Pause = timedelta(seconds=10)
    """Difference between clocks that is tolerated."""

    @model_validator(mode="after")
    def _tokens_are_accepted(self) -> AuthSettings:
        _in_order(self, "token_ttl", "token_ttl_max")
        _in_order(self, "session_ttl", "token_ttl_max")
        return self


class ApiSettings(_Section):
    """The HTTP edge."""

    host: Text = Field(default="127.0.0.1", pattern=r"^[^/\s\[\]]+$")
    """Address to listen on, without a port."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0: a free one."""
    public_url: PageUrl = ""
    """Where browsers reach the page, as in `https://chat.example.org`: for the links of `parlor sign-in`, and for an
    OpenID issuer, which sends people back there. Empty: `host` and `port`, and where a sign-in was begun."""
    replicas_min: int = Field(default=1, ge=1)
    """Fewest Serve replicas of the API."""
    replicas_max: int = Field(default=1, ge=1)
    """Most Serve replicas of the API. More than `replicas_min` lets Serve scale; every change of their number makes
    open streams reconnect."""
    max_streams: int = Field(default=2000, ge=1)
    """Most open event streams of one replica; more are refused as `overloaded`."""
    max_requests: int = Field(default=1000, ge=1)
    """Most requests under way in one replica, besides its streams."""
    content_max: int = Field(default=32_768, ge=1, le=1_000_000)
    """Most characters of a message."""
    title_max: int = Field(default=200, ge=1, le=10_000)
    """Most characters of a title."""
    metadata_max: int = Field(default=4096, ge=1, le=1024 * 1024)
    """Most bytes of a message's metadata, as JSON."""
    body_max: int = Field(default=0, ge=0, le=64 * 1024 * 1024)
    """Most bytes of a request's body. 0: 512 KiB, or more if the longest content needs it."""
    origins: Origins = ()
    """Origins of web pages that may call the API from a browser: `https://chat.example.org`, several with commas or as
    a JSON list. Empty: none but Parlor's own page."""
    external_id_headers: HeaderNames = ("X-OpenWebUI-Chat-Id", "X-Conversation-Id")
    """Request headers whose value is the external id of the room that a chat completion belongs to; the first one that
    a request has counts. `Parlor-Room` comes before them."""
    heartbeat: TimeLimit = timedelta(seconds=15)
    """Time after which a silent stream gets a comment line."""
    stream_lifetime: TimeLimit = timedelta(minutes=10)
    """Time after which a stream ends with `stream.reconnect`."""
    persisted_timeout: TimeLimit = timedelta(seconds=15)
    """Longest wait of `Prefer: durability=persisted`."""
    wait_max: TimeLimit = timedelta(seconds=300)
    """Longest wait of `Prefer: wait=N`."""

    @property
    def body_limit(self) -> int:
        """Most bytes of a request's body, with 0 resolved: the longest content has to fit, however it is escaped."""
        # Python's JSON writes a character outside of the Basic Multilingual Plane as 12 bytes.
        return self.body_max or max(512 * 1024, 12 * (self.content_max + self.metadata_max))


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
        """The tree as JSON with its secrets in clear text, to be handed only to this installation's own processes."""
        return self.model_dump_json(context={"secrets": True})
