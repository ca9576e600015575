"""Signing in by name alone: from this machine, on a page of this machine, and nowhere else."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from api.rates import address_of, is_this_machine
from api.session_cookie import is_tls
from parlor.errors import Forbidden
from parlor.settings import Settings
from parlor.settings.urls import is_loopback


def exposed(settings: Settings) -> str:
    """What would let others sign in by name; empty: nothing, or nobody does."""
    if not settings.auth.sign_in_by_name:
        return ""
    if not is_loopback(f"http://{_bracketed(settings.api.host)}"):
        return f"anybody could be anybody at {settings.api.host} (api.host): only a front end on loopback allows it"
    if settings.api.public_url and not is_loopback(settings.api.public_url):
        return "anybody could be anybody at api.public_url: only a page of this machine allows it"
    return ""


def require_this_machine(scope: Scope) -> None:
    """Raises ``Forbidden`` for a client elsewhere, and for a page that has another host's name: an attacker's name may
    lead to this machine too (DNS rebinding)."""
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not _is_local(f"http://{hosts[0]}"):
        raise Forbidden("Signing in by name is for pages of this machine, such as http://localhost")
    if not all(_is_local(origin) for origin in headers.getlist("origin")):
        raise Forbidden("A page of another host does not sign anybody in")
    if not is_this_machine(address_of(scope)) or is_tls(headers):
        # A proxy stands in front, for whomever.
        raise Forbidden("Signing in by name is for this machine alone")


def _is_local(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return is_loopback(url) and parts.port != 0 and not parts.path and "@" not in parts.netloc
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
