"""Bearer tokens: JWT (RFC 7519, hardened after RFC 8725).

The key that a token names says by which algorithm it is verified; `typ` has to be a token's, and `exp`, `iat`, `iss`,
`aud` and `sub` are required. Times are checked against the injected clock, so PyJWT's own checks of them are off.
"""

from __future__ import annotations

import binascii
import hashlib
import math
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import jwt
import msgspec
from jwt.types import Options
from jwt.utils import base64url_decode, base64url_encode

from api.key_ring import ALGORITHM, SECRET, SECRET_ALGORITHM, SESSION, KeyRing, Keys
from api.provider import PREFIX, Provider
from parlor.clock import Clock
from parlor.errors import Unauthenticated
from parlor.model.access import Credential
from parlor.settings import AuthSettings
from parlor.settings.values import SIGNING_KEY_MIN

_PROVIDER = "idp"
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""What `typ` may say. A JWT that was made for something else is no token (RFC 8725 section 3.11)."""
_KID_MAX = 256
_ACCOUNT_MAX = 128
_TOKEN_MAX = 4096
_CACHE_MAX = 10_000
_OWN_CHECKS: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
_JWS = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)  # RFC 7515 section 3.1: base64url without padding


ADMIN = "admin"
"""The scope of operations on the whole installation; only tokens have it."""
ACCOUNT_SCOPES = frozenset({"read", "write"})
"""What an account may do with what is its own."""


class Claims(msgspec.Struct, frozen=True):
    """The claims of a verified token that Parlor uses."""

    account_id: str
    credential: Credential
    """Valid until `exp` plus the leeway."""
    scopes: frozenset[str] = ACCOUNT_SCOPES


class UnknownKey(Exception):
    """The token names a key that is not known (yet). Does not leave ``api.auth``."""

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix)
        self.is_providers = bool(prefix)


class _Issuer(msgspec.Struct, frozen=True):
    """Whose tokens are accepted, and how they are told apart."""

    name: str
    audience: str
    keys: Keys
    prefix: str
    """Of the credentials: empty for Parlor's own."""


class Signer(msgspec.Struct, frozen=True):
    """What signs tokens: the private half of a pair, or a secret."""

    kid: str
    key: bytes
    """PEM, of a pair."""
    algorithm: str = ALGORITHM


def issue(
    auth: AuthSettings,
    account: str,
    ttl: timedelta | None,
    now: datetime,
    signer: Signer | None = None,
    scopes: Iterable[str] = (),
    provider: str = "",
) -> str:
    """Returns a token for ``account``, valid for ``ttl`` from ``now``; None: for the configured time. ``signer`` signs
    it, or the configured secret. What it allows is in ``scopes_of``; ``provider`` is where the person signed in.

    Raises ``ValueError`` for an account name that is not valid, a ttl that is not positive or too long, or a short
    secret.
    """
    if not is_account_name(account):
        raise ValueError(f"an account name has 1 to {_ACCOUNT_MAX} printable characters, without a space at either end")
    lifetime = auth.token_ttl if ttl is None else ttl
    if lifetime <= timedelta(0):
        raise ValueError("the time to live of a token must be positive")
    if lifetime > auth.token_ttl_max:
        raise ValueError(f"a token lives for {auth.token_ttl_max} at most (PARLOR_AUTH__TOKEN_TTL_MAX)")
    claims: dict[str, str | float] = {
        "sub": account,
        "iss": auth.issuer,
        "aud": auth.audience,
        # In milliseconds: a token that is issued right after its account was revoked is a valid one.
        "iat": int(now.timestamp() * 1000) / 1000,
        "exp": math.ceil((now + lifetime).timestamp()),
    }
    if named := " ".join(scopes):
        claims["scope"] = named
    if provider:
        claims[_PROVIDER] = provider
    if signer is not None:
        return jwt.encode(claims, signer.key, algorithm=signer.algorithm, headers={"kid": signer.kid})
    return jwt.encode(claims, secret_of(auth), algorithm=SECRET_ALGORITHM)


