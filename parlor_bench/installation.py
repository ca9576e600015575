"""What a measure works on: a running installation, and how to start another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from parlor.settings import Settings
from parlor.store.addresses import MySqlAddress, parse_address
from parlor_bench.peers.ejabberd import TcpServer
from parlor_bench.peers.plain_service import Where
from parlor_bench.peers.running import arguments_of

SETTINGS = {
    "PARLOR_API__MAX_STREAMS": "12000",
    "PARLOR_CONNECTIONS__MOST": "30000",
    "PARLOR_LIMITS__REQUESTS_PER_SECOND": "20000",
    "PARLOR_LIMITS__REQUESTS_BURST": "20000",
    "PARLOR_LIMITS__SENDS_PER_SECOND": "20000",
    "PARLOR_LIMITS__SENDS_BURST": "20000",
    "PARLOR_LIMITS__STREAMS": "20000",
}
"""Raised shares: a benchmark is few accounts with the load of many. The checks are made as ever."""
ACCOUNTS = 100


@dataclass(frozen=True)
class Installation:
    """A running installation with the demo model, on private servers."""

    host: str
    port: int
    settings: Settings
    token: Callable[[str], str]
    """Makes the token of an account."""
    processes: Callable[[str], list[int]]
    """The ids of its processes whose command line has this in it, for example ``ray::RoomActor``."""
    name_of: Callable[[int], str]
    """What a process is called."""
    server: Callable[[str], int]
    """The process id of one of its servers, for example ``mariadb``."""
    noop: Callable[[], AbstractContextManager[str]]
    """Deploys a no-op beside the API; gives its path."""

    @property
    def llm_url(self) -> str:
        return self.settings.llm.base_url

    @property
    def databases(self) -> list[dict[str, Any]]:
        """Arguments of ``asyncmy.connect`` for each shard. Raises ``ValueError`` without MariaDB."""
        found = []
        for url in self.settings.store.urls:
            address = parse_address(url.get_secret_value())
            if not isinstance(address, MySqlAddress):
                raise ValueError("this needs an installation on private servers")  # noqa: TRY004 - the URL's kind
            found.append({**arguments_of(address), "database": address.database})
        return found

    def tokens(self, count: int = ACCOUNTS) -> list[str]:
        return [self.token(f"bench-{number}") for number in range(count)]

    def servers(self, secret: str = "not a secret, only long enough for it") -> Where:  # noqa: S107
        """Its Redis and MariaDB, for a service to compare with. Raises ``ValueError`` without MariaDB."""
        arguments = {name: value for name, value in self.databases[0].items() if name != "database"}
        return Where(self.settings.redis.url.get_secret_value(), arguments, secret)


class Start(Protocol):
    """Starts an installation with these settings, besides ``SETTINGS``, and removes it at the end."""

    def __call__(
        self, settings: Mapping[str, str], *, servers: str = "private"
    ) -> AbstractAsyncContextManager[Installation]: ...


@dataclass(frozen=True)
class Bench:
    """What each measure gets."""

    on: Installation
    start: Start
    database_over_tcp: Callable[[], AbstractContextManager[TcpServer]]
    """Runs a MariaDB with the options of the private one."""
    rounds: int
    seconds: float
    """How long one run of a load takes."""
    duration: float
    """Seconds of a soak."""
    say: Callable[[str], None]

    def turns(self, names: Sequence[str]) -> list[list[str]]:
        """The order in each round: every other time the other way round, since what one leaves behind is in the way of
        the next."""
        return [list(names) if number % 2 == 0 else list(reversed(names)) for number in range(self.rounds)]
