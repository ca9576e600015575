"""Shares of one account and one address: how many requests, sends, refused tokens and open streams they may have.

A rate is a token bucket, kept as the one moment at which it will be full again (the generic cell rate algorithm of
ITU-T I.371), so an account costs one number. What is left is told in the header fields of
draft-ietf-httpapi-ratelimit-headers-10. All of it is counted in the replica's memory: no request pays a round trip for
it, and a replica that restarts forgives.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from functools import lru_cache

import msgspec
from starlette.types import Scope

from api.callers import Caller
from api.dialects.openai_errors import OPENAI
from api.holding import Holding, Turns
from parlor.clock import Clock
from parlor.errors import QuotaExceeded, RateLimited
from parlor.settings.account_limits import AccountLimits
from parlor.settings.limits import LimitSettings

_KEYS_MAX = 20_000
"""Accounts or addresses that a rate remembers. The one that was quiet longest is forgotten first, which gives it a full
bucket."""
_NETWORK_BITS = 64
"""Of an IPv6 address: whoever has one has the whole network, and another address for each request."""
_CHANGES = 1.0, 200
"""Entries of one account in the audit log: a second, and at once after a pause."""
_DAY, _MONTH = 86_400, 30 * 86_400
"""Seconds of a budget's period, roughly."""
_ROUNDING = 1e-3
"""Of a request: sums of floats do not make a bucket that is full a little more than full."""


class Standing(msgspec.Struct, frozen=True):
    """What is left of a rate. Most are never told to anybody, so the fields of the answer are made when they are."""

    name: str
    policy: str
    """The value of the field ``RateLimit-Policy``."""
    retry_after: float
    """Seconds until the next request is allowed; 0 when this one was."""
    quota: int
    remaining: int
    reset: int
    """Seconds until the bucket is full again, or until the next request is allowed."""

    @property
    def left(self) -> str:
        """The value of the field ``RateLimit``."""
        return f'"{self.name}";r={self.remaining};t={self.reset}'


class Quota(msgspec.Struct, frozen=True):
    """A bucket: how much it has, and how fast it fills."""

    cost: float
    """Seconds in which it gets back what one request takes; 0: no limit."""
    burst: int
    policy: str

    @property
    def size(self) -> float:
        """Seconds in which it fills."""
        return self.cost * self.burst


@lru_cache(maxsize=1024)
def quota(name: str, per_second: float | None, burst: int) -> Quota:
    """``per_second`` None: no limit."""
    cost = 0.0 if per_second is None else 1 / per_second
    return Quota(cost, burst, f'"{name}";q={burst};w={max(1, math.ceil(cost * burst))}')


class Rate:
    """One limit for many keys, each of which may have a quota of its own."""

    def __init__(self, name: str, of: Callable[[str], tuple[float | None, int]], clock: Clock) -> None:
        """``of`` gives a key's requests per second (None: no limit) and its burst."""
        self.name = name
        self._of = of
        self._clock = clock
        self._full_at: dict[str, float] = {}

    def look(self, key: str) -> Standing | None:
        """Returns what would be left after one more, of which nothing is taken; None without a limit."""
        own = quota(self.name, *self._of(key))
        return self._standing(own, self._full_at.get(key, 0.0)) if own.cost else None

    def left(self, key: str) -> int | None:
        """Returns how many may be taken now; None without a limit."""
        own = quota(self.name, *self._of(key))
        if not own.cost:
            return None
        missing = max(0.0, self._full_at.get(key, 0.0) - self._clock.monotonic())
        return max(0, math.floor((own.size - missing) / own.cost + _ROUNDING))

    def take(self, key: str) -> Standing | None:
        """Takes one if there is one, and returns what is left; None without a limit."""
        own = quota(self.name, *self._of(key))
        if not own.cost:
            return None
        full_at = self._full_at.pop(key, 0.0)
        standing = self._standing(own, full_at)
        if not standing.retry_after:
            full_at = max(full_at, self._clock.monotonic()) + own.cost
        self._full_at[key] = full_at
        if len(self._full_at) > _KEYS_MAX:
            del self._full_at[next(iter(self._full_at))]
        return standing

    def _standing(self, own: Quota, full_at: float) -> Standing:
        """Returns what one more request leaves of a bucket that is full at this moment."""
        missing = max(0.0, full_at - self._clock.monotonic()) + own.cost
        left = math.floor((own.size - missing) / own.cost + _ROUNDING)
        retry_after = missing - own.size if left < 0 else 0.0
        reset = math.ceil(retry_after or missing)
        return Standing(self.name, own.policy, retry_after, own.burst, max(0, left), reset)


class Shares:
    """How many of one kind each key has at a time."""

    def __init__(self, name: str, of: Callable[[str], int | None], whose: str = "account") -> None:
        """``of`` gives how many a key may have; None: any number. ``whose`` is what keys are."""
        self._name = name
        self._of = of
        self._whose = whose
        self._taken: dict[str, int] = {}

    def taken(self, key: str) -> int:
        return self._taken.get(key, 0)

    def take(self, key: str) -> Callable[[], None]:
        """Returns what gives the share back; to be called once. Raises ``RateLimited`` when the key has its share."""
        taken, limit = self._taken.get(key, 0), self._of(key)
        if limit is not None and taken >= limit:
            raise RateLimited(f"The {self._whose} has {taken} {self._name} at a time; more are not allowed")
        self._taken[key] = taken + 1
        return lambda: self._give_back(key)

    def _give_back(self, key: str) -> None:
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]


