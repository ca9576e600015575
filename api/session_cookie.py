"""The page's session: a cookie that carries a bearer token (ADR 0036).

Its name has the installation's id, because a browser sends the cookies of a host to all of its ports. A browser adds
cookies to whatever any page asks of us, so a cookie changes nothing unless the browser says that the request comes from
our own page.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers

from parlor.errors import Forbidden, Unauthenticated
from parlor.model.ids import InstallationId

PREFIX = "parlor_"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110 section 9.2.1)."""
_OURS = frozenset({"same-origin"})
_NOBODY_ELSES = frozenset({"same-origin", "none"})
"""``none``: the person's own doing, such as an address that was typed."""


def name_of(installation: InstallationId) -> str:
    return PREFIX + installation


def tokens_in(headers: Headers) -> dict[str, list[str]]:
    """The tokens in the cookies of Parlor's installations, by the cookies' names."""
    found: dict[str, list[str]] = {}
    for line in headers.getlist("cookie"):
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            if name.startswith(PREFIX):
                found.setdefault(name, []).append(value.strip('"'))
    return found


def only(tokens: list[str]) -> str:
    """Raises ``Unauthenticated``: of two, one was put there by a page of another host of the domain."""
    if len(tokens) > 1:
        raise Unauthenticated("The request has more than one session cookie")
    return tokens[0]


def set_cookie(installation: InstallationId, token: str, seconds: int, *, secure: bool) -> str:
    """The value of ``Set-Cookie``."""
    parts = [f"{name_of(installation)}={token}", "Path=/", f"Max-Age={seconds}", "HttpOnly", "SameSite=Strict"]
    return "; ".join([*parts, "Secure"] if secure else parts)


def is_tls(headers: Headers) -> bool:
    """Whether the browser speaks TLS to a proxy in front of us. HAProxy takes the header from known proxies only; who
    could lie without it would lie about his own cookie."""
    return headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower() == "https"


def require_own_page(headers: Headers, method: str) -> None:
    """For a request with a cookie: what may change something has to come from our own page. Raises ``Forbidden``."""
    if method in SAFE:
        return
    site = headers.get("sec-fetch-site")
    # Without TLS browsers leave that out, except for this machine, and send an Origin with whatever changes something.
    ours = site in _OURS if site is not None else _is_own_origin(headers)
    if not ours:
        raise Forbidden("A session cookie changes something only for a request of the same origin")


def require_no_other_page(headers: Headers) -> None:
    """For a sign-in, which programs may ask for too: another page must not sign somebody in. Raises ``Forbidden``."""
    site = headers.get("sec-fetch-site")
    allowed = site in _NOBODY_ELSES if site is not None else "origin" not in headers or _is_own_origin(headers)
    if not allowed:
        raise Forbidden("A page of another origin does not sign anybody in")


def _is_own_origin(headers: Headers) -> bool:
    origin, host = headers.get("origin", ""), headers.get("host", "")
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if not parts.netloc or parts.scheme not in ("http", "https") or (is_tls(headers) and parts.scheme == "http"):
        return False
    return parts.netloc.lower() == host.lower()
