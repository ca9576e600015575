"""Whether the servers of an installation are its own, before anything is started on them (I21)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from parlor.errors import ParlorError
from parlor.settings import Settings
from parlor_cli.installation import Installation
from parlor_cli.refusal import Refusal
from parlor_cli.server_errors import server_refusal

if TYPE_CHECKING:
    from parlor.reading.identity import Survey
    from parlor.wiring import Wiring

_T = TypeVar("_T")


def require_own_databases(installation: Installation, found: str) -> None:
    """``found`` is the id that the databases have. Raises ``Refusal`` when the data directory had others before."""
    known = installation.founding.installation
    if known not in (None, found):
        raise Refusal(
            f"{installation.data_dir} belongs to installation {known}, and these databases to {found}. "
            "Give the addresses of its own databases, or another --data-dir. If these databases are to take the place "
            f"of the former ones: parlor adopt --data-dir {installation.data_dir}"
        )


def claim_redis(installation: Installation, settings: Settings) -> None:
    """Makes Redis this installation's. Raises ``Refusal`` when it belongs to another one, or when the databases have
    gone back behind it."""

    async def claim(wiring: Wiring) -> None:
        survey = await wiring.identity.survey()
        if survey.foreign or survey.behind:
            raise Refusal(explain(installation, settings, survey))
        await wiring.identity.claim(survey)

    unguarded(settings, claim)


def unguarded(settings: Settings, work: Callable[[Wiring], Awaitable[_T]]) -> _T:
    """Calls ``work`` with the stores of these settings, and lets it look at another installation's Redis. Raises
    ``Refusal`` when a store does not answer."""
    # Only now: it takes longest to import, and servers that do not answer are told before.
    from parlor.wiring import Wiring

    nameless = settings.model_copy(update={"store": settings.store.model_copy(update={"installation": ""})})

    async def open_and_work() -> _T:
        async with AsyncExitStack() as stack:
            wiring = await Wiring.open(nameless)
            stack.push_async_callback(wiring.close)
            return await work(wiring)

    try:
        return asyncio.run(open_and_work())
    except ParlorError as error:
        raise server_refusal(settings, error) from error


def explain(installation: Installation, settings: Settings, survey: Survey) -> str:
    """Why Redis and the databases cannot be used together, and what to do."""
    redis = place(settings)
    adopt = f"parlor adopt --data-dir {installation.data_dir}"
    if installation.founding.redis in (None, "external"):
        adopt += " (with the same --redis-url and --mysql-url)"
    share = (
        "To share that Redis, give this installation a database number of its own (redis://HOST:PORT/1), or a key "
        "prefix (PARLOR_REDIS__PREFIX)."
    )
    if survey.foreign:
        other = survey.foreign[0].cached.installation
        return (
            f"Redis at {redis} belongs to another installation ({other}; this one is {survey.installation}).\n{share}\n"
            f"If nobody needs what is in it any more: {adopt}"
        )
    one = survey.behind[0]
    what = (
        f"partition {one.partition}: Redis is at incarnation {one.cached.last.incarnation}, with {one.cached.applied} "
        f"stored; shard {one.shard} knows {one.incarnation} and {one.applied}"
    )
    if all(found.cached.installation for found in survey.behind):
        return (
            f"the databases have gone back behind Redis at {redis}, as after the restore of a backup ({what}).\n"
            f"To make them one again, and keep what both have: {adopt}"
        )
    return (
        f"Redis at {redis} has been used with other databases, or with newer ones than these ({what}).\n{share}\n"
        f"If these are a backup of the same installation, or if nobody needs what is in that Redis: {adopt}"
    )


def place(settings: Settings) -> str:
    """The address without the password, and the key prefix."""
    servers = settings.redis.servers
    url = urlsplit(settings.redis.url.get_secret_value() if not servers.hosts else servers.url)
    host = url.hostname or ""
    where = f"{host}:{url.port}" if url.port else host
    if servers.hosts:
        where = ",".join(f"{name}:{port}" for name, port in servers.hosts) + f"/{servers.service}".rstrip("/")
    kind = f"+{servers.kind}" if servers.hosts else ""
    return f"{url.scheme}{kind}://{where}{url.path} (key prefix {settings.redis.prefix!r})"