class Limits:
    """The limits of a replica."""

    def __init__(self, settings: LimitSettings, clock: Clock) -> None:
        self.accounts = AccountLimits(settings)
        """Another one's once the gateway is open, which follows what operators set."""
        address = settings.address_requests_per_second, settings.address_requests_burst
        refused = settings.refused_tokens_per_second, settings.refused_tokens_burst
        self.requests = Rate("requests", self._requests, clock)
        self.sends = Rate("sends", self._sends, clock)
        self.changes = Rate("keys made and ended, and sign-ins", lambda _: _CHANGES, clock)
        self._addresses = Rate("requests of the address", lambda _: address, clock)
        self._refused_tokens = Rate("refused tokens", lambda _: refused, clock)
        self._turns = Turns(clock)
        self.refusals = Holding(clock, settings.refusal_delay.total_seconds())
        strangers = settings.address_strangers_at_once
        self._strangers = Shares("requests that do not say whose they are", lambda _: strangers, "address")
        self.requests_at_once = Shares("requests", lambda account: self.accounts.of(account).requests_at_once)
        self.streams = Shares("event streams", lambda account: self.accounts.of(account).streams)
        self.uploads = Shares("uploads", lambda account: self.accounts.of(account).uploads_at_once)

    def _requests(self, account: str) -> tuple[float | None, int]:
        limits = self.accounts.of(account)
        return limits.requests_per_second, limits.requests_burst

    def _sends(self, account: str) -> tuple[float | None, int]:
        limits = self.accounts.of(account)
        return limits.sends_per_second, limits.sends_burst

    def admit_address(self, scope: Scope) -> None:
        """Raises ``RateLimited``."""
        address = address_of(scope)
        if not is_this_machine(address):
            charge(self._addresses, address, scope)

    def admit_token(self, scope: Scope) -> None:
        """Raises ``RateLimited`` when the address has sent too many tokens that are not valid."""
        _require(self._refused_tokens.look(address_of(scope)), self._refused_tokens.name, scope)

    async def admit_send(self, account: str, scope: Scope) -> None:
        """Waits for its turn. Raises ``RateLimited``."""
        charge(self.sends, account, scope)
        await self._turns.wait(account, self.accounts.of(account).sends_per_second)

    def note_budget(self, error: QuotaExceeded, account: str, scope: Scope) -> None:
        """Notes the budget that refused an account's request for its answer."""
        name = str(error.extra.get("limit", "budget"))
        window = _MONTH if name.endswith("month") else _DAY
        most, retry_after = math.ceil(getattr(self.accounts.of(account), name, None) or 0), error.retry_after or 0.0
        policy, reset = f'"{name}";q={most};w={window}', math.ceil(retry_after)
        scope["state"]["rate"] = Standing(name, policy, retry_after, most, 0, reset)

    def take_stranger(self, scope: Scope) -> Callable[[], None]:
        """Takes one of the address's shares of requests that wait for somebody to say who he is; returns what gives it
        back. Raises ``RateLimited``."""
        return self._strangers.take(address_of(scope))

    async def hold_back(self, scope: Scope) -> None:
        """Waits before a refusal is answered that a rate asks for."""
        caller: Caller | None = scope["state"].get("caller")
        await self.refusals.wait(f"account {caller.session.account_id}" if caller else address_of(scope))

    async def token_refused(self, scope: Scope) -> None:
        """Counts a token that is not valid, and waits if the address has sent many."""
        address = address_of(scope)
        self._refused_tokens.take(address)
        await self.refusals.wait(address, at_least=False)


def charge(rate: Rate, key: str, scope: Scope) -> None:
    """Takes one from a rate and notes what is left for the answer. Raises ``RateLimited``."""
    _require(rate.take(key), rate.name, scope)


def rate_fields(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The fields of the answer that say what is left of the rate that was charged last."""
    standing: Standing | None = scope["state"].get("rate")
    if standing is None:
        return []
    if scope["path"].startswith(OPENAI):
        return [
            (b"x-ratelimit-limit-requests", b"%d" % standing.quota),
            (b"x-ratelimit-remaining-requests", b"%d" % standing.remaining),
            (b"x-ratelimit-reset-requests", b"%ds" % standing.reset),
        ]
    return [(b"ratelimit-policy", standing.policy.encode()), (b"ratelimit", standing.left.encode())]


def address_of(scope: Scope) -> str:
    """The client's address: as HAProxy wrote it, which takes this field from nobody else; without HAProxy that of the
    connection. Of IPv6 its network. Empty when the server does not know it."""
    for name, value in scope["headers"]:
        if name == b"x-parlor-address":
            written: bytes = value
            return _whole(written.decode("latin-1"))
    client = scope.get("client")
    return _whole(client[0]) if client else ""


def _require(standing: Standing | None, name: str, scope: Scope) -> None:
    if standing is None:
        return
    scope["state"]["rate"] = standing
    if standing.retry_after:
        raise RateLimited(f"The limit of {name} is reached", retry_after=standing.retry_after)


@lru_cache(maxsize=4096)
def _whole(address: str) -> str:
    """What the limits of an address are counted for."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    network = ipaddress.ip_network((found, _NETWORK_BITS), strict=False)
    return str(found if found.is_loopback else network.network_address)


@lru_cache(maxsize=1024)
def is_this_machine(address: str) -> bool:
    """Whether a client's address is one of this machine's own, or none."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        # A unix socket, or a server that does not know.
        return True
