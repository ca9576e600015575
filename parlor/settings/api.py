"""Settings of the HTTP edge."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from parlor.settings.section import Section
from parlor.settings.urls import Origins, PageUrl
from parlor.settings.values import HeaderNames, Text, TimeLimit


class ApiSettings(Section):
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
    spare: bool | None = None
    """Whether a second replica (about 150 MB) waits behind the first, and takes over at once when that dies. Empty:
    `parlor up` decides, yes where 4 GB of memory are free. It needs HAProxy, and `replicas_max` 1."""
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
