"""Where the spans of requests go."""

from __future__ import annotations

from pydantic import Field

from parlor.settings.section import Section
from parlor.settings.urls import ApiUrl
from parlor.settings.values import Text


class TraceSettings(Section):
    """Traces of requests, from HTTP to the commit, for an OpenTelemetry collector."""

    url: ApiUrl = ""
    """Address of a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; `/v1/traces` is added. Empty:
    nothing is traced."""
    share: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the requests that are traced. A request that comes with a `traceparent` says itself whether it is."""
    service: Text = Field(default="parlor", min_length=1, max_length=128)
    """What the installation is called there (`service.name`)."""
