"""Where tools may connect to: addresses are checked after names were resolved, and connections go to what was checked.

A name that a stranger controls can lead anywhere, and somewhere else a moment later. So the check is in the resolver
that the connection uses, and an address that stands in the URL itself is checked before.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver


class AddressRefused(OSError):
    """The host is not where tools may connect to."""


def is_public(address: str) -> bool:
    """Whether an address is of the internet: not of this machine, a private network, or a cloud's metadata."""
    try:
        found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        # Addresses of IPv4 in another dress: mapped, 6to4, Teredo, NAT64.
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            found = inner
    return found.is_global and not found.is_multicast


class PublicResolver(AbstractResolver):
    """Resolves a name to public addresses only. Raises ``AddressRefused`` when it has any other."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(is_public(each["host"]) for each in found):
            raise AddressRefused(f"{host} has an address that is not public")
        return found

    async def close(self) -> None:
        await self._inner.close()


def literal_address(host: str) -> str | None:
    """The address that a URL's host is; None for a name. Also the spellings that only some programs take for one:
    ``2130706433``, ``0x7f.1``, ``127.1``."""
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(bare.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(bare))
    except OSError:
        return None


def check_literal(url: str) -> None:
    """Raises ``AddressRefused`` for a URL whose host is an address that is not public."""
    address = literal_address(urlsplit(url).hostname or "")
    if address is not None and not is_public(address):
        raise AddressRefused(f"{address} is not public")
