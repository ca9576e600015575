"""Settings of the servers, and of what goes through them: Redis, the databases, the cache, the queue."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, SecretStr, model_validator

from parlor.settings.redis_urls import RedisServers, RedisUrl, redis_servers
from parlor.settings.section import Section, in_order
from parlor.settings.urls import StoreUrl, StoreUrls
from parlor.settings.values import Lifetime, Pause, Secret, Text, TimeLimit


class RedisSettings(Section):
    """The live store."""

    url: RedisUrl = SecretStr("")
    """``redis://``, ``rediss://`` or ``unix://``; ``redis+sentinel://host:port,host:port/service`` or
    ``redis+cluster://host:port,host:port`` for servers that fail over (``rediss+...`` with TLS); `parlor up` fills it
    in when it starts the server."""
    prefix: Text = Field(default="parlor", pattern=r"^[a-z0-9_-]{1,32}$")
    """Prefix of every key; it tells installations that share a server apart."""
    connect_timeout: TimeLimit = timedelta(seconds=0.5)
    """Time limit of one connection attempt. A send must be answered within a second when Redis is down."""
    command_timeout: TimeLimit = timedelta(seconds=0.8)
    """Time limit of one pipeline, from sending it to its last answer."""
    pipelines_in_flight: int = Field(default=2, ge=1, le=1000)
    """Pipelines that a process keeps under way at once (to each node of a cluster); commands that arrive meanwhile
    travel in the next one."""

    @property
    def servers(self) -> RedisServers:
        """What the URL names."""
        return redis_servers(self.url.get_secret_value())


class StoreSettings(Section):
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


class CacheSettings(Section):
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


class QueueSettings(Section):
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
        in_order(self, "batch_size", "batch_limit")
        return self
