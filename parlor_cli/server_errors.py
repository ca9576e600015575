"""Errors of Redis and the databases for who runs these servers: which server it is, and what it refuses."""

from __future__ import annotations

import re

from parlor.errors import CacheUnavailable, ParlorError, StoreUnavailable
from parlor.settings import RedisSettings, Settings
from parlor.settings.urls import without_password
from parlor_cli.refusal import Refusal

_RIGHTS = re.compile(r"\((1044|1142|1143|1227|1370|1419)\)")
"""MySQL's and MariaDB's numbers for a right that the user does not have. Their texts name it."""
_SCHEMA = re.compile(r"no such (table|column)|\((1054|1146)\)")
_USER = re.compile(r"\((1045|1698)\)")


def server_refusal(settings: Settings, error: ParlorError) -> Refusal:
    """For an error of either kind of server, or of neither."""
    if isinstance(error, CacheUnavailable):
        return redis_refusal(settings.redis, error)
    if isinstance(error, StoreUnavailable):
        return database_refusal(error)
    if "WRONGTYPE" in error.debug:
        what = (
            "another program has keys there under Parlor's names; give Parlor another database number, or a key prefix"
        )
        return Refusal(f"Redis at {_place(settings.redis)} cannot be used: {what} (PARLOR_REDIS__PREFIX)")
    return Refusal(f"{error.detail}: {error.debug}".rstrip(": "))


def redis_refusal(settings: RedisSettings, error: ParlorError) -> Refusal:
    """Names the server by its URL, without the password."""
    return Refusal(f"Redis at {_place(settings)} cannot be used: {error.detail} {error.debug}".rstrip())


def _place(settings: RedisSettings) -> str:
    return without_password(settings.url.get_secret_value()).partition("?")[0]


def database_refusal(error: ParlorError) -> Refusal:
    """The store's errors name the database themselves."""
    text = error.debug or error.detail
    if _RIGHTS.search(text):
        advice = "its user lacks a right: GRANT ALL on the databases of the URLs, and on the global one"
    elif _USER.search(text):
        advice = "it refuses the user or the password of the URL"
    elif _SCHEMA.search(text):
        advice = "its schema is not this version's: `parlor migrate`"
    else:
        advice = error.detail if error.debug else ""
    return Refusal(f"a database cannot be used: {text}" + (f"; {advice}" if advice else ""))