class TokenVerifier:
    """Verifies tokens, and remembers those that are valid."""

    def __init__(self, auth: AuthSettings, ring: KeyRing, clock: Clock, provider: Provider | None = None) -> None:
        self._auth = auth
        self._own = _Issuer(auth.issuer, auth.audience, ring, "")
        self._provider: _Issuer | None = None
        if provider is not None:
            known = provider.settings
            self._provider = _Issuer(known.issuer, known.audience, provider.keys, PREFIX)
        self._leeway_ms = round(auth.leeway.total_seconds() * 1000)
        self._clock = clock
        self._verified: dict[bytes, Claims] = {}

    def verify(self, token: str) -> Claims:
        """Raises ``Unauthenticated`` or ``UnknownKey``."""
        if len(token) > _TOKEN_MAX:
            raise Unauthenticated("The token is too long")
        digest = _digest(token)
        claims = self._verified.pop(digest, None) or self._decode(token)
        if claims.credential.valid_until <= self._clock.now_ms():
            raise Unauthenticated("The token has expired")
        if not self.accepts(claims.credential):
            raise Unauthenticated("The key that signed the token was retired")
        self._verified[digest] = claims  # reinserted last, so the first entry is the least recently used
        if len(self._verified) > _CACHE_MAX:
            del self._verified[next(iter(self._verified))]
        return claims

    def knows(self, token: str) -> bool:
        """Whether it was verified before, and is remembered."""
        return _digest(token) in self._verified

    def accepts(self, credential: Credential) -> bool:
        """Whether the key that signed it is not retired."""
        if self._provider and credential.key.startswith(PREFIX):
            return credential.key.removeprefix(PREFIX) in self._provider.keys
        return credential.key in self._own.keys

    def _decode(self, token: str) -> Claims:
        if not _is_canonical(token):
            raise Unauthenticated("The token is not valid")
        try:
            issuer = self._issuer_of(token)
            kid = _kid(jwt.get_unverified_header(token), issuer)
            found = issuer.keys.get(kid)
            if found is None:
                raise UnknownKey(issuer.prefix)
            payload: dict[str, Any] = jwt.decode(
                token,
                found.key,
                algorithms=[found.algorithm],
                issuer=issuer.name,
                audience=issuer.audience,
                options={"require": ["exp", "iat", "iss", "aud", "sub"], **_OWN_CHECKS},
            )
        except (jwt.PyJWTError, ValueError) as error:
            # PyJWT's messages may quote the token, so only the class is logged.
            raise Unauthenticated("The token is not valid", debug=type(error).__name__) from None
        account = payload["sub"]
        if not isinstance(account, str) or not is_account_name(account):
            raise Unauthenticated("The token's subject is not an account name")
        issued_at, expires = self._times(payload)
        key = issuer.prefix + kid
        credential = Credential(key, round(issued_at * 1000), int(expires * 1000) + self._leeway_ms)
        scopes = scopes_of(payload.get("scope"))
        # What replicas sign for people is never an operator's.
        return Claims(account, credential, scopes & ACCOUNT_SCOPES if key == SESSION else scopes)

    def _issuer_of(self, token: str) -> _Issuer:
        """The one that the token names, and whose keys it is verified with."""
        if self._provider is None:
            return self._own
        said = jwt.decode(token, options={"verify_signature": False, **_OWN_CHECKS}).get("iss")
        return self._provider if said == self._provider.name else self._own

    def _times(self, payload: dict[str, Any]) -> tuple[float, float]:
        """Returns when the token was issued, and when it expires. Raises ``Unauthenticated``."""
        issued_at, expires = _seconds(payload["iat"]), _seconds(payload["exp"])
        not_before = _seconds(payload.get("nbf", 0))
        if issued_at is None or expires is None or not_before is None:
            raise Unauthenticated("The token's times are not numbers")
        if max(not_before, issued_at) * 1000 > self._clock.now_ms() + self._leeway_ms:
            raise Unauthenticated("The token is not valid yet")
        # Either time may have been rounded to a whole second.
        if expires - issued_at > self._auth.token_ttl_max.total_seconds() + 1:
            raise Unauthenticated("The token lives for too long")
        return issued_at, expires


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def scopes_of(claim: object) -> frozenset[str]:
    """Returns what a token allows, by its claim `scope` (RFC 9068): words between blanks. One that names neither `read`
    nor `write` restricts nothing, because providers fill it with words of their own (`openid`); `admin` has to be
    named."""
    named = frozenset(claim.split()) if isinstance(claim, str) else frozenset[str]()
    return (named & ACCOUNT_SCOPES or ACCOUNT_SCOPES) | (named & {ADMIN})


def provider_of(token: str) -> str:
    """Where the person of a verified session signed in; empty: here."""
    said = jwt.decode(token, options={"verify_signature": False, **_OWN_CHECKS}).get(_PROVIDER)
    return said if isinstance(said, str) else ""


def secret_of(auth: AuthSettings) -> bytes:
    """Raises ``ValueError`` when it is shorter than 32 bytes."""
    key = auth.secret.get_secret_value().encode()
    if len(key) < SIGNING_KEY_MIN:
        raise ValueError(f"auth.secret has {len(key)} bytes; it needs at least {SIGNING_KEY_MIN}")
    return key


def _kid(header: dict[str, Any], issuer: _Issuer) -> str:
    """Returns the id of the key that a header names. Raises ``ValueError`` for a header that is no token's."""
    kind, kid = header.get("typ"), header.get("kid")
    if issuer.prefix:
        kind = "JWT" if kind is None else kind  # not every provider says it
    elif kid is None:
        kid = SECRET
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise ValueError("typ")
    if not isinstance(kid, str) or not 1 <= len(kid) <= _KID_MAX:
        raise ValueError("kid")
    return kid


def _is_canonical(token: str) -> bool:
    """Whether the token is spelled as its issuer spelled it. The signature covers header and payload, but could itself
    be padded, or end in bits that mean nothing."""
    if _JWS.fullmatch(token) is None:
        return False
    signature = token.rpartition(".")[2]
    try:
        return base64url_encode(base64url_decode(signature)).decode() == signature
    except binascii.Error:
        return False


def is_account_name(account: str) -> bool:
    return 1 <= len(account) <= _ACCOUNT_MAX and account.isprintable() and account == account.strip()


def _seconds(value: object) -> float | None:
    """A NumericDate, or None when the value is not one (2**40 s is the year 36812)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        return None
    return float(value)
