"""URLs in settings: what is wrong with one is said before anything connects to it."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from parlor.settings.values import Secret, Text, listed

_CALLS = re.compile(r"/(chat/completions|completions|responses|models|embeddings)/?$")
"""What a client appends to the URL of an OpenAI-compatible API, and people paste with it."""


def split_url(text: str, *schemes: str) -> SplitResult:
    """Takes a URL apart. Raises ``ValueError`` that says what is wrong, without the URL, which may hold a password."""
    if " " in text:
        raise ValueError("there is a blank in it")
    begins = " or ".join(f"{scheme}://" for scheme in schemes)
    scheme, found, _ = text.partition("://")
    if not found:
        raise ValueError(f"it does not begin with {begins}")
    if scheme.lower() not in schemes:
        raise ValueError(f"it begins with {scheme}://, not with {begins}")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # Python's reason repeats the part that it stumbled over, which may be half a password.
        raise ValueError("its host or port cannot be read; in a password write @ as %40, / as %2F, # as %23") from None
    if port == 0:
        raise ValueError("its port is 0")
    # Servers of ours have a host unless they are told another: redis://:password@, unix://user:password@/path.
    if not parts.hostname and (parts.scheme in ("http", "https") or parts.netloc.rpartition("@")[2]):
        raise ValueError("there is no host in it")
    return parts


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def secure_url(text: str) -> str:
    """The URL of an identity provider. Raises ``ValueError``: who can change its answers on their way signs in as every
    account."""
    if text and split_url(text, "http", "https").scheme == "http" and not is_loopback(text):
        raise ValueError("it has to be https://, unless the provider is on this machine")
    return text


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    return re.sub(r"(?<=://)([^:/@]*):.*@", r"\1:***@", url)


def _api_url(text: str) -> str:
    if text:
        parts = split_url(text, "http", "https")
        if parts.fragment:
            raise ValueError(f"leave out #{parts.fragment}: a server never sees it")
        if found := _CALLS.search(parts.path):
            raise ValueError(f"leave out {found[0]}: Parlor adds it")
    return text


def _store_url(value: SecretStr) -> SecretStr:
    if text := value.get_secret_value():
        split_url(text, "mysql", "sqlite")
    return value


def _origins(value: object) -> object:
    """Reads text as a JSON list, or as origins with commas or blanks between them."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return re.findall(r"[^\s,]+", value)
    return listed(value)


def _origin(text: str) -> str:
    """An origin as browsers send it (RFC 6454 section 6.1)."""
    origin = text.lower().rstrip("/")
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[^\s/:?#@*\[\]]+)(:[0-9]+)?", origin):
        raise ValueError(f"{text!r} is not an origin; write scheme, host and port, as in https://chat.example.org:8443")
    return origin.removesuffix({"http": ":80", "https": ":443"}.get(origin.partition("://")[0], "/"))


def _page_url(text: str) -> str:
    if text:
        parts = split_url(text, "http", "https")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("the page is at the root of its host: write scheme, host and port alone")
    return text.rstrip("/")


ApiUrl = Annotated[Text, AfterValidator(_api_url)]
PageUrl = Annotated[Text, AfterValidator(_page_url)]
StoreUrl = Annotated[Secret, AfterValidator(_store_url)]
StoreUrls = Annotated[tuple[StoreUrl, ...], BeforeValidator(listed)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(_origins)]
