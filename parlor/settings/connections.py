"""How long clients may take for a request, how many connections they may have, and where the health checks listen."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from parlor.settings.limits import Cap
from parlor.settings.section import Section
from parlor.settings.values import Text, TimeLimit, listed


def _networks(value: object) -> object:
    """Reads text as a JSON list, or as networks with commas or blanks between them."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return re.findall(r"[^\s,]+", value)
    return listed(value)


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"{text!r} is no address or network; write 192.0.2.7, 10.0.0.0/8 or fd00::/8") from None


Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_networks)]


class ConnectionSettings(Section):
    """Connections of clients. HAProxy keeps these limits, and they count for each HAProxy; where there is none for the
    platform, only `body_timeout` holds."""

    header_timeout: TimeLimit = timedelta(seconds=10)
    """Longest time for a request's line and headers to arrive, from the connection or from their first byte on."""
    body_timeout: TimeLimit = timedelta(seconds=30)
    """Longest time for a request's body to arrive. HAProxy waits for the first 30 KiB of it, which is most bodies, and
    the replica for what is left, each for so long."""
    idle_timeout: TimeLimit = timedelta(seconds=75)
    """How long a connection may be idle between two requests. Longer than the 60 s for which proxies keep theirs, so
    that none sends a request on a connection that is about to be closed."""
    most: int = Field(default=0, ge=0, le=1_000_000)
    """Most connections. 0: 10,000, or twice what all replicas take if that is more. Never more than half of the files
    that HAProxy may open."""
    per_address: Cap = 1000
    """Most connections from one IPv4 address or one IPv6 network of 64 bits; more are closed at once. `off` turns it
    off."""
    proxies: Networks = ("127.0.0.0/8", "::1/128")
    """Addresses and networks of proxies in front of Parlor, with commas or as a JSON list. They may have any number of
    connections, and the last address in their `X-Forwarded-For` is taken for the client's."""
    health_host: Text = Field(default="127.0.0.1", pattern=r"^[^/\s\[\]]+$")
    """Address of the port for health checks."""
    health_port: int = Field(default=0, ge=0, le=65535)
    """Port on which only `/healthz` and `/readyz` are answered, also when clients have taken every connection of the
    API's port. 0: a free one with `parlor up`, none in a cluster."""
